"""The only writer of Message. Every write is one statement for many rows: bulk_update cost 35 to
75 times as much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from django.db import connection as database
from django.db import transaction
from django.db.models import Count, F, JSONField, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Endpoint, Run
from delivery.engine import statements
from delivery.engine.answers import Answer, added, answer
from delivery.models import Message, Shard
from delivery.providers.base import Verdict

Tally = dict[str, int]
CHUNK = 50_000
# policy resend: a recipient who may have got so many copies becomes unknown instead
MOST_COPIES = 4
# a run may end by the clock of a tick that began before its last worker was done
LATE_TICK = timedelta(minutes=1)
WORKER_DIED = "WORKER_DIED"
"""The code of a row whose worker ended before it wrote an outcome."""
REGISTERED_SINCE = timedelta(seconds=30)  # longer than an answer may take

_INSERT = """
    WITH audience (contact_id, endpoint_id, reason) AS ({audience})
    INSERT INTO delivery_message (workspace_id, run_id, contact_id, endpoint_id, reason,
                                  attempts, retries, possible_duplicate, provider_id, error_code,
                                  request)
    SELECT %s, %s, contact_id, endpoint_id, reason, 0, 0, 0, '', '', 0 FROM audience WHERE true
    ON CONFLICT DO NOTHING"""

# A contact that was deleted since the request was accepted has a row as well.
_INSERT_DIRECT = """
    WITH audience (contact_id, endpoint_id, reason) AS ({audience}),
    asked (request, contact_id, is_late) AS ({asked})
    INSERT INTO delivery_message (workspace_id, run_id, contact_id, endpoint_id, reason,
                                  attempts, retries, possible_duplicate, provider_id, error_code,
                                  request)
    SELECT %s, %s, asked.contact_id, audience.endpoint_id,
        CASE WHEN audience.contact_id IS NULL THEN %s
            WHEN audience.reason = 0 AND asked.is_late = 1 THEN %s ELSE audience.reason END,
        0, 0, 0, '', '', asked.request
    FROM asked LEFT JOIN audience ON audience.contact_id = asked.contact_id
    WHERE true ORDER BY asked.request, asked.contact_id, audience.endpoint_id
    RETURNING id, reason"""
_ASKED_POSTGRESQL = """SELECT request, contact_id, is_late FROM json_to_recordset(%s::json)
        AS a(request bigint, contact_id bigint, is_late smallint)"""
_ASKED_SQLITE = """SELECT json_extract(value, '$.request'), json_extract(value, '$.contact_id'),
        json_extract(value, '$.is_late') FROM json_each(%s)"""

_SET = """
    UPDATE delivery_message SET
        reason = o.reason, attempts = delivery_message.attempts + o.attempted,
        possible_duplicate = delivery_message.possible_duplicate + o.duplicate,
        attempted_at = COALESCE(o.attempted_at, delivery_message.attempted_at), due_at = o.due_at,
        retries = delivery_message.retries + o.retried,
        revision = CASE WHEN o.attempted + o.duplicate > 0 THEN %s
            ELSE delivery_message.revision END,
        provider_id = o.provider_id, error_code = o.error_code{answers}
    FROM {outcomes}
    WHERE delivery_message.id = o.id AND delivery_message.reason = 0
    RETURNING delivery_message.reason"""
# Appended for rows that were not simply accepted. The statement of a group that was leaves the
# column out, because looking at it costs time even when nothing is added.
_SET_ANSWERS = """,
        answers = CASE WHEN o.answer IS NULL THEN delivery_message.answers ELSE {added} END"""
_OUTCOMES_POSTGRESQL = """json_to_recordset(%s::json) AS o(
        id bigint, reason smallint, attempted smallint, duplicate smallint, retried smallint,
        attempted_at timestamptz, due_at timestamptz, provider_id text, error_code text{answer})"""
_FIELDS = (
    "id",
    "reason",
    "attempted",
    "duplicate",
    "retried",
    "attempted_at",
    "due_at",
    "provider_id",
    "error_code",
)


class Result(msgspec.Struct, gc=False):
    """What is to be written about one message. `attempted`, `duplicate` and `retried` are added
    to the row's counts, `answer` to its answers."""

    id: int
    reason: int
    attempted: int = 0
    duplicate: int = 0
    retried: int = 0
    attempted_at: str | None = None
    due_at: str | None = None
    provider_id: str = ""
    error_code: str = ""
    answer: Answer | msgspec.UnsetType = msgspec.UNSET


def fix_audience(run: Run, recipients: QuerySet[Any, Any]) -> None:
    """Write one row per recipient of the query (audience.selection.recipients); running it again
    adds nothing."""
    sql, parameters = recipients.query.sql_with_params()
    with database.cursor() as cursor:
        cursor.execute(_INSERT.format(audience=sql), [*parameters, run.workspace_id, run.pk])


class Asked(msgspec.Struct, gc=False):
    """One person of a direct send. `is_late`: its time was over before a worker took it."""

    request: int
    contact_id: int
    is_late: int


def fix_direct(
    run: Run, recipients: QuerySet[Any, Any], asked: Sequence[Asked]
) -> list[tuple[int, int]]:
    """Write the rows of direct sends, whose contacts are in the query (audience.selection.named).
    Returns (id, reason) of each. Call it once: with the run locked, in the transaction that
    notes the run on the sends."""
    sql, parameters = recipients.order_by().query.sql_with_params()
    pairs = _ASKED_SQLITE
    if statements.is_postgresql():
        pairs = _ASKED_POSTGRESQL
    values = [*parameters, msgspec.json.encode(asked).decode(), run.workspace_id, run.pk]
    with database.cursor() as cursor:
        cursor.execute(
            _INSERT_DIRECT.format(audience=sql, asked=pairs),
            [*values, int(Reason.LEFT_AUDIENCE), int(Reason.EXPIRED)],
        )
        return [(pk, reason) for pk, reason in cursor.fetchall()]


def hand_over(message_ids: Collection[int], now: datetime) -> None:
    """Note that these direct messages go to the provider now. In the transaction of the fence, so
    that a trace shows it also while the answer is awaited, and after a crash."""
    Message.objects.filter(pk__in=message_ids).update(sent_at=now)


def fix_broadcast(run: Run) -> None:
    """The one row of a broadcast; running it again adds nothing."""
    Message.objects.bulk_create([Message(workspace=run.workspace, run=run)], ignore_conflicts=True)


def results(found: Sequence[Result], revision: int) -> Tally:
    """Write outcomes of pending rows, of content revision `revision`; a row that has one already
    keeps it.

    Returns {reason slug: rows settled}: rows that wait for a retry are not settled, else they
    would count again.
    """
    if not found:
        return {}
    has_answers = False
    for one in found:
        if one.answer:
            one.answer.revision, has_answers = revision, True
    sql = _setting(is_postgresql=statements.is_postgresql(), has_answers=has_answers)
    written = Counter(
        row[0] for row in statements.run(sql, [revision, msgspec.json.encode(found).decode()])
    )
    return as_tally({reason: n for reason, n in written.items() if not Reason(reason).is_waiting})


@cache
def _setting(*, is_postgresql: bool, has_answers: bool) -> str:
    answers = _SET_ANSWERS.format(added=added("o.answer")) if has_answers else ""
    if is_postgresql:
        outcomes = _OUTCOMES_POSTGRESQL.format(answer=", answer jsonb" if has_answers else "")
    else:
        names = (*_FIELDS, "answer") if has_answers else _FIELDS
        columns = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in names)
        outcomes = f"(SELECT {columns} FROM json_each(%s)) AS o"  # noqa: S608 - names of ours
    return _SET.format(outcomes=outcomes, answers=answers)


def retire(gone: dict[int, str], now: datetime) -> int:
    """Retire endpoints, {endpoint id: the provider's code}, so that later runs skip them. An
    endpoint that was registered again since the send stays. Returns how many."""
    if not gone:
        return 0
    rows = Endpoint.objects.filter(pk__in=gone)
    # In another order, two runs' workers would deadlock.
    list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    silent = Q(last_seen_at__isnull=True) | Q(last_seen_at__lt=now - REGISTERED_SINCE)
    retired = 0
    for code in set(gone.values()):
        ids = [endpoint for endpoint, given in gone.items() if given == code]
        alive = rows.filter(silent, pk__in=ids, is_active=True)
        retired += alive.update(is_active=False, retired_at=now, retired_reason=code)
    return retired


@transaction.atomic
def revive(shard: Shard) -> Counter[str]:
    """Take endpoints into use again that the shard's run retired; returns {the code they were
    retired for: how many}. An endpoint that was registered again since, or retired again later,
    stays as it is."""
    ended_at = shard.run.finished_at
    retired_by = ended_at + LATE_TICK if ended_at else timezone.now()
    gone = (
        _of(shard)
        .filter(reason=Reason.ENDPOINT_GONE)
        .values_list("endpoint_id", "error_code", "attempted_at")
    )
    said = {
        endpoint: (code, at)
        for endpoint, code, at in gone
        if endpoint is not None and at is not None
    }
    retired = Endpoint.objects.filter(
        pk__in=said, is_active=False, retired_at__lte=retired_by
    ).order_by("pk")
    revived: dict[int, str] = {}
    for one in retired.select_for_update(no_key=True):
        code, tried_at = said[one.pk]
        was_silent = one.last_seen_at is None or one.last_seen_at <= tried_at
        if (
            one.retired_reason == code
            and was_silent
            and one.retired_at is not None
            and one.retired_at >= tried_at
        ):
            revived[one.pk] = code
    Endpoint.objects.filter(pk__in=revived).update(
        is_active=True, retired_at=None, retired_reason=""
    )
    return Counter(revived.values())


def mark_window(shard: Shard, now: datetime, *, is_resend: bool) -> Tally:
    """Settle the rows without outcome in a dead worker's window; each of them was possibly sent.
    They become unknown, or wait again as possible duplicates. Returns their tally."""
    if shard.window_from is None or shard.window_to is None:
        return {}
    lost = _between(shard.run, shard.window_from, shard.window_to).filter(reason=Reason.PENDING)
    died = answer(now, Verdict.AMBIGUOUS, WORKER_DIED, "")
    died.revision = shard.revision
    attempt: dict[str, Any] = {
        "attempts": F("attempts") + 1,
        "attempted_at": now,
        "revision": shard.revision,
        "answers": RawSQL(  # noqa: S611 - a text of ours
            added("%s"), [msgspec.json.encode(died).decode()], JSONField()
        ),
    }
    given_up = lost
    if is_resend:
        given_up = lost.filter(possible_duplicate__gte=MOST_COPIES)
    count = given_up.update(reason=Reason.UNKNOWN, error_code=WORKER_DIED, **attempt)
    if is_resend:
        lost.update(possible_duplicate=F("possible_duplicate") + 1, **attempt)
    if count:
        return {Reason.UNKNOWN.slug: count}
    return {}


def reopen(run: Run, reason: Reason, *, to: Reason) -> int:
    """Let rows that ended with `reason` wait again, or end with `to`; their shards' tallies
    follow. Returns how many.

    Call with the run locked and no shard leased. Unknown ones that wait again are possible
    duplicates.
    """
    moved = 0
    for shard in Shard.objects.filter(run=run):
        if reason == Reason.REJECTED and not shard.tally.get(reason.slug):
            continue
        own = _between(run, shard.first_id, shard.last_id).filter(reason=reason)
        changes: dict[str, Any] = {"reason": to}
        if to == Reason.PENDING:
            flag = 0
            if reason == Reason.UNKNOWN:
                flag = 1
            changes |= {
                "retries": 0,
                "due_at": None,
                "possible_duplicate": F("possible_duplicate") + flag,
            }
        count = own.update(**changes)
        # Rows that the end of the run made unknown stand in no shard's tally.
        known = min(count, shard.tally.get(reason.slug, 0))
        left = add(
            shard.tally, {reason.slug: -known}, {} if to == Reason.PENDING else {to.slug: known}
        )
        state = Shard.State.OPEN if to == Reason.PENDING and count else shard.state
        Shard.objects.filter(pk=shard.pk).update(tally=left, state=state, not_before=timezone.now())
        moved += count
    return moved


def waiting_ids(shard: Shard) -> list[int]:
    """The shard's rows that can be sent now, in order."""
    rows = _of(shard).filter(reason=Reason.PENDING)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def waits(shard: Shard) -> bool:
    """Whether any of its rows can be sent now."""
    return _of(shard).filter(reason=Reason.PENDING).exists()


def requeue_retries(shard: Shard, now: datetime) -> int:
    """Let rows whose retry is due wait for a worker; returns how many."""
    due = _of(shard).filter(reason=Reason.RETRY_SCHEDULED, due_at__lte=now)
    return due.update(reason=Reason.PENDING, due_at=None)


def next_retry(shard: Shard) -> datetime | None:
    """When the shard's earliest retry is due; None if nothing waits for one."""
    waiting = _of(shard).filter(reason=Reason.RETRY_SCHEDULED)
    return waiting.order_by("due_at").values_list("due_at", flat=True).first()


def deferred(shard: Shard) -> dict[str, int]:
    """{platform: rows} that wait until the platform can be reached."""
    rows = _of(shard).filter(reason=Reason.DEFERRED).order_by().values_list("endpoint__platform")
    return {platform or "": n for platform, n in rows.annotate(n=Count("pk"))}


def requeue_deferred(shard: Shard, held: Collection[str]) -> int:
    """Let deferred rows wait for a worker, except those of platforms that are still `held`;
    returns how many."""
    rows = _of(shard).filter(reason=Reason.DEFERRED).exclude(endpoint__platform__in=held)
    return rows.update(reason=Reason.PENDING)


def next_deferred(shard: Shard, platform: str, *, after: int) -> int | None:
    """The id of the platform's next deferred row; after the last one, of its first."""
    rows = _of(shard).filter(reason=Reason.DEFERRED, endpoint__platform=platform).order_by("pk")
    ids = rows.values_list("pk", flat=True)
    return ids.filter(pk__gt=after).first() or ids.first()


def requeue(message_id: int) -> None:
    """Let one deferred row wait for a worker."""
    Message.objects.filter(pk=message_id, reason=Reason.DEFERRED).update(reason=Reason.PENDING)


def reject_deferred(shard: Shard) -> int:
    """Reject the deferred rows with the code that they have; returns how many. Call with the
    shard locked."""
    count = _of(shard).filter(reason=Reason.DEFERRED).update(reason=Reason.REJECTED)
    before = Shard.objects.values_list("tally", flat=True).get(pk=shard.pk)
    changes = {"tally": add(before, {Reason.REJECTED.slug: count}), "held": {}, "held_until": None}
    Shard.objects.filter(pk=shard.pk).update(**changes)
    return count


def close_waiting(run: Run, reason: Reason) -> bool:
    """End the next chunk of the waiting rows with this reason; a possible duplicate becomes
    unknown instead. False if none was left. A million in one statement would lock SQLite for
    seconds."""
    waiting = Message.objects.filter(run=run, reason__lt=100)
    first = waiting.order_by("pk").values_list("pk", flat=True).first()
    if first is None:
        return False
    chunk = waiting.filter(pk__gte=first, pk__lt=first + CHUNK)
    with transaction.atomic():
        chunk.filter(possible_duplicate__gt=0).update(reason=Reason.UNKNOWN, due_at=None)
        chunk.update(reason=reason, due_at=None)
    return True


def tally(run: Run) -> Tally:
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
    sql = (
        "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM "
        "delivery_message WHERE run_id = %s AND reason = 0) AS waiting WHERE place %% %s = 0 ORDER "
        "BY id"
    )
    return [row[0] for row in statements.run(sql, [run.pk, every])]


def _of(shard: Shard) -> QuerySet[Message, Message]:
    return _between(shard.run, shard.first_id, shard.last_id)


def _between(run: Run, first: int, last: int) -> QuerySet[Message, Message]:
    """By the primary key. `+ 0` hides the run's index, by which SQLite read all of a run for
    each of its shards: 65 to 120 ms at a million rows, now 3."""
    rows = Message.objects.alias(of=F("run_id") + 0)
    return rows.filter(of=run.pk, pk__gte=first, pk__lte=last)


def live_tally(run: Run, shards: Iterable[Shard] | None = None) -> Tally:
    """The run's tally at this moment, from counters alone: outcomes, and `pending` for everyone
    else.

    While a run is under way its tally holds what preparation skipped and each shard's what it
    has settled; afterwards the run's holds all. Equal to `tally(run)` but for rows waiting for a
    retry, which count as pending here. `shards` spares the query to who has them.
    """
    if run.is_ended and run.finished_at:
        return dict(run.tally)
    total = add(run.tally, *(shard.tally for shard in shards or Shard.objects.filter(run=run)))
    waiting = (run.audience_size or 0) - sum(total.values())
    if waiting > 0:
        return {**total, Reason.PENDING.slug: waiting}
    return total
