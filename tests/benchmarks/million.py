"""`python -m tests.benchmarks.million`: one big run through a real `manage.py worker`, at no
limit of pace.

Prints the rate at the start and at the end, the memory of the largest process, and the CPU of
everything that is the product (every process of the worker and every session of the database)
per 1,000 messages. The sandbox runs on the same machine and takes its share of the cores.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.meter import cpu_secs_of, cpu_secs_of_ended_children, memory_mb_of, parent_of
from tests.faults import laboratory
from tests.faults.processes import Workers
from tests.providers.sandbox_server import Sandbox, running_sandbox

LOOK_SECS = 2.0
PART = 0.1  # of the run: its first and its last tenth are compared
RATE_LEAST, MEMORY_MOST_MB, CPU_MOST_MS = 0.9, 200, 150


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipients", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2, help="that send, as WORKERS says")
    parser.add_argument("--latency-ms", type=int, nargs=2, default=(50, 100))
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, or postgres://user@host/database of a server"
    )
    chosen = parser.parse_args()
    os.environ["WORKERS"] = str(chosen.processes)
    with tempfile.TemporaryDirectory(prefix="million") as name:
        folder = Path(name)
        with (
            running_sandbox(folder / "sandbox") as sandbox,
            laboratory.fresh_database(chosen.database, folder) as url,
        ):
            laboratory.prepare_environment(folder, url, sandbox.url)
            os.environ["LEASE_SECS"] = "30"
            import django

            django.setup()
            return measure(chosen, sandbox, folder)


def measure(chosen: argparse.Namespace, sandbox: Sandbox, folder: Path) -> int:
    from django.db import connection
    from django.utils import timezone

    from campaigns import plan
    from delivery.connections import connect_sandbox
    from tenants.models import Connection, User
    from tenants.scope import scope
    from tenants.workspaces import create_workspace
    from tests.database import migrate
    from tests.story import write_campaign

    migrate()
    owner = User.objects.create_user("owner@benchmarks.test", "irrelevant")
    workspace = create_workspace("Million", owner=owner)
    connect_sandbox(workspace, by=owner)
    sandbox.settings(latency_ms=list(chosen.latency_ms))
    add_a_crowd(workspace.pk, chosen.recipients)
    campaign = write_campaign(workspace, name="Million")
    workers = Workers(1, folder / "workers.log")
    try:
        with scope(workspace):
            Connection.objects.update(per_second=0)
            run = plan.schedule(campaign, by=owner, now=timezone.now())
        print(
            f"{connection.vendor}, {chosen.recipients:,} recipients, {chosen.processes} "
            "processes send",
            flush=True,
        )
        return watch(run, workers, chosen.recipients)
    finally:
        workers.stop()
        connection.close()


def add_a_crowd(workspace_id: int, count: int) -> None:
    """Contacts with a phone each, written by the database itself."""
    from django.db import connection

    is_postgresql = connection.vendor == "postgresql"
    numbers = (
        f"SELECT n FROM generate_series(1, {count}) AS n"
        if is_postgresql
        else f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) "
        "SELECT n FROM s"
    )
    now = "now()" if is_postgresql else "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    yes = "true" if is_postgresql else "1"
    json = ('(\'{"first_name": "Asha", "orders": \' || (n %% 4) || \'}\')') + (
        "::jsonb" if is_postgresql else ""
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_contact (workspace_id, external_id, language, time_zone, "
            f"country, attributes, created_at) SELECT %s, 'user-' || n, 'en', '', 'IN', {json}, "
            f"{now} FROM ({numbers}) AS all_of_them",
            [workspace_id],
        )
        cursor.execute(
            "INSERT INTO campaigns_endpoint (workspace_id, contact_id, channel, kind, value, "
            "platform, opted_in, is_active, retired_reason, created_at) SELECT workspace_id, id, "
            f"'app_push', 'token', 'sbx_ok_crowd_' || id, 'android', {yes}, {yes}, '', {now} FROM "
            "campaigns_contact WHERE workspace_id = %s",
            [workspace_id],
        )
        cursor.execute("ANALYZE")


def watch(run, workers: Workers, recipients: int) -> int:
    from delivery.engine import record
    from tenants.scope import scope

    looks: list[tuple[float, int]] = []
    memory, started, cpu_before = 0.0, time.monotonic(), cpu(workers)
    for number in itertools.count():
        time.sleep(LOOK_SECS)
        with scope(run.workspace):
            run.refresh_from_db()
            assert run.state != run.State.PAUSED, run.last_error
            settled = 0 if run.audience_size is None else record.live_tally(run).get("accepted", 0)
        memory = max([memory, *map(memory_mb_of, workers.of_clusters())])
        looks.append((time.monotonic() - started, settled))
        if number % 15 == 0:
            print(
                f"{looks[-1][0]:7.0f} s {settled:>10,}  largest process {memory:.0f} MB", flush=True
            )
        if run.is_ended and run.finished_at:
            break
    used = cpu(workers)
    assert run.tally == {"accepted": recipients}, run.tally
    first, last = (
        rate(looks, 0, PART * recipients),
        rate(looks, (1 - PART) * recipients, recipients),
    )
    sending = [at for at, n in looks if 0 < n < recipients]
    overall = recipients / (sending[-1] - sending[0]) if len(sending) > 1 else 0.0
    client, database = (
        1e6 * (after - before) / recipients for after, before in zip(used, cpu_before, strict=True)
    )
    ratio = last / first if first else 0.0
    print(
        f"\nrate at the start {first:,.0f}/s, at the end {last:,.0f}/s ({ratio:.2f}×), over all "
        f"{overall:,.0f}\n"
        f"largest process {memory:.0f} MB\n"
        f"CPU per 1,000 messages: {client:.0f} ms of the worker, {database:.0f} ms of the "
        "database, all processes"
    )
    is_reached = (
        ratio >= RATE_LEAST and memory <= MEMORY_MOST_MB and client + database <= CPU_MOST_MS
    )
    print(
        f"Reached: {'yes' if is_reached else 'no'} ({RATE_LEAST}× of the rate, {MEMORY_MOST_MB} "
        f"MB, {CPU_MOST_MS} ms)"
    )
    return 0 if is_reached else 1


def rate(looks: list[tuple[float, int]], least: float, most: float) -> float:
    """Messages a second between the looks that saw so many; 0 of a run that was too quick for
    two."""
    part = [(at, n) for at, n in looks if least <= n <= most and n]
    if not part:
        return 0.0
    (begin, low), (end, high) = part[0], part[-1]
    return (high - low) / max(end - begin, 0.001)


def cpu(workers: Workers) -> tuple[float, float]:
    """Seconds of the worker's processes and of every session of this database, of those that
    have ended, too: each task opens its own session. What ended counts for the whole server, so
    nobody else may use it meanwhile."""
    from django.db import connection

    pids = [*(watchdog.pid for watchdog in workers.watchdogs), *workers.of_clusters()]
    own = cpu_secs_of(pids) + cpu_secs_of_ended_children(pids)
    if connection.vendor != "postgresql":
        return own, 0.0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, pg_backend_pid() FROM pg_stat_activity WHERE datname = current_database()"
        )
        sessions = cursor.fetchall()
    server = parent_of(sessions[0][1])
    return own, cpu_secs_of(pid for pid, _ in sessions) + cpu_secs_of_ended_children([server])


if __name__ == "__main__":
    sys.exit(main())
