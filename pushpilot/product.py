"""The whole product on this machine, for `manage.py demo` and `manage.py run`: one per folder,
on ports of its own."""

from __future__ import annotations

import contextlib
import os
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandError

from pushpilot.processes import (
    ClaimedPort,
    PortTaken,
    Processes,
    answers,
    claim_port,
    only_one,
    port_number,
    web_command,
)
from pushpilot.startup import WRONG_SETTING, silent_service

WEB_PORT, SANDBOX_PORT = 8000, 8765
START_SECS = 60
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_port_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=port_number, help=f"default: {WEB_PORT}, or the next one that is free"
    )
    parser.add_argument(
        "--sandbox-port",
        type=port_number,
        help="default: that of SANDBOX_URL, or the next free one",
    )


@contextlib.contextmanager
def only_product(command: str) -> Iterator[Callable[[str], None]]:
    """Hold the folder; give a function that notes the product's address for a second product.

    Raises CommandError without a database or Redis to work with, and in DATA_DIR's second
    product: the two would share the database but not the sandbox, and each would send through a
    key that the other one made.
    """
    if silent := silent_service():
        raise CommandError(silent, returncode=WRONG_SETTING)
    lock = settings.DATA_DIR / "product.lock"
    with only_one(lock) as is_first:
        if not is_first:
            found = lock.read_text(encoding="utf-8").strip()
            running = "manage.py demo or run"
            if found:
                running = f"manage.py {found}"
            raise CommandError(
                f"{running} is already running in this folder. Use it, or stop it first."
            )

        def note(url: str) -> None:
            lock.write_text(f"{command} ({url})", encoding="utf-8")

        lock.write_text(f"{command} (process {os.getpid()})", encoding="utf-8")
        yield note


@dataclass(frozen=True, slots=True)
class Ports:
    """`sandbox` is None where SANDBOX_URL names another machine's."""

    web: ClaimedPort
    sandbox: ClaimedPort | None
    host: str

    @property
    def url(self) -> str:
        """The address for a person at this machine."""
        return f"http://localhost:{self.web.number}"

    @property
    def sandbox_url(self) -> str:
        if self.sandbox:
            return f"http://127.0.0.1:{self.sandbox.number}"
        return settings.SANDBOX_URL


def choose_ports(port: int | None, sandbox_port: int | None, *, host: str = "127.0.0.1") -> Ports:
    """A port that was asked for, or else the next free one. Raises CommandError if that one is
    taken."""
    asked = urlsplit(settings.SANDBOX_URL)
    try:
        web = claim_port(port or WEB_PORT, is_exact=port is not None, host=host)
        if asked.hostname not in LOOPBACK and sandbox_port is None:
            return Ports(web, None, host)
        wanted = sandbox_port or asked.port or SANDBOX_PORT
        return Ports(web, claim_port(wanted, is_exact=sandbox_port is not None), host)
    except PortTaken as error:
        raise CommandError(
            f"{error} Choose another one with --port or --sandbox-port.", returncode=WRONG_SETTING
        ) from error


def start_sandbox(processes: Processes, ports: Ports) -> None:
    if ports.sandbox is not None:
        folder = settings.DATA_DIR / "sandbox"
        processes.manage(
            "sandbox", "sandbox", "--port", str(ports.sandbox.number), "--data-dir", str(folder)
        )
        _await(processes, "sandbox", f"{ports.sandbox_url}/sandbox/health")


def start_product(processes: Processes, ports: Ports) -> None:
    """Worker, web server and the sandbox's devices; returns when the web server answers."""
    processes.manage("worker", "worker")
    processes.start("web", web_command(ports.web.number, host=ports.host))
    processes.manage("devices", "sandbox_devices")
    _await(processes, "web", f"http://127.0.0.1:{ports.web.number}/healthz")


def _await(processes: Processes, name: str, url: str) -> None:
    deadline = time.monotonic() + START_SECS
    while time.monotonic() < deadline:
        watch(processes)
        if answers(url):
            return
        time.sleep(0.1)
    raise CommandError(f"The {name} did not start; see {processes.log(name)}.")


def watch(processes: Processes) -> None:
    """Raises CommandError when a process has ended by itself."""
    name = processes.ended()
    if name is not None:
        raise CommandError(f"The {name} has ended unexpectedly; see {processes.log(name)}.")
