"""The last look at recipients before they are sent to: the gates that campaigns.audience.gates
asks again, with consent and endpoints as they are now, not as they were when the audience was
fixed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from django.db.models import BooleanField, F, FilteredRelation, Func, Q, Value

from campaigns.audience import gates
from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery.engine import statements
from delivery.engine.compose import Composes, NotComposable, Recipient
from delivery.engine.record import Result
from delivery.engine.statements import plain
from delivery.models import Message, Reach
from delivery.providers.base import Manners
from tenants.scope import every_workspace

Group = list[tuple[Recipient, bytes]]
Whom = TypeVar("Whom")
COMPOSE_SECS = 2.0

_COLUMNS = (
    "pk",
    "retries",
    "possible_duplicate",
    "request",
    "contact_id",
    "endpoint_id",
    "reached__kind",
    "reached__value",
    "reached__platform",
    "contact__external_id",
    "contact__language",
    "contact__country",
    "contact__time_zone",
    "contact__attributes",
    "stopped",
)
_IDS = object()  # stands in a compiled statement for the ids that it is executed with
_NOBODY = {"external_id": "", "language": "", "country": "", "time_zone": "", "attributes": {}}


def compose(
    run: Run, composer: Composes, ids: list[int], held: Mapping[str, Reach]
) -> tuple[Group, list[Result], list[int]]:
    """Return (recipients with their bodies, results of skipped rows, ids not reached). Stops
    after COMPOSE_SECS, so that a slow template cannot outlast the lease. `held`: platforms that
    nothing is sent to, except for the probe."""
    group: Group = []
    skipped: list[Result] = []
    until = time.monotonic() + COMPOSE_SECS
    rows = _rows(ids, run)
    for place, row in enumerate(rows):
        if place and time.monotonic() >= until:
            return group, skipped, [row[0] for row in rows[place:]]
        try:
            recipient = _recipient(run, row)
            hold = held.get(recipient.platform)
            if hold is not None and hold.probe != recipient.message_id:
                raise NotComposable(Reason.DEFERRED, hold.code)
            group.append((recipient, composer.compose(recipient)))
        except NotComposable as stopped:
            skipped.append(Result(row[0], stopped.reason, error_code=plain(stopped.code, 64)))
    return group, skipped, []


def batches(
    group: list[tuple[Whom, bytes]], manners: Manners
) -> Iterator[list[tuple[Whom, bytes]]]:
    """Cut a group into batches that the provider takes, in order."""
    most = manners.batch or len(group)
    batch: list[tuple[Whom, bytes]] = []
    size = 0
    for one in group:
        size += len(one[1])
        if batch and (len(batch) == most or size > (manners.batch_bytes or size)):
            yield batch
            batch, size = [], len(one[1])
        batch.append(one)
    if batch:
        yield batch


class _IsAsked(Func):
    """Whether a row's key is one of _IDS. By ids that were read once per shard: with a range and
    a LIMIT instead, PostgreSQL joined all that was left of the shard before it sorted and cut
    (13 ms a group)."""

    output_field = BooleanField()
    template, arg_joiner = "%(expressions)s)", " = ANY("

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        among = " IN (SELECT value FROM json_each("
        return self.as_sql(
            compiler, connection, template="%(expressions)s))", arg_joiner=among, **extra
        )


@cache
def _statement(channel: str, *, is_transactional: bool) -> tuple[str, list[Any], int]:
    """The SQL that reads rows with the gate that stops each, its values, and the place of the
    ids among the values. Compiled once in a process, so it names no workspace."""
    own = Q(endpoint__channel=channel, endpoint__contact=F("contact"))
    with every_workspace():
        waiting = Message.objects.filter(_IsAsked(F("pk"), Value(_IDS)), reason=Reason.PENDING)
        joined = waiting.annotate(reached=FilteredRelation("endpoint", condition=own))
        stopped = gates.at_dispatch(channel, is_transactional=is_transactional)
        rows = joined.annotate(stopped=stopped).order_by("pk").values_list(*_COLUMNS)
        sql, values = rows.query.sql_with_params()
    return sql, list(values), list(values).index(_IDS)


def _rows(ids: list[int], run: Run) -> list[tuple[Any, ...]]:
    sql, values, place = _statement(run.channel, is_transactional=run.is_transactional)
    given: Any = ids if statements.is_postgresql() else json.dumps(ids)
    values = [*values[:place], given, *values[place + 1 :]]
    if not statements.is_postgresql():
        return statements.run(sql, values)
    with statements.by_index():
        return statements.run(sql, values)


def _recipient(run: Run, row: tuple[Any, ...]) -> Recipient:
    """Raises NotComposable if a gate stops the recipient."""
    pk, retries, duplicates, request, contact_id, endpoint_id, kind, value, platform, *person = row
    *contact, stopped = person
    if contact_id is None and run.is_broadcast:
        return Recipient(pk, None, run.target_kind, run.target, retries, _NOBODY, duplicates)
    if stopped != Reason.PENDING:
        raise NotComposable(Reason(stopped), "")
    external_id, language, country, time_zone, attributes = contact
    known = {
        "external_id": external_id,
        "language": language,
        "country": country,
        "time_zone": time_zone,
        "attributes": _decoded(attributes),
    }
    return Recipient(pk, endpoint_id, kind, value, retries, known, duplicates, platform, request)


def _decoded(attributes: Any) -> dict[str, Any]:
    if not isinstance(attributes, str):
        return dict(attributes)
    try:
        found: dict[str, Any] = msgspec.json.decode(attributes)
    # SQLite keeps lone surrogates, which only Python's decoder takes
    except (msgspec.DecodeError, UnicodeError):
        found = json.loads(attributes)
    return found
