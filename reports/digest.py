"""Events are digested: deduplicated, resolved, stored, folded into roll-ups, and their effects
written downwards.

A claim takes batches in order by a conditional update; the work on them is one transaction that
ends by deleting them. Killed anywhere, the transaction is undone and the batches are found again
when their lease has passed. Should two workers ever hold the same batch, the event ids make the
second pass count nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import msgspec
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from campaigns.contacts import consent
from campaigns.models import Contact, Endpoint
from delivery.engine import heartbeat
from pushpilot.lib import wake
from reports import effects, intake, store
from reports.effects import SIGNS_OF_LIFE, WORDS, About
from reports.models import InboxBatch
from reports.store import EngagementRow, EventRow, RollupKey
from tenants import keys
from tenants.models import Workspace
from tenants.scope import every_workspace, scope

logger = logging.getLogger(__name__)

SLICE = timedelta(seconds=20)
LEASE = timedelta(seconds=30)
BACKOFF = timedelta(seconds=5)
# A workspace's batches are digested together: a phone posts one event a request, and alone each
# would pay for a commit of its own. The events are capped, so that a transaction takes about a
# second and a lease never runs out.
GROUP = 500
GROUP_EVENTS = 5_000
QUARTER_SECS = 900

_encoder = msgspec.json.Encoder()


def digest_due(now: datetime) -> int:
    """Digest due batches in order for one slice; rings for what is left. Returns how many
    batches were digested."""
    intake.bell_heard()
    done, until = 0, now + SLICE
    with every_workspace():
        while timezone.now() < until and not heartbeat.is_stopping():
            claimed = _claim(timezone.now())
            if not claimed:
                break
            done += _digest_claimed(claimed)
        more = _due(timezone.now()).exists()
    if more:
        wake.ring("digest")
    return done


def quarter_of(moment: datetime) -> datetime:
    """The start of the quarter of an hour that the moment lies in, UTC."""
    stamp = int(moment.timestamp())
    return datetime.fromtimestamp(stamp - stamp % QUARTER_SECS, UTC)


def _due(now: datetime) -> QuerySet[InboxBatch, InboxBatch]:
    return InboxBatch.objects.filter(not_before__lte=now, attempts__lt=InboxBatch.MAX_ATTEMPTS)


@transaction.atomic
def _claim(now: datetime) -> list[InboxBatch]:
    """The oldest due batch with its workspace's next ones, for LEASE. One that failed before is
    taken alone."""
    due = _due(now).order_by("id")
    # skip_locked: another worker's claim in this very moment; SQLite has one writer at a time
    # anyway.
    if connection.features.has_select_for_update_skip_locked:
        due = due.select_for_update(skip_locked=True)
    oldest = due.first()
    if oldest is None:
        return []
    if oldest.attempts:
        claimed = [oldest]
    else:
        together = due.filter(workspace=oldest.workspace_id, attempts=0, id__gte=oldest.pk)[:GROUP]
        events = accumulate(batch.count for batch in together)
        claimed = [
            batch for batch, total in zip(together, events, strict=True) if total <= GROUP_EVENTS
        ]
    InboxBatch.objects.filter(pk__in=[batch.pk for batch in claimed]).update(
        attempts=F("attempts") + 1, not_before=now + LEASE
    )
    return claimed


def _digest_claimed(batches: Sequence[InboxBatch]) -> int:
    """Digest them together; if that fails, one by one, so that a poisoned batch stops no other."""
    try:
        workspace = Workspace.objects.get(pk=batches[0].workspace_id)
        with scope(workspace):
            _digest(workspace, batches)
        return len(batches)
    except Exception as error:
        if len(batches) == 1:
            _put_back(batches[0], error)
            return 0
        logger.info(
            "a group of %d batches failed; digesting them one by one", len(batches), exc_info=True
        )
    return sum(_digest_claimed([batch]) for batch in batches)


def _put_back(batch: InboxBatch, error: Exception) -> None:
    tries = batch.attempts + 1
    logger.exception("event batch %s could not be digested (try %s)", batch.pk, tries)
    again_at = timezone.now() + BACKOFF * 2**tries
    InboxBatch.objects.filter(pk=batch.pk).update(
        not_before=again_at,
        last_error=f"{type(error).__name__}: {error}".replace("\0", "")[:500],
    )
    if tries < InboxBatch.MAX_ATTEMPTS:
        wake.ring("digest", at=again_at)


@dataclass(slots=True)
class _Incoming:
    """An event of a claimed batch with its message and its person."""

    event: intake.AcceptedEvent
    received_at: datetime
    about: About


@transaction.atomic
def _digest(workspace: Workspace, batches: Sequence[InboxBatch]) -> None:
    """All of it in one transaction: events, firsts, roll-ups, effects, and the batches' end."""
    incoming = _read(workspace, batches)
    inserted = store.insert_events([_row(workspace, found) for found in incoming.values()])
    fresh = [found for event_id, found in incoming.items() if event_id in inserted]
    _count(workspace, fresh)
    _hear(workspace, [found for found in fresh if found.event.type in WORDS])
    _mark_seen(fresh)
    used = {batch.key_id for batch in batches if batch.key_id}
    latest = max(batch.received_at for batch in batches)
    keys.note_use(used, latest)
    InboxBatch.objects.filter(pk__in=[batch.pk for batch in batches]).delete()


def _read(workspace: Workspace, batches: Sequence[InboxBatch]) -> dict[str, _Incoming]:
    """{event id: its first event}."""
    first: dict[str, tuple[intake.AcceptedEvent, datetime]] = {}
    for batch in batches:
        for event in intake.read_stored(batch):
            first.setdefault(event.event_id, (event, batch.received_at))
    abouts = effects.resolve(workspace, [event for event, _ in first.values()])
    return {
        event_id: _Incoming(event, received_at, about)
        for (event_id, (event, received_at)), about in zip(first.items(), abouts, strict=True)
    }


def _row(workspace: Workspace, found: _Incoming) -> EventRow:
    event, about = found.event, found.about
    return EventRow(
        workspace.pk,
        event.event_id,
        event.type,
        event.name,
        about.campaign_id,
        about.run_id,
        about.message_id,
        about.contact_id,
        event.external_user_id,
        event.occurred_at,
        found.received_at,
        _encoder.encode(event.metadata).decode(),
    )


def _count(workspace: Workspace, fresh: Sequence[_Incoming]) -> None:
    """Firsts, then roll-ups: aggregated here, added in one statement."""
    firsts: dict[tuple[int, str], EngagementRow] = {}
    events: Counter[RollupKey] = Counter()
    people: Counter[RollupKey] = Counter()
    for found in fresh:
        kind, at, about = found.event.type, found.event.occurred_at, found.about
        events[
            RollupKey(workspace.pk, quarter_of(at), about.campaign_id or 0, about.run_id or 0, kind)
        ] += 1
        if about.message_id is None or about.campaign_id is None or about.run_id is None:
            continue
        key = (about.message_id, kind)
        if key not in firsts or at < firsts[key].first_at:
            firsts[key] = EngagementRow(
                workspace.pk, about.campaign_id, about.run_id, about.message_id, kind, at
            )
    for key in store.insert_engagements(list(firsts.values())):
        row = firsts[key]
        people[
            RollupKey(workspace.pk, quarter_of(row.first_at), row.campaign_id, row.run_id, row.type)
        ] += 1
    store.add_to_rollups({key: (count, people[key]) for key, count in events.items()})


def _hear(workspace: Workspace, fresh: Sequence[_Incoming]) -> None:
    """What people said about a channel, if their sender has proven who they are."""
    said = [found for found in fresh if found.about.is_proven]
    words = effects.words_of([(found.event, found.about, found.received_at) for found in said])
    if words:
        consent.record(workspace, words)


def _mark_seen(fresh: Sequence[_Incoming]) -> None:
    """The person was seen, and the address that the message went to. Contacts are locked before
    endpoints, as where addresses are registered."""
    people: dict[int, datetime] = {}
    endpoints: dict[int, datetime] = {}
    for found in fresh:
        if found.event.type not in SIGNS_OF_LIFE:
            continue
        at, person, endpoint = (
            found.event.occurred_at,
            found.about.person_id,
            found.about.endpoint_id,
        )
        if person is not None:
            people[person] = max(at, people.get(person, at))
        if endpoint is not None:
            endpoints[endpoint] = max(at, endpoints.get(endpoint, at))
    if people:
        consent.lock_contacts(sorted(people))
        store.move_last_seen(Contact, people)
    if endpoints:
        locked = (
            Endpoint.objects.filter(pk__in=endpoints).select_for_update(no_key=True).order_by("pk")
        )
        list(locked.values_list("pk", flat=True))
        store.move_last_seen(Endpoint, endpoints)
