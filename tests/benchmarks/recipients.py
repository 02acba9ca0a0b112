"""`python -m tests.benchmarks.recipients`: the list of a run's recipients, among a million of them,
and that of all messages as the API pages through it.

Milliseconds of one page of 50 as its reader waits for them: its queries with the rows they
bring, and the CSV of a rare reason. The run has ended; of its rows 98.9 % are accepted, 1 %
gone, 0.1 % refused, ten unknown, ten unsubscribed. A second run of the same size lies beside it,
and 2,000 newer ones of one message each.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.faults import laboratory

ROUNDS = 7
SHARD_ROWS = 10_000
SMALL_RUNS = 2_000


def fill(count: int) -> Any:
    """The run that is looked at."""
    from django.db import connection
    from django.utils import timezone

    from campaigns.models import Campaign, Contact, Endpoint, Revision, Run
    from tenants.models import User
    from tenants.scope import scope
    from tenants.workspaces import create_workspace

    now = timezone.now()
    workspace = create_workspace(
        "Big", owner=User.objects.create_user("o@push.test", "x"), time_zone="Asia/Kolkata"
    )
    with scope(workspace):
        for start in range(0, count, 50_000):
            names = range(start, min(count, start + 50_000))
            people = Contact.objects.bulk_create(
                Contact(
                    workspace=workspace, external_id=f"user-{name}", language="en", country="IN"
                )
                for name in names
            )
            Endpoint.objects.bulk_create(
                Endpoint(
                    workspace=workspace,
                    contact=person,
                    value=f"{person.pk:0160}",
                    platform="android",
                )
                for person in people
            )
        campaign = Campaign.objects.create(workspace=workspace, name="Big")
        revision = Revision.objects.create(
            workspace=workspace, campaign=campaign, number=1, contents=[], digest="0"
        )
        runs = [
            Run.objects.create(
                workspace=workspace, campaign=campaign, revision=revision, intended_at=now.replace(microsecond=number),
                not_after=now, state=Run.State.COMPLETED, started_at=now, audience_size=count,
                finished_at=now + timedelta(hours=1),
            )
            for number in (1, 2)
        ]  # fmt: skip
        for run in runs:
            with connection.cursor() as cursor:
                cursor.execute(_ROWS, [workspace.pk, run.pk])
                cursor.execute(_FATES, [now, run.pk])
            _tally(run)
        _small_runs(runs[0])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return runs[0]


_ROWS = """INSERT INTO delivery_message (workspace_id, run_id, contact_id, endpoint_id, reason, attempts, retries,
                                         possible_duplicate, provider_id, error_code, request)
           SELECT %s, %s, contact_id, id, 0, 0, 0, 0, '', '', 0 FROM campaigns_endpoint ORDER BY contact_id"""
# As the engine does, each row is updated once.
_FATES = """UPDATE delivery_message SET attempts = 1, attempted_at = %s,
                reason = CASE WHEN contact_id %% 100000 = 1 THEN 203 WHEN contact_id %% 100000 = 2 THEN 103
                              WHEN contact_id %% 1000 = 3 THEN 201 WHEN contact_id %% 100 = 4 THEN 202 ELSE 200 END,
                error_code = CASE WHEN contact_id %% 100000 = 1 THEN 'NO_ANSWER' WHEN contact_id %% 1000 = 3
                                  THEN 'HTTP_418' WHEN contact_id %% 100 = 4 THEN 'UNREGISTERED' ELSE '' END
            WHERE run_id = %s"""


def _small_runs(like: Any) -> None:
    """Sends of one message, as a program asks for them."""
    from campaigns.audience.reasons import Reason
    from campaigns.models import Contact, Run
    from delivery.models import Message

    person = Contact.objects.order_by("pk").first()
    runs = Run.objects.bulk_create(
        Run(
            workspace=like.workspace,
            campaign=like.campaign,
            revision=like.revision,
            state=Run.State.COMPLETED,
            intended_at=like.intended_at.replace(microsecond=number + 10),
            not_after=like.not_after,
            started_at=like.started_at,
            finished_at=like.finished_at,
            audience_size=1,
            tally={"accepted": 1},
        )
        for number in range(SMALL_RUNS)
    )
    Message.objects.bulk_create(
        Message(workspace=like.workspace, run=run, contact=person, reason=Reason.ACCEPTED)
        for run in runs
    )


def _tally(run: Any) -> None:
    """The shards as the engine leaves them; who was unsubscribed was skipped before the cut."""
    from django.db.models import Count, F, Max, Min

    from campaigns.audience.reasons import Reason
    from delivery.engine import record
    from delivery.models import Message, Shard

    rows = Message.objects.filter(run=run)
    first = rows.aggregate(first=Min("pk"), last=Max("pk"))
    part = (F("pk") - first["first"]) / SHARD_ROWS
    tallies: dict[int, dict[str, int]] = {}
    worked = rows.exclude(reason=Reason.UNSUBSCRIBED).order_by().annotate(part=part)
    for at, reason, n in worked.values_list("part", "reason").annotate(n=Count("pk")):
        tallies.setdefault(int(at), {})[Reason(reason).slug] = n
    Shard.objects.bulk_create(
        Shard(
            workspace=run.workspace,
            run=run,
            state=Shard.State.DONE,
            tally=tally,
            first_id=first["first"] + at * SHARD_ROWS,
            last_id=first["first"] + (at + 1) * SHARD_ROWS - 1,
        )
        for at, tally in tallies.items()
    )
    run.tally = record.tally(run)
    run.save(update_fields=["tally"])


def run(count: int) -> None:
    from django.core.cache import cache
    from django.db import connection

    from campaigns.audience.reasons import Reason
    from campaigns.models import Run
    from delivery import ledger
    from delivery.admin.run import errors, recipients
    from delivery.admin.run.recipients import Wanted
    from delivery.models import Message
    from delivery.notifications import STATES
    from tenants.scope import scope
    from tests.database import migrate

    migrate()
    looked_at = fill(count)
    with scope(looked_at.workspace):
        rows = Message.objects.filter(run=looked_at).order_by("pk").values_list("contact_id", "pk")
        deep = rows[count * 9 // 10]
        someone = rows[count // 2][0]
        beyond = (looked_at.pk + 1, 0, 0)

    def page(**wanted: Any) -> Callable[[], object]:
        return lambda: recipients.page_of(looked_at, Wanted(**wanted))

    def walked(
        spot: ledger.Spot | None = None, size: int = 20, **asked: Any
    ) -> Callable[[], object]:
        only = {"pk": looked_at.pk} if asked.pop("alone", False) else {}

        def act() -> object:
            runs = Run.objects.filter(**only)
            return ledger.walk(runs, ledger.Asked(**asked), spot, size)

        return act

    def codes() -> object:
        cache.clear()
        return errors.groups_of(looked_at)

    pages = {
        "first page": page(),
        "page at nine tenths": page(after=deep),
        "one contact": page(contact="x", contact_id=someone),
        "refused, 0.1 %": page(reason=Reason.REJECTED),
        "refused, page at nine tenths": page(reason=Reason.REJECTED, after=deep),
        "unknown, ten rows": page(reason=Reason.UNKNOWN),
        "unknown, by its code": page(reason=Reason.UNKNOWN, code="NO_ANSWER"),
        "a reason that nobody has": page(reason=Reason.EXPIRED),
        "skipped before the cut, ten rows": page(reason=Reason.UNSUBSCRIBED),
        "a code without its reason": page(code="NO_ANSWER"),
        "all codes with counts and examples": codes,
        "API, the newest": walked(),
        "API, the newest 200": walked(size=200),
        "API, of one send": walked(alone=True),
        "API, of one send, at nine tenths": walked((looked_at.pk, *deep), alone=True),
        "API, behind 2,000 small sends": walked(beyond),
        "API, one contact in all sends": walked(contact_id=someone),
        "API, refused, all sends": walked(reasons=frozenset({Reason.REJECTED})),
        "API, unknown, one send": walked(reasons=frozenset({Reason.UNKNOWN}), alone=True),
        "API, skipped, one send": walked(reasons=STATES["skipped"], alone=True),
        "API, a minute in which nothing was sent": walked(
            attempted_after=looked_at.started_at + timedelta(minutes=30),
            attempted_before=looked_at.started_at + timedelta(minutes=31),
        ),
        "API, refused before a moment, one send": walked(
            reasons=frozenset({Reason.REJECTED}),
            attempted_before=looked_at.finished_at,
            alone=True,
        ),
        "API, a code of ten rows, one send": walked(code="NO_ANSWER", size=200, alone=True),
    }
    print(
        f"{connection.vendor}, {count:,} recipients in each of two runs; ms per page, median of "
        f"{ROUNDS}\n"
    )
    with scope(looked_at.workspace):
        for name, act in pages.items():
            act()
            print(f"    {name:<44}{statistics.median(_ms(act) for _ in range(ROUNDS)):>9.1f}")
    connection.close()


def _ms(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipients", type=int, default=1_000_000)
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, or postgres://user@host/database of a server"
    )
    chosen = parser.parse_args()
    with laboratory.empty_product(chosen.database):
        run(chosen.recipients)


if __name__ == "__main__":
    main()
