"""Starting and stopping the product's processes on one machine, for `manage.py demo` and
`manage.py run`."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.conf import settings

from pushpilot.lib import http

PORTS_TRIED, PORT_MOST = 50, 65_535
STOP_SECS = 45  # the worker finishes its slice first
_PR_SET_PDEATHSIG = 1


class PortTaken(OSError):
    """Somebody listens on the port, or another PushPilot of this machine is about to."""


@dataclass(frozen=True, slots=True)
class ClaimedPort:
    """A TCP port for a server of ours, which no other PushPilot of this machine takes while this
    object lives."""

    number: int
    claim: socket.socket


def claim_port(wanted: int, *, is_exact: bool = False, host: str = "127.0.0.1") -> ClaimedPort:
    """`wanted`, or the next free port above it unless `is_exact`. Raises PortTaken when it, or
    fifty, are taken.

    granian listens with SO_REUSEPORT: two that chose one port would share it and each other's
    requests, without an error. So the number is claimed from the choice on, by a UDP socket: it
    is exclusive at once, on every system, and gone with the process.
    """
    last = wanted if is_exact else min(wanted + PORTS_TRIED, PORT_MOST + 1) - 1
    for number in range(wanted, last + 1):
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", number))
        except OSError:
            claim.close()
            continue
        if any(_is_taken(address, number) for address in {host, "127.0.0.1", "::1"}):
            claim.close()
            continue
        return ClaimedPort(number, claim)
    raise PortTaken(
        f"Port {wanted} is taken." if is_exact else f"No port from {wanted} to {last} is free."
    )


def _is_taken(host: str, port: int) -> bool:
    """Also by a server on ::1 alone: browsers look there first for "localhost"."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # connections that linger are nobody's server
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        # else the machine lacks this kind of address
        return error.errno in (errno.EADDRINUSE, errno.EACCES)
    return False


def port_number(text: str) -> int:
    """For argparse. Raises ArgumentTypeError with what a port is."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= PORT_MOST):
        raise ArgumentTypeError(f"{text!r} is no port; write a whole number from 1 to {PORT_MOST}")
    return int(text)


def die_with(parent: int, number: signal.Signals) -> None:
    """Ask Linux to send `number` to this process when `parent`, the process that made it, dies;
    nothing elsewhere."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)


class Processes:
    """Children in process groups of their own, so that Ctrl-C reaches them only through `stop`,
    in order.

    On Linux they end also when this process is killed: they would keep the ports, and send on.
    """

    def __init__(self, environment: dict[str, str], log_folder: Path) -> None:
        self.environment = {**os.environ, **environment}
        self.log_folder = log_folder
        self.running: list[tuple[str, subprocess.Popen[bytes]]] = []
        log_folder.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: Sequence[str]) -> None:
        with (self.log_folder / f"{name}.log").open("ab") as log:
            os.fchmod(log.fileno(), 0o600)  # one of an older version may be there
            child = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(die_with, os.getpid(), signal.SIGTERM),
            )
        self.running.append((name, child))

    def manage(self, name: str, *arguments: str) -> None:
        self.start(name, [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments])

    def ended(self) -> str | None:
        """The name of a child that has ended by itself."""
        return next((name for name, child in self.running if child.poll() is not None), None)

    def log(self, name: str) -> Path:
        return self.log_folder / f"{name}.log"

    def stop(self) -> None:
        """End every child: SIGTERM to all, the last started first, SIGKILL to what stays."""
        for _, child in reversed(self.running):
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECS
        for _, child in reversed(self.running):
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(child, signal.SIGKILL)
                child.wait()
        self.running.clear()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # Only the leader: it ends its own children (the watchdog its cluster, granian its workers).
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGKILL:
            os.killpg(child.pid, number)
        else:
            child.send_signal(number)


@contextlib.contextmanager
def stopped_at_the_end(processes: Processes) -> Iterator[Processes]:
    try:
        yield processes
    finally:
        numbers = (signal.SIGINT, signal.SIGTERM)
        # a second one would leave orphans
        former = [signal.signal(number, signal.SIG_IGN) for number in numbers]
        processes.stop()
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[bool]:
    """Whether this process is the only one inside; the lock ends with the process, however it
    ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def answers(url: str) -> bool:
    """Whether a server answers there, whatever it says."""
    try:
        http.ask(url, is_ours=True, timeout_secs=2)
    except http.NoAnswer:
        return False
    return True


def web_command(port: int, *, host: str = "127.0.0.1") -> list[str]:
    """granian beats gunicorn's threads 1.4-2 times on these pages; WSGI because ASGI costs 6-8
    times the CPU."""
    return [
        str(Path(sys.executable).with_name("granian")),
        "--interface",
        "wsgi",
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        "1",
        "--blocking-threads",
        "4",
        "--no-ws",
        "--log-level",
        "warning",
        "pushpilot.wsgi:application",
    ]
