"""`python -m tests.faults --rounds 20 --kills 3 --recipients 5000`: kill -9 in real sends.

On SQLite in a folder of its own, or with --database postgres://… in a fresh database of that server.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from tests.delivery.sandbox_server import Sandbox, running_sandbox
from tests.faults import laboratory
from tests.faults.laboratory import Report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="runs, one after the other")
    parser.add_argument("--kills", type=int, default=5, help="kills in each run")
    parser.add_argument("--recipients", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--database", default="sqlite", help="sqlite, or postgres://user@host/database of a server")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_sandbox(folder / "sandbox") as sandbox, laboratory.fresh_database(chosen.database, folder) as url:
            laboratory.prepare_environment(folder, url, sandbox.url)
            import django

            django.setup()
            reports = experiment(chosen, sandbox)
    return 0 if all(report.is_clean for report in reports) else 1


def experiment(chosen: argparse.Namespace, sandbox: Sandbox) -> list[Report]:
    from django.core.management import call_command

    from delivery.connections import connect_sandbox
    from tenants.models import User
    from tenants.workspaces import create_workspace
    from tests.story import add_people, write_campaign

    call_command("migrate", verbosity=0)
    owner = User.objects.create_user("owner@faults.test", "irrelevant")
    workspace = create_workspace("Faults", owner=owner)
    connect_sandbox(workspace, by=owner)
    sandbox.settings(latency_ms=[50, 100])
    add_people(workspace, chosen.recipients)
    dice, reports = random.Random(chosen.seed), []
    with laboratory.running_workers(chosen.workers) as workers:
        for number in range(chosen.rounds):
            campaign = write_campaign(workspace, name=f"Round {number + 1}")
            report = one_round(campaign, owner, sandbox, workers, chosen, dice)
            reports.append(report)
            print(f"{number + 1:3}. {'ok ' if report.is_clean else 'BAD'} {report.line()}", flush=True)
    return reports


def one_round(campaign, owner, sandbox: Sandbox, workers, chosen: argparse.Namespace, dice: random.Random) -> Report:
    from django.utils import timezone

    from campaigns import plan
    from campaigns.models import Run
    from tenants.scope import scope

    started = time.monotonic()
    with scope(campaign.workspace):
        run = plan.schedule(campaign, by=owner, now=timezone.now())
        Run.objects.filter(pk=run.pk).update(not_after=timezone.now() + timedelta(hours=1))
    kills = laboratory.attack(run.pk, workers, chosen.kills, dice, within_secs=600)
    time.sleep(1)  # answers still on their way to a worker that was killed reach the sandbox's log first
    return compare(run, sandbox, chosen.recipients, kills, time.monotonic() - started)


def compare(run, sandbox: Sandbox, recipients: int, kills: int, seconds: float) -> Report:
    """The sandbox's own log against the ledger, row by row."""
    from django.db.models import Sum

    from campaigns.reasons import Reason
    from delivery import record
    from delivery.models import Message, Shard
    from pushpilot.lib.signing import read_reference
    from tenants.models import Connection
    from tenants.scope import scope
    from tests.story import received

    with scope(run.workspace):
        sent: dict[int, int] = {}
        for (reference, _), count in received(sandbox, Connection.objects.get()).items():
            _, _, run_id, message_id = read_reference(reference, 4) or (0, 0, 0, 0)
            if run_id == run.pk:
                sent[message_id] = sent.get(message_id, 0) + count
        rows = {row.pk: row for row in Message.objects.filter(run=run)}
        takeovers = Shard.objects.filter(run=run).aggregate(n=Sum("attempts"))["n"] or 0
        states = record.account(run)
    accounted = {Reason.ACCEPTED, Reason.UNKNOWN}
    return Report(
        recipients=recipients,
        states=states,
        kills=kills,
        takeovers=takeovers,
        lost=sum(row.reason == Reason.ACCEPTED and pk not in sent for pk, row in rows.items())
        + sum(Reason(row.reason).is_waiting for row in rows.values()),
        unaccounted=sum(pk not in rows or rows[pk].reason not in accounted for pk in sent),
        twice=sum(count > 1 for count in sent.values()),
        twice_unflagged=sum(count > 1 and not rows[pk].possible_duplicate for pk, count in sent.items() if pk in rows),
        unknown=states.get("unknown", 0),
        seconds=seconds,
    )


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    sys.exit(main())
