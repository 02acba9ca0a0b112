"""The last look at recipients before they are sent to: consent and devices as they are now, not as they were when the
audience was fixed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery.engine import statements
from delivery.engine.compose import Composer, NotComposable, Recipient
from delivery.engine.record import Result, plain
from delivery.models import Reach

Group = list[tuple[Recipient, bytes]]
COMPOSE_SECS = 2.0

# The condition of consent is that of campaigns.contacts.consent.opted_out.
# By ids that were read once per shard: with a range and a LIMIT instead, PostgreSQL joined all that was left of the
# shard before it sorted and cut (13 ms a group).
_ROWS = """
    SELECT m.id, m.retries, m.possible_duplicate, m.contact_id, m.endpoint_id,
           e.contact_id, e.kind, e.value, e.platform, e.is_active, e.opted_in,
           c.external_id, c.language, c.country, c.time_zone, c.attributes,
           EXISTS (SELECT 1 FROM campaigns_consent o WHERE o.contact_id = m.contact_id
                   AND o.channel IN (e.channel, 'all') AND o.topic = '' AND o.status = 'opted_out'
                   AND NOT EXISTS (SELECT 1 FROM campaigns_consent y WHERE y.contact_id = o.contact_id
                                   AND y.channel IN (e.channel, 'all') AND y.topic = '' AND y.status = 'opted_in'
                                   AND y.at > o.at))
    FROM delivery_message m
    LEFT JOIN campaigns_endpoint e ON e.id = m.endpoint_id
    LEFT JOIN campaigns_contact c ON c.id = m.contact_id
    WHERE m.reason = 0 AND {ids}
    ORDER BY m.id"""
_ROWS_POSTGRESQL = _ROWS.format(ids="m.id = ANY(%s)")
_ROWS_SQLITE = _ROWS.format(ids="m.id IN (SELECT value FROM json_each(%s))")
_NOBODY = {"external_id": "", "language": "", "country": "", "time_zone": "", "attributes": {}}


def compose(
    run: Run, composer: Composer, ids: list[int], held: Mapping[str, Reach]
) -> tuple[Group, list[Result], list[int]]:
    """Of these waiting rows, those that can be sent with their bodies, the outcomes of those that cannot, and which are
    left: a heavy text must not outlast the lease. `held`: platforms that cannot be sent to now, but for one message."""
    group: Group = []
    skipped: list[Result] = []
    until = time.monotonic() + COMPOSE_SECS
    rows = _rows(ids)
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


def _rows(ids: list[int]) -> list[tuple[Any, ...]]:
    if not statements.is_postgresql():
        return statements.run(_ROWS_SQLITE, [json.dumps(ids)])
    with statements.by_index():
        return statements.run(_ROWS_POSTGRESQL, [ids])


def _recipient(run: Run, row: tuple[Any, ...]) -> Recipient:
    """Raises NotComposable for whom a gate stops."""
    pk, retries, duplicates, contact_id, endpoint_id, owner_id, kind, value, *device, is_out = row
    platform, is_active, opted_in, *contact = device
    if contact_id is None and run.is_broadcast:
        return Recipient(pk, None, run.target_kind, run.target, retries, _NOBODY, duplicates)
    external_id, language, country, time_zone, attributes = contact
    if value is None or external_id is None or owner_id != contact_id:  # deleted, or the device has a new owner
        raise NotComposable(Reason.LEFT_AUDIENCE, "deleted since the audience was fixed")
    if is_out:
        raise NotComposable(Reason.UNSUBSCRIBED, "")
    if not is_active:
        raise NotComposable(Reason.ENDPOINT_INACTIVE, "")
    if not opted_in:
        raise NotComposable(Reason.NOT_OPTED_IN, "")
    known = {
        "external_id": external_id, "language": language, "country": country, "time_zone": time_zone,
        "attributes": _decoded(attributes),
    }  # fmt: skip
    return Recipient(pk, endpoint_id, kind, value, retries, known, duplicates, platform)


def _decoded(attributes: Any) -> dict[str, Any]:
    if not isinstance(attributes, str):
        return dict(attributes)
    try:
        found: dict[str, Any] = msgspec.json.decode(attributes)
    except (msgspec.DecodeError, UnicodeError):  # SQLite keeps lone surrogates, which only Python's decoder takes
        found = json.loads(attributes)
    return found
