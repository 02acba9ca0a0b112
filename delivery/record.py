"""The only writer of Message. Everything is set-based: bulk_update cost 35-75 times as much on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection as database
from django.db.models import Count, F, Q, QuerySet

from campaigns.models import Endpoint, Run
from campaigns.reasons import Reason
from delivery.models import Message, Shard

Tally = dict[str, int]

_INSERT = """
    WITH audience (contact_id, endpoint_id, reason) AS ({audience})
    INSERT INTO delivery_message (workspace_id, run_id, contact_id, endpoint_id, reason,
                                  attempts, possible_duplicate, provider_id, error_code)
    SELECT %s, %s, contact_id, endpoint_id, reason, 0, 0, '', '' FROM audience WHERE true
    ON CONFLICT DO NOTHING"""

_SET = """
    UPDATE delivery_message SET
        reason = o.reason, attempts = delivery_message.attempts + o.attempted,
        possible_duplicate = delivery_message.possible_duplicate + o.duplicate,
        attempted_at = COALESCE(o.attempted_at, delivery_message.attempted_at), due_at = o.due_at,
        provider_id = o.provider_id, error_code = o.error_code
    FROM {outcomes}
    WHERE delivery_message.id = o.id AND delivery_message.reason = 0
    RETURNING delivery_message.reason"""
_OUTCOMES_POSTGRESQL = """json_to_recordset(%s::json) AS o(id bigint, reason smallint, attempted smallint,
        duplicate smallint, attempted_at timestamptz, due_at timestamptz, provider_id text, error_code text)"""
_FIELDS = ("id", "reason", "attempted", "duplicate", "attempted_at", "due_at", "provider_id", "error_code")
_COLUMNS = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _FIELDS)
_OUTCOMES_SQLITE = f"(SELECT {_COLUMNS} FROM json_each(%s)) AS o"  # noqa: S608 - names of ours


@dataclass(slots=True)
class Result:
    """What is to be written about one message. `attempted` and `duplicate` are added to the row's counts."""

    id: int
    reason: int
    attempted: int = 0
    duplicate: int = 0
    attempted_at: str | None = None
    due_at: str | None = None
    provider_id: str = ""
    error_code: str = ""


def stamp(moment: datetime) -> str:
    """A moment as both databases read it from JSON."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f") + ("+00:00" if database.vendor == "postgresql" else "")


def fix_audience(run: Run, recipients: QuerySet[Any, Any]) -> None:
    """Write one row per recipient of the query (see campaigns.audience.recipients); running it again adds nothing."""
    sql, parameters = recipients.query.sql_with_params()
    with database.cursor() as cursor:
        cursor.execute(_INSERT.format(audience=sql), [*parameters, run.workspace_id, run.pk])


def results(found: Sequence[Result]) -> Tally:
    """Write outcomes of pending rows; a row that has one already keeps it. Returns {reason slug: rows settled}: rows
    that wait for a retry are not settled, else they would count again after it."""
    if not found:
        return {}
    is_postgresql = database.vendor == "postgresql"
    sql = _SET.format(outcomes=_OUTCOMES_POSTGRESQL if is_postgresql else _OUTCOMES_SQLITE)
    with database.cursor() as cursor:
        cursor.execute(sql, [msgspec.json.encode(found).decode()])
        written = Counter(row[0] for row in cursor.fetchall())
    return as_tally({reason: n for reason, n in written.items() if not Reason(reason).is_waiting})


def retire(gone: dict[int, str], now: datetime) -> None:
    """Retire endpoints: {endpoint id: the provider's code}. Later runs skip them."""
    for code in sorted(set(gone.values())):  # in one order everywhere, or two workers deadlock
        ids = [endpoint for endpoint, given in gone.items() if given == code]
        Endpoint.objects.filter(pk__in=ids, is_active=True).update(is_active=False, retired_at=now, retired_reason=code)


def mark_window(shard: Shard, reason: Reason, now: datetime) -> Tally:
    """The rows of a dead worker's window that have no outcome: each was possibly sent. Returns their tally."""
    if shard.window_from is None or shard.window_to is None:
        return {}
    lost = _waiting(shard.run).filter(pk__gte=shard.window_from, pk__lte=shard.window_to, reason=Reason.PENDING)
    if reason == Reason.PENDING:
        lost.update(possible_duplicate=F("possible_duplicate") + 1, attempts=F("attempts") + 1, attempted_at=now)
        return {}
    count = lost.update(reason=reason, attempts=F("attempts") + 1, attempted_at=now, error_code="WORKER_DIED")
    return {reason.slug: count} if count else {}


def waiting_ids(shard: Shard) -> list[int]:
    """The shard's rows that can be sent now, in order."""
    rows = _waiting(shard.run).filter(pk__gte=shard.first_id, pk__lte=shard.last_id, reason=Reason.PENDING)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def wake_retries(shard: Shard, now: datetime) -> int:
    """Rows whose retry is due are waiting again; returns how many."""
    due = _waiting(shard.run).filter(
        pk__gte=shard.first_id, pk__lte=shard.last_id, reason=Reason.RETRY_SCHEDULED, due_at__lte=now
    )
    return due.update(reason=Reason.PENDING, due_at=None)


def next_retry(shard: Shard) -> datetime | None:
    """When the shard's earliest retry is due; None if nothing waits for one."""
    waiting = _waiting(shard.run).filter(pk__gte=shard.first_id, pk__lte=shard.last_id, reason=Reason.RETRY_SCHEDULED)
    return waiting.order_by("due_at").values_list("due_at", flat=True).first()


def close_waiting(run: Run, reason: Reason) -> None:
    """Every row that still waits ends with this reason; one that may have gone out already is unknown instead."""
    waiting = _waiting(run).filter(reason__lt=100)
    waiting.filter(possible_duplicate__gt=0).update(reason=Reason.UNKNOWN, due_at=None)
    waiting.update(reason=reason, due_at=None)


def account(run: Run) -> Tally:
    """{reason slug: rows} of the whole run, counted."""
    rows = Message.objects.filter(run=run).order_by().values_list("reason").annotate(n=Count("pk"))
    return as_tally(dict(rows))


def as_tally(counts: dict[int, int] | Counter[int]) -> Tally:
    return {Reason(reason).slug: n for reason, n in sorted(counts.items())}


def add(left: Tally, *others: Tally) -> Tally:
    total = Counter(left)
    for other in others:
        total.update(other)
    return {slug: n for slug, n in total.items() if n}


def pending_ids(run: Run, every: int) -> list[int]:
    """The id of every `every`-th waiting row, in order, beginning with the first: where to cut."""
    ids: Iterable[int] = (
        _waiting(run).filter(reason=Reason.PENDING).order_by("pk").values_list("pk", flat=True).iterator(10_000)
    )
    return [pk for position, pk in enumerate(ids) if position % every == 0]


def _waiting(run: Run) -> QuerySet[Message, Message]:
    return Message.objects.filter(Q(run=run))


def live_account(run: Run, shards: Iterable[Shard] | None = None) -> Tally:
    """The account of a run at this moment, from counters alone: outcomes, and `pending` for everyone else.

    While a run is under way its tally holds what preparation skipped and each shard's what it has settled; afterwards
    the run's holds all. Equal to `account(run)` but for rows waiting for a retry, which count as pending here.
    `shards` spares the query to who has them.
    """
    if run.is_ended and run.finished_at:
        return dict(run.tally)
    total = add(run.tally, *(shard.tally for shard in shards or Shard.objects.filter(run=run)))
    waiting = (run.audience_size or 0) - sum(total.values())
    return {**total, Reason.PENDING.slug: waiting} if waiting > 0 else total
