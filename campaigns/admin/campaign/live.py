"""What the campaign form asks while it is being filled: how many people, which dates, which
templates. JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, Q
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.admin.campaign.audience import AUDIENCE_FIELDS
from campaigns.admin.campaign.forms import CampaignForm
from campaigns.admin.campaign.schedule import SCHEDULE_FIELDS
from campaigns.admin.words import NEXT_SHOWN, audience_words, next_send_words, whom_words
from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.audience.segments import Rule, RuleError, compile_rule
from campaigns.channels import registry
from campaigns.content import lint
from campaigns.content.written import searched
from campaigns.models import Campaign, Contact, Template
from campaigns.schedule import series
from pushpilot.lib import clock
from pushpilot.lib.display import format_number, planned_moment
from tenants.models import Workspace

TEMPLATES_SHOWN = 40


def form_of(workspace: Workspace, data: Any, campaign: Campaign | None) -> CampaignForm:
    """The campaign form over unsaved input, cleaned; invalid parts are simply missing from
    cleaned_data."""
    form = CampaignForm(data, workspace=workspace, instance=campaign)
    form.full_clean()
    return form


def count_audience(workspace: Workspace, form: CampaignForm) -> JsonResponse:
    """ "3,412 people match · 3,120 devices reachable" for the rule in the form; of a broadcast
    only the provider knows.

    `notes`: {input: what some of these devices leave out of the message}.
    """
    channel = str(form.cleaned_data.get("channel") or registry.DEFAULT)
    kind = str(form.cleaned_data.get("audience") or "")
    if form.audience.channel.broadcast(kind):
        return _count_subscribers(workspace, form, channel, kind)
    if problem := _problem(form, AUDIENCE_FIELDS):
        return JsonResponse({"error": problem, "notes": {}})
    try:
        rule = form.audience.rule()
        people, devices = (
            count_people(workspace, rule),
            selection.forecast(workspace, channel, rule),
        )
    except RuleError as error:
        return JsonResponse({"error": str(error), "notes": {}})
    reachable = devices.get(Reason.PENDING, 0)
    addresses = registry.counted_addresses(channel, reachable)
    words = _("%(people)s · %(devices)s reachable") % {
        "people": people_words(people),
        "devices": addresses,
    }
    asked = Campaign(workspace=workspace, channel=channel, audience_rule=rule)
    return JsonResponse(
        {
            "words": words,
            "people": people,
            "devices": reachable,
            "sentence": audience_words(rule),
            "notes": _notes(form, asked),
        }
    )


def _count_subscribers(
    workspace: Workspace, form: CampaignForm, channel: str, kind: str
) -> JsonResponse:
    if problems := form.errors.get(kind):
        return JsonResponse({"error": problems[0], "notes": {}})
    target = form.cleaned_data["target"]
    asked = Campaign(workspace=workspace, channel=channel, target_kind=kind, target=target)
    return JsonResponse(
        {
            "words": _("Number of subscribers unknown"),
            "sentence": whom_words(asked),
            "notes": _notes(form, asked),
        }
    )


def _notes(form: CampaignForm, asked: Campaign) -> dict[str, str]:
    """{input: what the devices of this audience leave out of the message in the form}."""
    message, channel = form.snapshot(), registry.channel_of(asked.channel)
    notes: dict[str, str] = {}
    if not channel.ignored(message):
        return notes
    for field, text in channel.ignored(message, lint.platforms(asked)):
        notes[field] = f"{notes[field]} {text}" if field in notes else text
    return notes


def _problem(form: CampaignForm, fields: Sequence[str]) -> str:
    """What the submit would say about these fields: reading them once more would judge what it
    has thrown out."""
    return next((str(form.errors[name][0]) for name in fields if name in form.errors), "")


def count_people(workspace: Workspace, rule: Rule) -> int:
    """Contacts that the rule matches. Raises RuleError."""
    return Contact.objects.filter(compile_rule(rule), workspace=workspace).count()


def people_words(count: int) -> str:
    """ "3,412 people match"."""
    return ngettext("%(count)s person matches", "%(count)s people match", count) % {
        "count": format_number(count)
    }


def next_dates(workspace: Workspace, form: CampaignForm) -> JsonResponse:
    """The next five occurrences of the repetition in the form, on the clocks of its zone."""
    if problem := _problem(form, SCHEDULE_FIELDS):
        return JsonResponse({"error": problem})
    start, now = form.cleaned_data.get("scheduled_at"), timezone.now()
    if start is None:
        return JsonResponse({"error": _("Choose a date and time to see the next sends.")})
    zone = ZoneInfo(form.cleaned_data.get("time_zone") or workspace.time_zone)
    if form.cleaned_data.get("schedule_type") == Campaign.Schedule.AT:
        return _one_date(form, clock.resolve(start, zone), zone, now)
    try:
        rule, skip = (
            form.schedule.recurrence(),
            {date.fromisoformat(day) for day in form.schedule.skips()},
        )
    except clock.RecurrenceError as error:
        return JsonResponse({"error": str(error)})
    found = list(islice(clock.occurrences(rule, start, zone, after=now, skip=skip), NEXT_SHOWN + 1))
    dates = [planned_moment(at, zone, now) for at in found[:NEXT_SHOWN]]
    if not dates:
        return JsonResponse({"error": str(clock.NO_DATE)})
    return JsonResponse(
        {
            "rule": rule,
            "words": clock.in_words(rule),
            "dates": dates,
            "ends": len(found) <= NEXT_SHOWN,
            "next_send": _next_send(form, found[0], zone, now),
        }
    )


def _one_date(form: CampaignForm, at: datetime, zone: ZoneInfo, now: datetime) -> JsonResponse:
    if at <= now:
        return JsonResponse({"error": str(series.PASSED)})
    return JsonResponse(
        {"dates": [planned_moment(at, zone, now)], "next_send": _next_send(form, at, zone, now)}
    )


def _next_send(form: CampaignForm, at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """What the schedule in the form does to the planned send of a campaign on its way, else ""."""
    if form.instance.pk is None or form.instance.is_editable:
        return ""
    return next_send_words(series.planned_run(form.instance), at, zone, now)


def find_templates(request: HttpRequest) -> JsonResponse:
    """Own and global templates whose name or message contains `q`, own first: of the campaign's
    `channel` and of those whose messages have the same fields."""
    term = request.GET.get("q", "").strip().replace("\x00", "")[:100]
    given = request.GET.get("channel", "")
    channel = given if given in registry.CHANNELS else registry.DEFAULT
    matches = Q()
    for lookup in ("name", *searched()) if term else ():
        matches |= Q(**{f"{lookup}__icontains": term})
    known = Template.objects.filter(matches, channel__in=registry.alike(channel))
    own_first = known.order_by(F("workspace_id").asc(nulls_last=True), "name", "language")
    return JsonResponse(
        {
            "templates": [
                {
                    "texts": _texts(template),
                    "id": template.pk,
                    "name": template.name,
                    "tone": template.tone,
                    "language": template.language,
                    "category": template.get_category_display(),
                    "is_global": template.is_global,
                }
                for template in own_first[:TEMPLATES_SHOWN]
            ]
        }
    )


def _texts(template: Template) -> dict[str, str]:
    """{input: text} of every field that the template's channel personalises, the title first."""
    known = registry.CHANNELS.get(template.channel)
    if known:
        return {name: template.text(name) for name in known.personal}
    return {}
