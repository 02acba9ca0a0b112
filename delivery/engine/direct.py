"""Direct messages on their way into the ledger: what was accepted is gathered into the open run of
its lane, one shard for all that waits.

A run and a shard for each request would make a worker wait for the provider once per request: ten
a second. What comes in while a worker waits is gathered together, so the rate does not depend on
the provider's answers.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Min, QuerySet
from django.utils import timezone

from campaigns import lanes, plan
from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.channels import registry
from campaigns.channels.render import RenderError
from campaigns.models import Campaign, Run
from delivery.engine import record
from delivery.engine.compose import Contents, NotComposable, Recipient, reference_of
from delivery.models import DirectSend, Shard
from delivery.providers.base import Provider
from tenants.models import Connection
from tenants.scope import every_workspace, scope
from tenants.workspaces import lock_if_open

logger = logging.getLogger(__name__)

OPEN_FOR = timedelta(minutes=10)  # a run takes in what comes in this time
SHARDS_MOST = 1_000  # of a run: pages sum their tallies
PEOPLE_MOST = 1_000  # gathered at a time
LANES_MOST = 20  # looked at in one turn; the longest wait comes first
KEPT = timedelta(hours=24)  # contents and data, for a person's decision to send again

State = Run.State
UNDER_WAY = (State.RUNNING, State.PAUSED)


def is_waiting() -> bool:
    """Whether anything waits to be gathered, in any workspace."""
    with every_workspace():
        return DirectSend.objects.filter(run=None).exists()


def gather(now: datetime) -> int:
    """Make ledger rows of what waits, and a shard that any worker can claim. Returns how many
    requests were gathered. Call with every workspace visible."""
    waiting = DirectSend.objects.filter(run=None).order_by().values_list("campaign_id")
    oldest = waiting.annotate(first=Min("pk")).order_by("first")[:LANES_MOST]
    gathered = 0
    for lane_id, _first in list(oldest):
        try:
            lane = Campaign.lanes.select_related("workspace").get(pk=lane_id)
            with scope(lane.workspace):
                gathered += _gather(lane, now)
        except (OperationalError, InterfaceError):
            logger.warning("lane %s: the database did not answer", lane_id, exc_info=True)
        except Exception:  # one lane must not keep the others from being sent
            logger.exception("lane %s: its requests could not be gathered", lane_id)
    return gathered


def is_open(run: Run, now: datetime) -> bool:
    """Whether the run of a lane still takes messages in. Before that is over it does not end."""
    if run.state != State.RUNNING or now >= run.intended_at + OPEN_FOR:
        return False
    if not Connection.objects.filter(pk=run.connection_id or 0, is_active=True).exists():
        return False
    return Shard.objects.filter(run=run).count() < SHARDS_MOST


def forget(now: datetime) -> int:
    """Empty what was accepted long ago: contents and data may hold one-time codes and more."""
    old = DirectSend.objects.filter(emptied_at=None, accepted_at__lt=now - KEPT)
    settled = old.exclude(run=None).exclude(run__state__in=Run.ACTIVE_STATES)
    return settled.update(contents=[], people=[], data={}, emptied_at=now)


# --- into the ledger ------------------------------------------------------------------------------
@transaction.atomic
def _gather(lane: Campaign, now: datetime) -> int:
    waiting = DirectSend.objects.filter(run=None, campaign=lane).order_by("pk")
    run = _open_run(lane, now)
    if run is None:  # paused, or without a connection: only what is too late moves
        waiting = waiting.filter(expires_at__lte=now)
        run = _any_run(lane) if waiting.exists() else None
    # Read with the run locked: another worker may have gathered them meanwhile.
    sends = _first_of(waiting) if run is not None else []
    if run is None or not sends:
        return 0
    asked = [
        record.Asked(send.pk, contact_id, int(send.expires_at <= now))
        for send in sends
        for contact_id, *_ in send.people
    ]
    contacts = {one.contact_id for one in asked}
    people = selection.named(
        run.workspace, run.channel, contacts, is_transactional=run.is_transactional
    )
    shard = _cut(run, record.fix_direct(run, people, asked))
    DirectSend.objects.filter(pk__in=[send.pk for send in sends]).update(run=run, shard=shard)
    return len(sends)


def _first_of(waiting: QuerySet[DirectSend, DirectSend]) -> list[DirectSend]:
    """The first PEOPLE_MOST people's worth, at least one request."""
    found: list[DirectSend] = []
    people = 0
    for send in waiting.only("people", "expires_at")[:PEOPLE_MOST]:
        people += len(send.people)
        if found and people > PEOPLE_MOST:
            break
        found.append(send)
    return found


def _open_run(lane: Campaign, now: datetime) -> Run | None:
    """The run that takes messages in, locked; a new one if the last one is over. None while the
    lane is paused or has no connection."""
    runs = _runs(lane)
    if runs.filter(state=State.PAUSED).exists():
        return None
    newest = runs.last()
    if newest is not None and is_open(newest, now):
        return _locked(newest)
    if lane.connection_in_use() is None:
        return None
    return _new_run(lane, newest)


def _any_run(lane: Campaign) -> Run | None:
    newest = _runs(lane).last()
    if newest is not None:
        return _locked(newest)
    return _new_run(lane, None)


def _new_run(lane: Campaign, newest: Run | None) -> Run | None:
    """None if the workspace is being deleted, or another worker has opened one since."""
    if not lock_if_open(lane.workspace):
        return None
    list(Campaign.lanes.select_for_update(no_key=True).filter(pk=lane.pk).values_list("pk"))
    latest = _runs(lane).last()
    if latest is not None and (newest is None or latest.pk != newest.pk):
        return None
    return lanes.open_run(lane, timezone.now(), ends_after=OPEN_FOR + lanes.EXPIRES)


def _runs(lane: Campaign) -> QuerySet[Run, Run]:
    return Run.objects.filter(campaign=lane, state__in=UNDER_WAY).order_by("pk")


def _locked(run: Run) -> Run | None:
    """The run as it is now. `pipeline.finish` locks it too, before it looks for open shards."""
    same = Run.objects.filter(pk=run.pk, state=run.state).select_related("workspace")
    return same.select_for_update(no_key=True, of=("self",)).first()


def _cut(run: Run, rows: Sequence[tuple[int, int]]) -> Shard | None:
    """One shard over the rows, if any of them waits."""
    counts = Counter(reason for _pk, reason in rows)
    waiting = counts.pop(Reason.PENDING, 0)
    tally = record.add(run.tally, record.as_tally(counts))
    size = (run.audience_size or 0) + len(rows)
    Run.objects.filter(pk=run.pk).update(audience_size=size, tally=tally)
    if not waiting:
        return None
    ids = [pk for pk, _reason in rows]
    return Shard.objects.create(
        workspace_id=run.workspace_id, run=run, first_id=min(ids), last_id=max(ids)
    )


# --- what goes out --------------------------------------------------------------------------------
class DirectComposer:
    """As Composer, for a shard of direct messages: each request has contents and data of its
    own."""

    def __init__(
        self, run: Run, shard: Shard, provider: Provider[Any], default_language: str, zone: tzinfo
    ) -> None:
        self.run, self.shard, self.revision = run, shard, run.revision.number
        self._spoken = (provider, default_language, zone)
        # {digest: contents, or why they do not compile}
        self._contents: dict[str, Contents | RenderError] = {}

    @cached_property
    def sends(self) -> dict[int, DirectSend]:
        return {send.pk: send for send in DirectSend.objects.filter(shard=self.shard)}

    @cached_property
    def own_data(self) -> dict[tuple[int, str], dict[str, Any]]:
        """{(request, external id): what was sent along for this person alone}."""
        return {
            (send.pk, name): data
            for send in self.sends.values()
            for _contact, name, data in send.people
            if data
        }

    def compose(self, recipient: Recipient) -> bytes:
        """The body of the send request. Raises NotComposable."""
        send = self.sends.get(recipient.request)
        if send is None or not send.contents:
            raise NotComposable(Reason.RENDER_ERROR, "the text was deleted after a day")
        own = self.own_data.get((send.pk, str(recipient.contact["external_id"])), {})
        reference = reference_of(self.run, recipient.message_id)
        return self._of(send.contents).body(
            recipient.contact, recipient.kind, recipient.value, reference, {**send.data, **own}
        )

    def _of(self, contents: list[dict[str, Any]]) -> Contents:
        """Most requests of a shard come from one template. Raises NotComposable."""
        key = plan.digest_of(contents)
        if key not in self._contents:
            self._contents[key] = self._compiled(contents)
        found = self._contents[key]
        if isinstance(found, RenderError):
            raise NotComposable(Reason.RENDER_ERROR, str(found)) from found
        return found

    def _compiled(self, contents: list[dict[str, Any]]) -> Contents | RenderError:
        try:
            return Contents(registry.channel_of(self.run.channel), contents, *self._spoken)
        except RenderError as error:
            return error
