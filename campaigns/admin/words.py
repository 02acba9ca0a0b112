"""Phrases of the console about campaigns: audiences, moments and schedules as a marketer would
say them."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.audience.segments import Rule, RuleError, describe, validate
from campaigns.channels import registry
from campaigns.models import AmbiguityPolicy, Campaign, Run
from pushpilot.lib import clock
from pushpilot.lib.display import day, exact_span, format_number, planned_moment, zoned_time

NEXT_SHOWN = 5


def audience_words(rule: Rule) -> str:
    """ "Everyone" or "People with city Pune"; a rule that cannot be read says so."""
    try:
        validate(rule)
    except RuleError:
        return _("Audience rule with an error")
    return capfirst(describe(rule))


def whom_words(sent: Campaign | Run) -> str:
    """ "Everyone", "People with city Pune", "Everyone subscribed to “news” and (“pune” or
    “mumbai”)"."""
    if sent.direct:
        return _("The people that each request names")
    if not sent.is_broadcast:
        return audience_words(sent.audience_rule)
    channel = registry.CHANNELS.get(sent.channel)
    broadcast = None
    if channel:
        broadcast = channel.broadcast(sent.target_kind)
    if broadcast:
        return broadcast.describe(sent.target)
    return _("Everyone subscribed to “%(topic)s”") % {"topic": sent.target}


def both_clocks(at: datetime, campaign: Campaign, now: datetime) -> str:
    """On the workspace's clock, and on that of the schedule if it is another one."""
    words = planned_moment(at, campaign.workspace.zone, now)
    own = planned_moment(at, campaign.zone, now)
    if words == own:
        return words
    return f"{words} ({own})"


def next_send_words(planned: Run | None, to: datetime, zone: ZoneInfo, now: datetime) -> str:
    """What another schedule does to the planned send, each moment on the clock of its schedule."""
    after = planned_moment(to, zone, now)
    if planned is None:
        return _("The next send starts on %(moment)s.") % {"moment": after}
    before = planned_moment(planned.intended_at, planned.campaign.zone, now)
    if before == after:
        return _("The next send stays on %(moment)s.") % {"moment": before}
    return _("The next send moves from %(before)s to %(after)s.") % {
        "before": before,
        "after": after,
    }


def next_dates(campaign: Campaign, now: datetime) -> tuple[list[str], bool]:
    """(the next dates of a series; whether they are all that it has)."""
    if not campaign.is_series:
        return [], False
    try:
        found = list(islice(campaign.dates(after=now), NEXT_SHOWN + 1))
    except clock.RecurrenceError:
        return [], False
    dates = [planned_moment(at, campaign.zone, now) for at in found[:NEXT_SHOWN]]
    return dates, len(found) <= NEXT_SHOWN


def schedule_words(campaign: Campaign, now: datetime) -> str:
    """When the campaign goes out, as one phrase, on the clocks of its schedule."""
    if campaign.schedule_type == Campaign.Schedule.NOW:
        return _("Immediately")
    if campaign.starts is None or campaign.scheduled_at is None:
        return _("No date chosen yet")
    if campaign.schedule_type == Campaign.Schedule.AT:
        return planned_moment(campaign.scheduled_at, campaign.zone, now)
    try:
        words = clock.in_words(clock.parse_rrule(campaign.recurrence_rule))
    except clock.RecurrenceError:
        return _("Repetition with an error")
    local = campaign.starts.replace(tzinfo=campaign.zone)
    given = {
        "repetition": capfirst(words),
        "time": zoned_time(local, campaign.zone),
        "day": day(local),
    }
    if campaign.scheduled_at > now:
        return _("%(repetition)s at %(time)s, from %(day)s") % given
    return _("%(repetition)s at %(time)s, since %(day)s") % given


def sending_words(campaign: Campaign) -> str:
    """The sending options that differ from the defaults, or "": "At most 50 messages per second.
    …"."""
    words = []
    if campaign.per_second and not campaign.is_broadcast:
        words.append(
            ngettext(
                "At most %(count)s message per second.",
                "At most %(count)s messages per second.",
                campaign.per_second,
            )
            % {"count": format_number(campaign.per_second)}
        )
    if campaign.avoid_quarter_hours:
        words.append(_("Pauses around the quarter hours."))
    if campaign.start_within_mins != Campaign().start_within_mins:
        late = exact_span(60 * campaign.start_within_mins)
        words.append(_("Starts at most %(span)s late.") % {"span": late})
    if campaign.expires_after_mins:
        span = exact_span(60 * campaign.expires_after_mins)
        words.append(_("Ends %(span)s after its start.") % {"span": span})
    if campaign.ambiguity_policy == AmbiguityPolicy.RESEND:
        words.append(_("Sends a message again if a crash leaves its result unknown."))
    return " ".join(words)
