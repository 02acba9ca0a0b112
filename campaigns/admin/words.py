"""Phrases of the console about campaigns: audiences, moments and schedules as a marketer would say them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.urls import NoReverseMatch, reverse

from campaigns.models import Campaign, Channel
from campaigns.segments import Rule, RuleError, describe, validate
from pushpilot.lib import clock

CHANNEL_ICONS = {
    Channel.APP_PUSH: "phone_iphone",
    Channel.WEB_PUSH: "language",
    Channel.SMS: "sms",
    Channel.EMAIL: "mail",
    Channel.WHATSAPP: "chat",
}


def audience_words(rule: Rule) -> str:
    """ "Everyone" or "People whose city is Pune"; a rule that cannot be read says so."""
    try:
        validate(rule)
    except RuleError:
        return "An audience rule that needs repair"
    words = describe(rule)
    return words[0].upper() + words[1:]


def moment_words(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """ "Fri 20 Nov, 18:00 IST", with the year when it is not this one."""
    local = at.astimezone(zone)
    year = "" if local.year == now.astimezone(zone).year else f" {local.year}"
    return f"{local:%a} {local.day} {local:%b}{year}, {local:%H:%M} {local:%Z}"


def schedule_words(campaign: Campaign, zone: ZoneInfo, now: datetime) -> str:
    """When the campaign goes out, as one phrase."""
    if campaign.schedule_type == Campaign.Schedule.NOW:
        return "Right away"
    if campaign.scheduled_at is None:
        return "No time chosen yet"
    if campaign.schedule_type == Campaign.Schedule.AT:
        return moment_words(campaign.scheduled_at, zone, now)
    try:
        words = clock.in_words(clock.parse_rrule(campaign.recurrence_rule))
    except clock.RecurrenceError:
        return "A repetition that needs repair"
    local = campaign.scheduled_at.astimezone(zone)
    start = f"from {local.day} {local:%b %Y}" if campaign.scheduled_at > now else f"since {local.day} {local:%b %Y}"
    return f"{words[0].upper()}{words[1:]} at {local:%H:%M} {local:%Z}, {start}"


def run_url(run_id: int) -> str:
    """The page of a run, which an upper layer brings; "" where none is installed."""
    try:
        return reverse("admin:campaigns_run_change", args=[run_id])
    except NoReverseMatch:
        return ""
