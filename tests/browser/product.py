"""The running product, as `make demo` starts it, with a folder, ports and a database of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import pseudo
from tests.providers.sandbox_server import free_port

ROOT = Path(__file__).resolve().parents[2]
ADD_PERSON = """
from pushpilot.demo import add_account
from tenants.models import Workspace
from tenants.scope import scope
from tenants.workspaces import add_member
with scope(workspace := Workspace.objects.get(slug="biddano-tech")):
    add_member(workspace, add_account({{"email": "{email}", "name": "{name}"}}, "{password}"), "member")
"""
READY = "Ctrl-C stops everything"


def with_pseudo(folder: Path) -> dict[str, str]:
    """Variables with which the product speaks the pseudo language to a browser that asks for
    it."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.browser.pseudo_settings",
        "PSEUDO_WORDS": str(pseudo.make(folder)),
    }


@dataclass
class Product:
    url: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    console: str = "/w/biddano-tech/admin/"
    password: str = "pushpilot-demo"

    environment: dict[str, str] = field(default_factory=dict)

    def add_person(self, name: str, email: str) -> None:
        """One more member of the demo workspace, for a test that changes how that person signs
        in."""
        code = ADD_PERSON.format(email=email, name=name, password=self.password)
        subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", code],
            cwd=ROOT,
            env=self.environment,
            check=True,
        )

    @property
    def output(self) -> str:
        return "".join(self.said)


@contextlib.contextmanager
def running_product(folder: Path, **environment: str) -> Iterator[Product]:
    """`manage.py demo` until the block ends; raises AssertionError with its output if it does
    not come up."""
    port, sandbox_port = free_port(), free_port()
    known = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "REDIS_URL")
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--port", str(port), "--sandbox-port", str(sandbox_port)],
        cwd=ROOT, env=(used := {**known, "DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1", **environment}),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    product = Product(f"http://localhost:{port}", process, environment=used)
    ready = threading.Event()
    reader = threading.Thread(target=_read, args=(product, ready), daemon=True)
    reader.start()
    try:
        if not ready.wait(180) or READY not in product.output:
            raise AssertionError(f"the demo did not come up:\n{product.output}")
        yield product
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join(5)


def _read(product: Product, ready: threading.Event) -> None:
    assert product.process.stdout is not None
    for line in product.process.stdout:
        product.said.append(line)
        if READY in line:
            ready.set()
    ready.set()
