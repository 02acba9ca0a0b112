"""Phrases of the console about campaigns: audiences, moments and schedules as a marketer would
say them."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from campaigns.audience.segments import Rule, RuleError, describe, validate
from campaigns.channels import registry
from campaigns.models import AmbiguityPolicy, Campaign, Run
from pushpilot.lib import clock
from pushpilot.lib.display import counted, day, exact_span, planned_moment, zoned_time

NEXT_SHOWN = 5


def audience_words(rule: Rule) -> str:
    """ "Everyone" or "People whose city is Pune"; a rule that cannot be read says so."""
    try:
        validate(rule)
    except RuleError:
        return "An audience rule that needs repair"
    words = describe(rule)
    return words[0].upper() + words[1:]


def whom_words(sent: Campaign | Run) -> str:
    """ "Everyone", "People whose city is Pune", "Everyone subscribed to “news” and (“pune” or
    “mumbai”)"."""
    if not sent.is_broadcast:
        return audience_words(sent.audience_rule)
    channel = registry.CHANNELS.get(sent.channel)
    broadcast = channel.broadcast(sent.target_kind) if channel else None
    return (
        broadcast.describe(sent.target)
        if broadcast
        else (f"Everyone subscribed to “{sent.target}”")
    )


def both_clocks(at: datetime, campaign: Campaign, now: datetime) -> str:
    """On the workspace's clock, and on that of the schedule if it is another one."""
    words = planned_moment(at, campaign.workspace.zone, now)
    own = planned_moment(at, campaign.zone, now)
    return words if words == own else f"{words} ({own})"


def next_send_words(planned: Run | None, to: datetime, zone: ZoneInfo, now: datetime) -> str:
    """What another schedule does to the planned send, each moment on the clock of its schedule."""
    after = planned_moment(to, zone, now)
    if planned is None:
        return f"The next send goes out {after}."
    before = planned_moment(planned.intended_at, planned.campaign.zone, now)
    if before == after:
        return f"The next send stays at {before}."
    return f"The next send moves from {before} to {after}."


def next_dates(campaign: Campaign, now: datetime) -> tuple[list[str], bool]:
    """(the next dates of a series; whether they are all that it has)."""
    if not campaign.is_series:
        return [], False
    try:
        found = list(islice(campaign.dates(after=now), NEXT_SHOWN + 1))
    except clock.RecurrenceError:
        return [], False
    return [planned_moment(at, campaign.zone, now) for at in found[:NEXT_SHOWN]], len(
        found
    ) <= NEXT_SHOWN


def schedule_words(campaign: Campaign, now: datetime) -> str:
    """When the campaign goes out, as one phrase, on the clocks of its schedule."""
    if campaign.schedule_type == Campaign.Schedule.NOW:
        return "Right away"
    if campaign.starts is None or campaign.scheduled_at is None:
        return "No time chosen yet"
    if campaign.schedule_type == Campaign.Schedule.AT:
        return planned_moment(campaign.scheduled_at, campaign.zone, now)
    try:
        words = clock.in_words(clock.parse_rrule(campaign.recurrence_rule))
    except clock.RecurrenceError:
        return "A repetition that needs repair"
    local = campaign.starts.replace(tzinfo=campaign.zone)
    start = f"from {day(local)}" if campaign.scheduled_at > now else f"since {day(local)}"
    return f"{words[0].upper()}{words[1:]} at {zoned_time(local, campaign.zone)}, {start}"


def sending_words(campaign: Campaign) -> str:
    """What was chosen about the sending, "" if all is as usual: "At most 50 messages per second.
    …"."""
    words = []
    if campaign.per_second and not campaign.is_broadcast:
        words.append(f"At most {counted(campaign.per_second, 'message')} per second.")
    if campaign.avoid_quarter_hours:
        words.append("Rests around the quarter hours.")
    if campaign.start_within_mins != Campaign().start_within_mins:
        words.append(f"Starts at most {exact_span(60 * campaign.start_within_mins)} late.")
    if campaign.expires_after_mins:
        words.append(f"Ends {exact_span(60 * campaign.expires_after_mins)} after its start.")
    if campaign.ambiguity_policy == AmbiguityPolicy.RESEND:
        words.append("Sends again what a crash left unclear.")
    return " ".join(words)
