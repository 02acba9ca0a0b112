"""What is wrong with a campaign before it goes out: errors stop a launch, warnings are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from campaigns import audience, render
from campaigns.models import Campaign, Channel, Contact, Content
from campaigns.reasons import Reason
from campaigns.segments import RuleError, compile_rule
from pushpilot.lib import clock
from tenants.models import Connection

# Channels with an adapter; the others wait for theirs.
SENDABLE = frozenset({Channel.APP_PUSH, Channel.WEB_PUSH})
TEXTS = ("title", "body", "image_url", "deep_link")
KNOWN_COLUMNS = frozenset({"external_id", "language", "country", "time_zone"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: `field` is the form field that cures it."""

    is_error: bool
    field: str
    text: str


def active_connection(campaign: Campaign) -> Connection | None:
    """The workspace's account that the campaign's channel is sent through."""
    service = Connection.Service.PUSH
    return Connection.objects.filter(workspace=campaign.workspace_id, service=service, is_active=True).first()


def lint(campaign: Campaign, now: datetime) -> list[Finding]:
    """All findings, errors first."""
    contents = list(campaign.contents.all())
    findings = [*_channel(campaign), *_schedule(campaign, now), *_audience(campaign)]
    if not contents:
        findings.append(Finding(True, "title", "The message is empty: write a title and a text."))
    for content in contents:
        findings += _content(campaign, content)
    return sorted(findings, key=lambda finding: not finding.is_error)


def _channel(campaign: Campaign) -> list[Finding]:
    if campaign.channel not in SENDABLE:
        return [Finding(True, "channel", f"{campaign.get_channel_display()} cannot be sent yet; choose app push.")]
    if active_connection(campaign) is None:
        return [Finding(True, "channel", "No active connection for push. Add one under Settings → Connections.")]
    return []


def _schedule(campaign: Campaign, now: datetime) -> list[Finding]:
    if campaign.schedule_type == Campaign.Schedule.NOW:
        return []
    if campaign.scheduled_at is None:
        return [Finding(True, "scheduled_at", "Choose the date and time of the send.")]
    if campaign.schedule_type == Campaign.Schedule.AT:
        passed = campaign.scheduled_at <= now
        return [Finding(True, "scheduled_at", "The chosen time has passed; choose a later one.")] if passed else []
    try:
        rule = clock.parse_rrule(campaign.recurrence_rule)
    except clock.RecurrenceError as error:
        return [Finding(True, "recurrence_rule", str(error))]
    if clock.next_occurrence(rule, campaign.scheduled_at, campaign.workspace.zone, after=now) is None:
        return [Finding(True, "recurrence_rule", "This rule has no occurrence in the next five years.")]
    return []


def _audience(campaign: Campaign) -> list[Finding]:
    try:
        expected = audience.forecast(campaign.workspace, campaign.channel, campaign.audience_rule)
    except RuleError as error:
        return [Finding(True, "audience", str(error))]
    if not expected:
        return [Finding(True, "audience", "Nobody matches this audience.")]
    if not expected.get(Reason.PENDING):
        return [Finding(True, "audience", "Nobody in this audience can be reached on this channel.")]
    return []


def _content(campaign: Campaign, content: Content) -> list[Finding]:
    findings = []
    for field in TEXTS:
        source = getattr(content, field)
        try:
            render.compile_text(source)
        except render.RenderError as error:
            findings.append(Finding(True, field, f"The personalisation does not parse: {error}"))
            continue
        if render.is_dynamic(source):
            findings += _variables(campaign, field, source)
    return findings


def _variables(campaign: Campaign, field: str, source: str) -> list[Finding]:
    """ "first_name is missing for 13 % of this audience and has no default"."""
    findings = []
    try:
        members = Contact.objects.filter(compile_rule(campaign.audience_rule), workspace=campaign.workspace)
    except RuleError:
        return []
    total = members.count()
    for name, has_default in render.variables_of(source).items():
        if has_default or not total:
            continue
        empty = Q(**{name: ""}) if name in KNOWN_COLUMNS else _attribute_missing(name)
        missing = members.filter(empty).count()
        if missing == total:
            findings.append(Finding(False, field, f"{name} is known of nobody in this audience and has no default."))
        elif missing:
            share = max(1, round(100 * missing / total))
            findings.append(
                Finding(False, field, f"{name} is missing for {share} % of this audience and has no default.")
            )
    return findings


def _attribute_missing(name: str) -> Q:
    return compile_rule({"any": [
        {"field": f"attributes.{name}", "op": "is_not_set"},
        {"field": f"attributes.{name}", "op": "is", "value": ""},
    ]})  # fmt: skip
