"""Starting and stopping the product's processes on one machine, for `manage.py demo` and `manage.py run`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.conf import settings

STOP_SECS = 45  # the worker finishes its slice first


def free_port(wanted: int, *, host: str = "127.0.0.1") -> int:
    """`wanted`, or the next port above it that nobody listens on. Raises OSError when fifty are taken."""
    for port in range(wanted, wanted + 50):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port from {wanted} to {wanted + 49}")


class Processes:
    """Children in process groups of their own, so that Ctrl-C reaches them only through `stop`, in order."""

    def __init__(self, environment: dict[str, str], log_folder: Path) -> None:
        self.environment = {**os.environ, **environment}
        self.log_folder = log_folder
        self.running: list[tuple[str, subprocess.Popen[bytes]]] = []
        log_folder.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: Sequence[str]) -> None:
        with (self.log_folder / f"{name}.log").open("ab") as log:
            os.fchmod(log.fileno(), 0o600)  # one of an older version may be there
            child = subprocess.Popen(  # noqa: S603 - our own commands
                command, cwd=settings.BASE_DIR, env=self.environment, stdout=log, stderr=log, start_new_session=True
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
        former = [signal.signal(number, signal.SIG_IGN) for number in numbers]  # a second one would leave orphans
        processes.stop()
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[bool]:
    """Whether this process is the only one inside; the lock ends with the process, however it ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def wait_for(url: str, *, within_secs: float) -> bool:
    """Whether the address answers 200 in time."""
    deadline = time.monotonic() + within_secs
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, OSError), opener.open(url, timeout=2) as answer:
            if answer.status == 200:
                return True
        time.sleep(0.1)
    return False


def web_command(port: int, *, host: str = "127.0.0.1") -> list[str]:
    """granian beats gunicorn's threads 1.4-2 times on these pages; WSGI because ASGI costs 6-8 times the CPU."""
    return [
        str(Path(sys.executable).with_name("granian")), "--interface", "wsgi", "--host", host, "--port", str(port),
        "--workers", "1", "--blocking-threads", "4", "--no-ws", "--log-level", "warning", "pushpilot.wsgi:application",
    ]  # fmt: skip
