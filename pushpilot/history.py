"""Some four weeks of the demo's past, marked as demo data: nothing of it was ever handed to a
provider.

The verbs that write the real thing write it: campaigns are planned and launched, their audiences
fixed, the outcomes recorded and the accounts closed by the engine; what devices did enters
through the intake of events and is digested. Only the moments lie in the past. The dice are the
same every time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Content, Run
from delivery.engine import pipeline, record
from delivery.engine.answers import answer
from delivery.models import Message, Shard
from delivery.providers.base import Verdict
from pushpilot.lib.signing import sign_reference
from reports import digest, intake, sandbox_devices
from tenants import audit
from tenants.models import Connection, User, Workspace
from tenants.scope import scope

MARK = " (demo)"  # of every name, so that nobody takes it for a send of their own
DESCRIPTION = "Demo data: made by `manage.py demo`, never handed to a provider."
METADATA = {"source": "demo history"}
PER_SECOND = 120
DAYS = 28
Story = dict[str, Any]
_Seen = tuple[datetime, str, str]  # when, reference, type


@transaction.atomic
def add_history(
    workspace: Workspace, connection: Connection, stories: Sequence[Story], *, by: User
) -> int:
    """Write the past of these campaigns; returns how many sends that were. Nothing where one of
    them exists already."""
    now = timezone.now()
    with scope(workspace):
        names = [story["name"] + MARK for story in stories]
        if Campaign.objects.filter(name__in=names).exists():
            return 0
        sends = 0
        for story in sorted(stories, key=lambda story: -story["days_ago"]):
            sends += _live(workspace, connection, story, by, now)
        audit.record(workspace, "demo history added", workspace, by=None, detail={"sends": sends})
    return sends


def _live(
    workspace: Workspace, connection: Connection, story: Story, by: User, now: datetime
) -> int:
    """One campaign with all its sends until now."""
    hour, minute = map(int, story["at"].split(":"))
    local = now.astimezone(workspace.zone) - timedelta(days=story["days_ago"])
    local = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    at = local.astimezone(UTC)
    is_weekly = story.get("weekly", False)
    campaign = Campaign(
        workspace=workspace,
        name=story["name"] + MARK,
        description=DESCRIPTION,
        tone=story.get("tone", ""),
        channel=story.get("channel", "app_push"),
        audience_rule=story.get("audience_rule", {}),
        schedule_type=Campaign.Schedule.RECURRING if is_weekly else Campaign.Schedule.AT,
        recurrence_rule="FREQ=WEEKLY" if is_weekly else "",
        created_by=by,
        updated_by=by,
    )
    campaign.starts = local.replace(tzinfo=None)
    campaign.save()
    Content.objects.create(
        workspace=workspace,
        campaign=campaign,
        channel=campaign.channel,
        fields={"title": story["title"], "body": story["body"]},
        language=story.get("language", "en"),
    )
    before = at - timedelta(hours=5)
    Campaign.objects.filter(pk=campaign.pk).update(created_at=before, updated_at=before)
    run: Run | None = plan.schedule(campaign, by=by, now=at - timedelta(minutes=1))
    # a text that is newer than its run was edited on its way
    campaign.revisions.update(created_at=before)
    sends = 0
    while run is not None and run.intended_at <= now - timedelta(hours=1):
        Run.objects.filter(pk=run.pk).update(created_at=before)
        _send(run, story, by)
        _report(run, connection, story, now)
        sends += 1
        run = campaign.runs.filter(state=Run.State.PLANNED).first()
    return sends


def _send(run: Run, story: Story, by: User) -> None:
    """The engine's steps, with the outcomes that the sandbox's devices would have given."""
    at = run.intended_at
    pipeline.launch(run, at)
    run.refresh_from_db()
    pipeline.prepare(run, timezone.now())
    run.refresh_from_db()
    rows = list(
        Message.objects.filter(run=run, reason=Reason.PENDING)
        .order_by("pk")
        .values_list("pk", "endpoint__value", "endpoint_id")
    )
    stopped = story.get("cancelled_after")
    if stopped is not None:
        rows = rows[: int(len(rows) * stopped)]
    results = [
        _outcome(pk, token, at + timedelta(seconds=place / PER_SECOND))
        for place, (pk, token, _) in enumerate(rows)
    ]
    record.results(results, run.revision.number)
    gone = {
        endpoint: "UNREGISTERED"
        for (_, _, endpoint), result in zip(rows, results, strict=True)
        if result.error_code == "UNREGISTERED"
    }
    record.retire(gone, at)
    for shard in Shard.objects.filter(run=run):
        own = Counter(
            result.reason for result in results if shard.first_id <= result.id <= shard.last_id
        )
        is_done = stopped is None
        Shard.objects.filter(pk=shard.pk).update(
            tally=record.as_tally(own), state=Shard.State.DONE if is_done else Shard.State.OPEN
        )
    ended = at + timedelta(seconds=len(rows) / PER_SECOND + 2)
    if stopped is None:
        pipeline.finish(run, ended)
    else:
        plan.cancel(run, by=by)
        run.refresh_from_db()
        pipeline.wind_up(run, timezone.now())
        Run.objects.filter(pk=run.pk).update(finished_at=ended)
    run.refresh_from_db()


def _outcome(pk: int, token: str, at: datetime) -> record.Result:
    fate, dice = token.split("_")[1], random.Random(token)  # noqa: S311 - the same past every time
    result = record.Result(pk, Reason.ACCEPTED, attempted=1, attempted_at=at.isoformat())
    if fate == "mismatch":
        result.reason, result.error_code = Reason.REJECTED, "SENDER_ID_MISMATCH"
        result.answer = answer(at, Verdict.WRONG_SENDER, result.error_code, "SenderId mismatch")
    # the day on which the app was removed
    elif fate == "unregistered" and _age(at) < dice.uniform(-4, DAYS):
        result.reason, result.error_code = Reason.ENDPOINT_GONE, "UNREGISTERED"
        said = "Requested entity was not found."
        result.answer = answer(at, Verdict.GONE, result.error_code, said)
    else:
        result.provider_id = f"projects/demo-history/messages/{pk}"
    return result


def _age(at: datetime) -> float:
    return (timezone.now() - at) / timedelta(days=1)


def _report(run: Run, connection: Connection, story: Story, now: datetime) -> None:
    """What the devices of this send reported until now, in the order in which it happened."""
    key = sandbox_devices.key_of(connection)
    if key is None:
        return
    dice = random.Random(f"{story['name']} {run.intended_at:%j}")  # noqa: S311
    accepted = (
        Message.objects.filter(run=run, reason=Reason.ACCEPTED)
        .order_by("pk")
        .values_list("pk", "attempted_at")
    )
    seen = [
        event
        for pk, at in accepted
        if at
        for event in _of_one(run, pk, at, story, dice)
        if event[0] < now
    ]
    for batch in _batches(sorted(seen)):
        events = [
            {
                "event_id": sandbox_devices.event_id(ref, kind),
                "type": kind,
                "ref": ref,
                "occurred_at": at.isoformat(),
                "metadata": METADATA,
            }
            for at, ref, kind in batch
        ]
        intake.receive(msgspec.json.encode({"batch": events}), key, batch[-1][0])
    digest.digest_due(timezone.now())


def _of_one(run: Run, pk: int, at: datetime, story: Story, dice: random.Random) -> Iterator[_Seen]:
    ref = sign_reference(run.workspace_id, run.campaign_id, run.pk, pk)
    if dice.random() > 0.955:
        return  # switched off, or an app without the SDK
    # Most phones are on the air at once; the rest come back within hours.
    arrived = at + timedelta(
        seconds=dice.uniform(0.3, 4) if dice.random() < 0.86 else dice.lognormvariate(8, 1.1)
    )
    yield arrived, ref, "delivered"
    if dice.random() > story["opened"]:
        return
    opened = _by_day(
        arrived + timedelta(seconds=dice.lognormvariate(7.6, 1.5)), run.workspace, dice
    )
    yield opened, ref, "opened"
    if dice.random() < story["clicked"]:
        yield opened + timedelta(seconds=dice.uniform(2, 90)), ref, "clicked"
    elif dice.random() < story.get("left", 0.0):
        yield opened + timedelta(seconds=dice.uniform(5, 40)), ref, "unsubscribed"


def _by_day(at: datetime, workspace: Workspace, dice: random.Random) -> datetime:
    """Who would have looked in the night looks in the morning."""
    local = at.astimezone(workspace.zone)
    if local.hour >= 6:
        return at
    return (
        local.replace(hour=7, minute=0) + timedelta(minutes=dice.triangular(0, 240, 60))
    ).astimezone(UTC)


def _batches(seen: Sequence[_Seen]) -> Iterable[Sequence[_Seen]]:
    for start in range(0, len(seen), intake.BATCH_LIMIT_EVENTS):
        yield seen[start : start + intake.BATCH_LIMIT_EVENTS]
