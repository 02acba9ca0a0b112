"""`python -m tests.benchmarks.sending`: the whole send pipeline beside the usual way, on the same sandbox in one run.

product    audience → gates → shards → render → fence → send → record, one worker process
usual way  ORM query → firebase_admin.messaging.send_each in batches of 500 → bulk_create

CPU is that of the sending process and, on PostgreSQL, of its database session; the sandbox's is not counted. Ratios of
one run count; absolute figures drift with the machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.delivery.sandbox_server import Sandbox, running_sandbox
from tests.faults import laboratory

BATCH = 500  # send_each's limit


@dataclass
class Measured:
    name: str
    messages: int
    seconds: float
    cpu_secs: float
    database_cpu_secs: float

    @property
    def cpu_ms_per_thousand(self) -> float:
        return 1e6 * (self.cpu_secs + self.database_cpu_secs) / self.messages

    def line(self, baseline: Measured) -> str:
        ratio = baseline.cpu_ms_per_thousand / self.cpu_ms_per_thousand
        return (
            f"{self.name:<34}{self.messages:>9,}{self.messages / self.seconds:>12,.0f}"
            f"{1e6 * self.cpu_secs / self.messages:>14,.0f}{1e6 * self.database_cpu_secs / self.messages:>12,.0f}"
            f"{ratio:>10.1f}×"
        )


class Meter:
    """CPU of this process and of its PostgreSQL session between start and end."""

    def __enter__(self) -> Meter:
        self._own, self._database, self._clock = self._own_cpu(), self._database_cpu(), time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.monotonic() - self._clock
        self.cpu_secs = self._own_cpu() - self._own
        self.database_cpu_secs = self._database_cpu() - self._database

    def measured(self, name: str, messages: int) -> Measured:
        return Measured(name, messages, self.seconds, self.cpu_secs, self.database_cpu_secs)

    def _own_cpu(self) -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def _database_cpu(self) -> float:
        from django.db import connection

        if connection.vendor != "postgresql":
            return 0.0  # SQLite works inside this process
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send_with_the_product(workspace, owner, recipients: int) -> Measured:
    from django.utils import timezone

    from campaigns import plan
    from delivery import pipeline
    from tenants.scope import scope
    from tests.story import run_to_the_end, write_campaign

    campaign = write_campaign(workspace, name="Product")
    with scope(workspace):
        run = plan.schedule(campaign, by=owner, now=timezone.now())
    with Meter() as meter:
        pipeline.tick(timezone.now())
        run = run_to_the_end(run, most=500)
    assert run.tally == {"accepted": recipients}, run.tally
    return meter.measured("PushPilot pipeline", recipients)


def send_the_usual_way(workspace, owner, recipients: int) -> Measured:
    """What a Django project does with firebase-admin: query, send_each, bulk_create."""
    from django.utils import timezone
    from firebase_admin import messaging

    from campaigns import plan
    from campaigns.models import Endpoint, Run
    from campaigns.reasons import Reason
    from delivery.channels.fcm.sdk import _sdk_app
    from delivery.connections import account_of
    from delivery.models import Message
    from tenants.models import Connection
    from tenants.scope import scope
    from tests.story import write_campaign

    campaign = write_campaign(workspace, name="Usual way")
    with scope(workspace), Meter() as meter:
        run = plan.schedule(campaign, by=owner, now=timezone.now())
        Run.objects.filter(pk=run.pk).update(state=Run.State.COMPLETED)  # the product must not send it, too
        account = account_of(Connection.objects.get())
        sent = 0
        with _sdk_app(account, account.mint().value) as app:
            messaging._get_messaging_service(app)._client.session.mount("http://", _wide_adapter())
            phones = Endpoint.objects.select_related("contact").order_by("pk")[:recipients].iterator(BATCH)
            while batch := list(islice(phones, BATCH)):
                answers = messaging.send_each([_message(phone) for phone in batch], app=app).responses
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
    return meter.measured("firebase-admin send_each + ORM", recipients)


def _wide_adapter():
    """As many connections as send_each has threads: with the default of ten it would reconnect all the time."""
    from requests.adapters import HTTPAdapter

    return HTTPAdapter(pool_connections=BATCH, pool_maxsize=BATCH)


def _message(phone):
    from firebase_admin import messaging

    name = phone.contact.attributes.get("first_name", "you")
    message = messaging.Message(
        notification=messaging.Notification(title=f"Hello {name}", body="Twenty per cent off today."),
        data={"pp_ref": f"usual.{phone.pk}"},
    )
    message.token = phone.value
    return message


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--baseline-recipients", type=int, default=3_000)
    parser.add_argument("--latency-ms", type=int, nargs=2, default=(50, 100))
    parser.add_argument("--database", default="sqlite", help="sqlite, or postgres://user@host/database of a server")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_sandbox(folder / "sandbox") as sandbox, laboratory.fresh_database(chosen.database, folder) as url:
            laboratory.prepare_environment(folder, url, sandbox.url)
            import django

            django.setup()
            compare(chosen, sandbox)
    return 0


def compare(chosen: argparse.Namespace, sandbox: Sandbox) -> None:
    from django.core.management import call_command
    from django.db import connection

    from delivery.connections import connect_sandbox
    from tenants.models import User
    from tenants.workspaces import create_workspace
    from tests.story import add_people

    call_command("migrate", verbosity=0)
    owner = User.objects.create_user("owner@benchmarks.test", "irrelevant")
    workspace = create_workspace("Benchmarks", owner=owner)
    connect_sandbox(workspace, by=owner)
    sandbox.settings(latency_ms=list(chosen.latency_ms))
    add_people(workspace, chosen.recipients)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum would have done by the time of a send
    baseline = send_the_usual_way(workspace, owner, chosen.baseline_recipients)
    product = send_with_the_product(workspace, owner, chosen.recipients)
    low, high = chosen.latency_ms
    print(f"{connection.vendor}, sandbox latency {low}–{high} ms, one process sends; CPU in ms per 1,000 messages\n")
    print(f"{'':<34}{'messages':>9}{'messages/s':>12}{'CPU process':>14}{'database':>12}{'less CPU':>11}")
    for measured in (baseline, product):
        print(measured.line(baseline))
    connection.close()


if __name__ == "__main__":
    sys.exit(main())
