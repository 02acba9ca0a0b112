"""`python -m tests.benchmarks.send_now`: how long a direct message takes from its request to the
wire.

One web server and one worker, as `manage.py run` starts them, send through the sandbox, which answers
after 50-100 ms. Requests of one person each go out at a steady rate, whether or not earlier ones were
answered. Accepted: the moment that the answer names; on the wire: the moment at which the fence
was written, immediately before the send. The sandbox's own log is compared with the ledger.

    answer       the caller's wait for 202
    accepted → wire, accepted → provider's answer, request → wire (with the caller's wait)

`loop` says how fast the machine is: a million additions take 0.036 s on the machine of the targets.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.meter import cpu_secs_of
from tests.faults import laboratory
from tests.faults.processes import ROOT, Workers
from tests.providers.sandbox_server import Sandbox, free_port, running_sandbox

MOST_SECS = 1.0  # of the 95th per cent, accepted → wire, on the machine of the targets
LOOP_SECS = 0.036
SETTLE_MOST_SECS = 60
WAIT_STEP_SECS = 0.2


def loop_secs() -> float:
    """What a million additions take here."""
    best = 9.9
    for _ in range(5):
        began, total = time.perf_counter(), 0
        for number in range(1_000_000):
            total += number
        best = min(best, time.perf_counter() - began)
    return best


def share(values: Sequence[float], of: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(of * len(ordered)))]


# --- the product ----------------------------------------------------------------------------------
@contextmanager
def web_server(folder: Path) -> Iterator[tuple[str, int]]:
    """(its address, its process), as `manage.py run` starts it."""
    from pushpilot.processes import answers, web_command

    port = free_port()
    with (folder / "web.log").open("wb") as log:
        server = subprocess.Popen(web_command(port), cwd=ROOT, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/healthz"):
            if time.monotonic() > until or server.poll() is not None:
                raise SystemExit(
                    f"the web server did not start: {(folder / 'web.log').read_text()}"
                )
            time.sleep(0.1)
        yield f"127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait(30)


def children_of(pid: int) -> list[int]:
    found, todo = [pid], [pid]
    while todo:
        listed = Path(f"/proc/{todo[0]}/task/{todo.pop(0)}/children")
        own = [int(child) for child in listed.read_text().split()] if listed.exists() else []
        found, todo = [*found, *own], [*todo, *own]
    return found


def populate(people: int, per_second: int) -> tuple[Any, Any, str]:
    """(workspace, connection, a secret key that may send)."""
    from delivery.connections import connect_sandbox
    from tenants import keys
    from tenants.models import ApiKey, Connection, User
    from tenants.scope import scope
    from tenants.workspaces import create_workspace
    from tests.story import add_people

    owner = User.objects.create_user("owner@benchmarks.test", "irrelevant")
    workspace = create_workspace("Benchmark", owner=owner)
    connection = connect_sandbox(workspace, by=owner)
    add_people(workspace, people)
    with scope(workspace):
        Connection.objects.filter(pk=connection.pk).update(per_second=per_second)
        connection.refresh_from_db()
        key = ApiKey(workspace=workspace, name="Shop", kind="secret", scopes=[keys.CAMPAIGNS_SEND])
        return workspace, connection, keys.create(key, by=owner)


# --- the load -------------------------------------------------------------------------------------
@dataclass
class Load:
    """Requests at a steady rate, by as many threads as it takes."""

    address: str
    key: str
    per_second: float
    count: int
    first: int = 0  # the number of the first person
    due: dict[int, float] = field(default_factory=dict)  # {direct send: when it should have gone}
    waits: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, threads: int = 16) -> None:
        self._begin = time.time() + 0.2
        running = [threading.Thread(target=self._post_all) for _ in range(threads)]
        for one in running:
            one.start()
        for one in running:
            one.join()

    def _post_all(self) -> None:
        client = http.client.HTTPConnection(self.address, timeout=30)
        while (number := self._take()) is not None:
            due = self._begin + number / self.per_second
            time.sleep(max(0.0, due - time.time()))
            answer, told = self._post(client, number)
            with self._lock:
                self.waits.append(time.time() - due)
                if answer == 202:
                    self.due[told["id"]] = due
                else:
                    self.failed.append(f"{answer}: {told}"[:300])

    def _take(self) -> int | None:
        with self._lock:
            if self._next >= self.count:
                return None
            self._next += 1
            return self._next - 1

    def _post(self, client: http.client.HTTPConnection, number: int) -> tuple[int, Any]:
        body = {
            "recipients": [f"user-{self.first + number}"],
            "class": "transactional",
            "content": {"title": f"Order {number}", "body": "{{ data.code }} for {{ first_name }}"},
            "data": {"code": str(number)},
        }
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": uuid.uuid4().hex,
        }
        client.request("POST", "/api/v1/notifications/send-now", json.dumps(body), headers)
        answer = client.getresponse()
        return answer.status, json.loads(answer.read())


# --- what is measured -----------------------------------------------------------------------------
def settled(workspace: Any, count: int) -> list[Any]:
    """The rows of the ledger, once none of them waits."""
    from delivery.models import DirectSend, Message
    from tenants.scope import scope

    until = time.monotonic() + SETTLE_MOST_SECS
    while True:
        with scope(workspace):
            rows = list(Message.objects.exclude(request=0).filter(reason__gte=100))
            if len(rows) >= count or time.monotonic() > until:
                accepted = dict(DirectSend.objects.values_list("pk", "accepted_at"))
                return [(row, accepted[row.request]) for row in rows]
        time.sleep(WAIT_STEP_SECS)


def line(name: str, values: Sequence[float]) -> str:
    shares = "".join(f"{1e3 * share(values, of):>10,.0f}" for of in (0.5, 0.95, 0.99, 1.0))
    return f"    {name:<44}{shares} ms"


def report(rows: list[Any], load: Load, loop: float, per_second: float) -> float:
    """Print the table; returns p95 of accepted → wire in seconds."""
    for words in load.failed[:3]:
        print(f"    not accepted: {words}")
    if not rows:
        raise SystemExit("Nothing was sent.")
    sent = [(row, at) for row, at in rows if row.sent_at is not None]
    to_wire = [(row.sent_at - at).total_seconds() for row, at in sent]
    answered = [(row.attempted_at - at).total_seconds() for row, at in sent if row.attempted_at]
    whole = [row.sent_at.timestamp() - load.due[row.request] for row, _at in sent]
    print(f"{len(load.due):,} of {load.count:,} requests at {per_second:g} a second were accepted")
    print(f"    {'':<44}{'p50':>10}{'p95':>10}{'p99':>10}{'longest':>10}")
    for name, values in (
        ("answer 202", load.waits),
        ("accepted → wire", to_wire),
        ("accepted → provider's answer", answered),
        ("request → wire", whole),
    ):
        print(line(name, values))
    print(
        f"    loop: {loop:.3f} s, {loop / LOOP_SECS:.1f}× of the machine of the targets, "
        f"where p95 would be {1e3 * share(to_wire, 0.95) * LOOP_SECS / loop:,.0f} ms"
    )
    return share(to_wire, 0.95)


def measure(chosen: argparse.Namespace, sandbox: Sandbox, folder: Path) -> int:
    from django.db import connection as database

    from tests.database import migrate
    from tests.story import received

    migrate()
    loop = loop_secs()
    count = int(chosen.per_second * chosen.seconds)
    warm = min(count, 20)
    workspace, connection, key = populate(count + warm, 0)
    sandbox.settings(latency_ms=list(chosen.latency_ms))
    workers = Workers(1, folder / "workers.log")
    try:
        with web_server(folder) as (address, pid):
            Load(address, key, 10, warm).run(4)  # opens connections, fills caches
            settled(workspace, warm)
            of = {"web": children_of(pid), "worker": workers.of_clusters()}
            before = {name: cpu_secs_of(pids) for name, pids in of.items()}
            load = Load(address, key, chosen.per_second, count, first=warm)
            load.run()
            rows = settled(workspace, count + warm)
            used = {name: cpu_secs_of(pids) - before[name] for name, pids in of.items()}
        truth = received(sandbox, connection)
    finally:
        workers.stop()
        database.close()
    own = [(row, at) for row, at in rows if row.request in load.due]
    found = report(own, load, loop, chosen.per_second)
    per = ", ".join(f"{name} {1e3 * secs / count:.1f}" for name, secs in used.items())
    twice = sum(times > 1 for times in truth.values())
    print(f"    CPU of a message in ms: {per}; received {len(truth):,}, twice {twice}")
    if twice or len(truth) != len(rows) or load.failed:
        print("The sandbox and the ledger disagree.")
        return 1
    if found > MOST_SECS * max(1.0, loop / LOOP_SECS):
        print("Direct messages take too long.")
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-second", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--latency-ms", type=int, nargs=2, default=(50, 100))
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, or postgres://user@host/database of a server"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="send-now") as name:
        folder = Path(name)
        with (
            running_sandbox(folder / "sandbox") as sandbox,
            laboratory.fresh_database(chosen.database, folder) as url,
        ):
            laboratory.prepare_environment(folder, url, sandbox.url)
            os.environ |= {"LEASE_SECS": "30", "API_PER_MINUTE": "1000000"}
            import django

            django.setup()
            return measure(chosen, sandbox, folder)


if __name__ == "__main__":
    sys.exit(main())
