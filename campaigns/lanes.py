"""Lanes: the campaigns and runs by which direct messages go out. Nobody writes or schedules them,
so no list of campaigns shows them."""

from __future__ import annotations

from datetime import datetime, timedelta

from campaigns import plan
from campaigns.models import Campaign, MessageClass, Revision, Run
from tenants.models import Workspace

NAME = "Direct messages"  # stored, so it is English; pages say Campaign.title
EXPIRES = timedelta(hours=1)  # who was not sent to by then is expired: a code is of no use any more


def lane_of(workspace: Workspace, channel: str, message_class: str) -> Campaign:
    """The workspace's lane for this channel and class, made when it is first asked for."""
    known = {"workspace": workspace, "channel": channel, "direct": MessageClass(message_class)}
    lane, _is_new = Campaign.lanes.get_or_create(**known, defaults={"name": NAME})
    return lane


def open_run(lane: Campaign, now: datetime, *, ends_after: timedelta) -> Run:
    """Open a run that sends at once what is added to it. It remembers how the last one went, so
    that the circuit breaker sees more than ten minutes. Call with the lane locked."""
    last = Run.objects.filter(campaign=lane).order_by("-pk").first()
    digest = plan.digest_of([])
    revision, _is_new = Revision.objects.get_or_create(
        campaign=lane,
        number=1,
        workspace=lane.workspace,
        defaults={"contents": [], "digest": digest},
    )
    return Run.objects.create(
        workspace=lane.workspace,
        campaign=lane,
        revision=revision,
        connection=lane.connection_in_use(),
        channel=lane.channel,
        direct=lane.direct,
        state=Run.State.RUNNING,
        epoch=1,
        intended_at=now,
        not_after=now,
        started_at=now,
        ends_at=now + ends_after,
        audience_size=0,
        audience_to=0,
        last_outcomes=last.last_outcomes if last is not None else "",
    )
