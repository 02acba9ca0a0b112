"""The real sandbox in a process of its own, for tests and benchmarks."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from delivery.providers.fcm.account import FcmAccount

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Sandbox:
    """A running sandbox. Key files from `key_file` work with FcmAccount.parse(…,
    sandbox_url=sandbox.url)."""

    url: str
    data_dir: Path
    process: "subprocess.Popen[bytes]"

    def key_file(self, project_id: str = "demo-project") -> str:
        """A fresh service-account JSON."""
        reply = requests.post(
            f"{self.url}/sandbox/projects", json={"project_id": project_id}, timeout=10
        )
        assert reply.status_code == 201, reply.text
        return reply.text

    def settings(self, **settings: Any) -> None:
        """Replace the settings (latency_ms, rates)."""
        reply = requests.put(f"{self.url}/sandbox/settings", json=settings, timeout=10)
        assert reply.status_code == 200, reply.text

    def uninstall(self, project_id: str, token: str) -> None:
        """The phone loses the app."""
        where = f"{self.url}/sandbox/projects/{project_id}/uninstall"
        assert requests.post(where, json={"token": token}, timeout=10).status_code == 200

    def log(
        self, access_token: str, project_id: str = "demo-project", after: int = 0, limit: int = 1000
    ) -> Any:
        """A page of the log."""
        return requests.get(
            f"{self.url}/sandbox/projects/{project_id}/log",
            params={"after": after, "limit": limit},
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=10,
        ).json()

    def accepted(
        self, access_token: str, project_id: str = "demo-project"
    ) -> dict[tuple[str, str], int]:
        """How often each (ref, token) was accepted: the truth."""
        reply = requests.get(
            f"{self.url}/sandbox/projects/{project_id}/accepted",
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=60,
        )
        assert reply.status_code == 200, reply.text
        rows = [requests.compat.json.loads(line) for line in reply.text.splitlines()]
        return {(ref, token): count for ref, token, count in rows}

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_sandbox(data_dir: Path, port: int | None = None) -> Iterator[Sandbox]:
    """Start the sandbox on a free port and wait until it is healthy; ends with the block."""
    port = port or free_port()
    program = [sys.executable, "-m", "tests.providers.sandbox_process"]
    command = [*program, "--port", str(port), "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "default"})
    sandbox = Sandbox(f"http://127.0.0.1:{port}", data_dir, process)
    try:
        _wait_for_health(sandbox)
        yield sandbox
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_health(sandbox: Sandbox) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert sandbox.process.poll() is None, "the sandbox ended at once"
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{sandbox.url}/sandbox/health", timeout=2).ok:
                return
        time.sleep(0.05)
    raise AssertionError("the sandbox did not become healthy")


def post(sandbox: Sandbox, path: str, body: Any, **headers: str) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return requests.post(sandbox.url + path, data=data, headers=sent, timeout=10)


def send(sandbox: Sandbox, account: FcmAccount, body: Any, token: str = "") -> requests.Response:
    path = f"/v1/projects/{account.project_id}/messages:send"
    return post(sandbox, path, body, Authorization=f"Bearer {token or account.mint().value}")


def to(token: str, **fields: Any) -> dict[str, Any]:
    return {"message": {"token": token, **fields}}
