"""`python -m tests.benchmarks.sending`: what sending costs, beside the usual ways, on the same
sandbox in one run.

send step  one process, messages ready to be addressed → answers read: firebase-admin's clients and ours
pipeline   audience → gates → shards → render → fence → send → record, one worker process, beside what a Django project
           does: ORM query → send_each_async in batches of 500 → bulk_create

CPU is that of the sending process and, on PostgreSQL, of its database session; the sandbox's is
not counted. Ratios of one run count; absolute figures drift with the machine. With --node also
firebase-admin for Node, installed by npm.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

from tests.benchmarks import clients
from tests.benchmarks.meter import HEADER, Measured, Meter
from tests.benchmarks.standin import running_standin
from tests.faults import laboratory
from tests.providers.sandbox_server import Sandbox, running_sandbox


def send_with_the_product(workspace, owner, recipients: int) -> Measured:
    from django.utils import timezone

    from campaigns import plan
    from delivery.engine import pipeline
    from tenants.scope import scope
    from tests.story import run_to_the_end, write_campaign

    campaign = write_campaign(workspace, name="Product", body=clients.FILLING)
    with scope(workspace):
        run = plan.schedule(campaign, by=owner, now=timezone.now())
    with Meter() as meter:
        pipeline.tick(timezone.now())
        run = run_to_the_end(run, most=500)
    assert run.tally == {"accepted": recipients}, run.tally
    return meter.measured("PushPilot's pipeline", recipients)


def send_the_usual_way(workspace, owner, recipients: int) -> Measured:
    """What a Django project does with firebase-admin: query, send_each_async, bulk_create."""
    from django.utils import timezone
    from firebase_admin import messaging

    from campaigns import plan
    from campaigns.audience.reasons import Reason
    from campaigns.models import Endpoint, Run
    from delivery.connections import account_of
    from delivery.models import Message
    from tenants.models import Connection
    from tenants.scope import scope
    from tests.story import write_campaign

    campaign = write_campaign(workspace, name="Usual way")
    sent = 0
    with scope(workspace):
        account = account_of(Connection.objects.get())
        with clients.sdk(account) as (app, loop), Meter() as meter:
            run = plan.schedule(campaign, by=owner, now=timezone.now())
            # the product must not send it, too
            Run.objects.filter(pk=run.pk).update(state=Run.State.COMPLETED)
            phones = Endpoint.objects.select_related("contact").order_by("pk")[:recipients]
            for batch in clients.batches(phones.iterator(clients.BATCH)):
                made = [clients.message(phone.value, phone.pk) for phone in batch]
                for one, phone in zip(made, batch, strict=True):
                    one.notification.title = (
                        f"Hello {phone.contact.attributes.get('first_name', 'you')}"
                    )
                answers = loop.run(messaging.send_each_async(made, app=app)).responses
                Message.objects.bulk_create(
                    Message(
                        workspace=workspace, run=run, contact_id=phone.contact_id, endpoint=phone, attempts=1,
                        reason=Reason.ACCEPTED if answer.success else Reason.REJECTED, attempted_at=timezone.now(),
                        provider_id=(answer.message_id or "").rpartition("/")[2],
                    )
                    for phone, answer in zip(batch, answers, strict=True)
                )  # fmt: skip
                sent += sum(answer.success for answer in answers)
    assert sent == recipients, sent
    return meter.measured("ORM + send_each_async + bulk_create", recipients)


def send_to_the_standin(
    chosen: argparse.Namespace, workspace, owner, account, folder: Path
) -> Iterator[Measured]:
    """The send step, and the pipeline in as many processes as `WORKERS` would give it: without
    TLS and with it."""
    from delivery.providers.fcm.account import AccessToken, FcmAccount

    granted = AccessToken("stand-in", time.time() + 36_000)  # it grants none itself
    tokens = [f"bench_{n}" for n in range(chosen.recipients)]
    with (
        running_standin(folder / "nginx") as urls,
        mock.patch.object(FcmAccount, "mint", return_value=granted),
    ):
        for way, url in urls.items():
            step = clients.send_step(replace(account, base_url=url), tokens)
            yield replace(step, name=f"{step.name}, nginx, {way}")
        for way, url in urls.items():
            many = send_with_processes(workspace, owner, chosen.recipients, url, chosen.stand_in)
            yield replace(many, name=f"{many.name}, nginx, {way}")


def send_with_processes(workspace, owner, recipients: int, url: str, processes: int) -> Measured:
    from django.conf import settings
    from django.db import connection
    from django.utils import timezone

    from campaigns import plan
    from campaigns.models import Run
    from delivery.engine import pipeline
    from tenants.scope import every_workspace, scope
    from tests.story import write_campaign

    settings.SANDBOX_URL = url
    campaign = write_campaign(workspace, name="Processes", body=clients.FILLING)
    with scope(workspace):
        run = plan.schedule(campaign, by=owner, now=timezone.now())
    pipeline.tick(timezone.now())
    connection.close()
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    children = [os.fork() for _ in range(processes)]  # each child leaves below
    if 0 in children:
        with every_workspace():
            while not Run.objects.filter(pk=run.pk, state=Run.State.COMPLETED).exists():
                pipeline.work(timezone.now())
        os._exit(0)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    with scope(workspace):
        run.refresh_from_db()
    assert run.tally == {"accepted": recipients}, run.tally
    cpu_secs = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(f"PushPilot's pipeline ×{processes}", recipients, seconds, cpu_secs)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--baseline-recipients", type=int, default=3_000)
    parser.add_argument("--latency-ms", type=int, nargs=2, default=(50, 100))
    parser.add_argument(
        "--node", action="store_true", help="also firebase-admin for Node (needs node and npm)"
    )
    parser.add_argument(
        "--stand-in",
        type=int,
        default=0,
        metavar="N",
        help="also N processes, and TLS; nginx answers (standin.py)",
    )
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, or postgres://user@host/database of a server"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            running_sandbox(folder / "sandbox") as sandbox,
            laboratory.fresh_database(chosen.database, folder) as url,
        ):
            laboratory.prepare_environment(folder, url, sandbox.url)
            import django

            django.setup()
            compare(chosen, sandbox, folder)
    return 0


def compare(chosen: argparse.Namespace, sandbox: Sandbox, folder: Path) -> None:
    from django.db import connection

    from delivery.connections import account_of, connect_sandbox
    from tenants.models import Connection, User
    from tenants.scope import scope
    from tenants.workspaces import create_workspace
    from tests.database import migrate
    from tests.story import add_people

    migrate()
    owner = User.objects.create_user("owner@benchmarks.test", "irrelevant")
    workspace = create_workspace("Benchmarks", owner=owner)
    connect_sandbox(workspace, by=owner)
    with scope(workspace):
        Connection.objects.update(per_second=0)  # no limit: what counts is what the machine can do
        account = account_of(Connection.objects.get())
    sandbox.settings(latency_ms=list(chosen.latency_ms))
    low, high = chosen.latency_ms
    print(
        f"{connection.vendor}, sandbox latency {low}–{high} ms, one process sends; CPU in ms per "
        "1,000 messages\n"
    )
    print(HEADER)
    tokens = [f"sbx_ok_bench_{n}" for n in range(chosen.recipients)]
    few = tokens[: chosen.baseline_recipients]
    baseline = clients.send_each_async(account, few)
    ours = clients.send_step(account, tokens)
    others = [clients.send_each(account, few)] + (
        [clients.send_with_node(account, tokens)] if chosen.node else []
    )
    for measured in (baseline, *others, ours):
        print(measured.line(baseline))
    add_people(workspace, chosen.recipients)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum would have done by the time of a send
    usual = send_the_usual_way(workspace, owner, chosen.baseline_recipients)
    product = send_with_the_product(workspace, owner, chosen.recipients)
    print()
    for measured in (usual, product):
        print(measured.line(usual))
    if chosen.stand_in:
        print()
        rows = send_to_the_standin(chosen, workspace, owner, account, folder)
        for measured, against in zip(rows, (baseline, baseline, usual, usual), strict=True):
            print(measured.line(against))
        print("(without the CPU of the database's sessions; the stand-in runs on the same cores)")
    connection.close()


if __name__ == "__main__":
    sys.exit(main())
