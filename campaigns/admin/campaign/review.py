"""The last look before a send, and what a campaign shows once it may not be edited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns import plan, removal
from campaigns.admin import slots
from campaigns.admin.campaign.audience import AudiencePart
from campaigns.admin.campaign.forms import CampaignForm
from campaigns.admin.campaign.live import count_people, people_words
from campaigns.admin.campaign.message import labels_of
from campaigns.admin.campaign.schedule import SchedulePart
from campaigns.admin.campaign.sending import SendingPart
from campaigns.admin.words import (
    both_clocks,
    next_dates,
    schedule_words,
    sending_words,
    whom_words,
)
from campaigns.audience import selection
from campaigns.audience.reasons import FAILED, UNSURE, Reason, words_of
from campaigns.audience.segments import RuleError
from campaigns.channels import registry
from campaigns.channels.base import ReasonWords
from campaigns.content.lint import ERROR, NOTE, WARNING, Finding, Severity, lint
from campaigns.content.rewrite import open_runs
from campaigns.models import Campaign, Content, Run
from campaigns.schedule import series
from pushpilot.lib.display import format_number, planned_moment, shares
from tenants import roles
from tenants.admin.base import require, workspace_of
from tenants.models import User

RUNS_SHOWN = 10
PUBLIC_SENTENCE = gettext_lazy(
    "The provider sends the message to every subscriber, and only the provider knows the number of "
    "subscribers. The message is public and the same for all subscribers. PushPilot does not check "
    "consent, and the report shows totals only."
)

_WILL_BE_SENT = ReasonWords(gettext_lazy("Will be sent"), gettext_lazy("Gets the message."))


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One reason of the account before the send."""

    reason: Reason
    told: ReasonWords
    count: int
    share: float  # percent of the audience, for the width of a bar
    percent: str  # the same in words

    @property
    def words(self) -> str:
        return format_number(self.count)

    @property
    def width(self) -> str:
        return f"{self.share:.3f}"  # a point in every locale


def account_before(campaign: Campaign) -> list[AccountLine]:
    """The audience by reason, as it would be fixed now; the message's receivers first, then the
    largest. Empty for a broadcast, whose audience only the provider knows."""
    if campaign.is_broadcast:
        return []
    try:
        expected = selection.forecast(campaign.workspace, campaign.channel, campaign.audience_rule)
    except RuleError:
        return []
    total = sum(expected.values())
    ordered = sorted(expected.items(), key=lambda item: (item[0] is not Reason.PENDING, -item[1]))
    words = shares({reason.slug: count for reason, count in ordered})
    return [
        AccountLine(
            reason, _told(reason, campaign.channel), count, 100 * count / total, words[reason.slug]
        )
        for reason, count in ordered
    ]


def _told(reason: Reason, channel: str) -> ReasonWords:
    if reason is Reason.PENDING:
        return _WILL_BE_SENT
    return words_of(reason, channel)


def account_sentence(lines: list[AccountLine]) -> str:
    """ "3,120 of 3,500 recipients will receive it; 210 have no device; 170 unsubscribed." """
    total = sum(line.count for line in lines)
    ready = sum(line.count for line in lines if line.reason is Reason.PENDING)
    if not total:
        return _("Nobody matches this audience.")
    first = ngettext(
        "%(ready)s of %(count)s recipient will receive it",
        "%(ready)s of %(count)s recipients will receive it",
        total,
    ) % {"ready": format_number(ready), "count": format_number(total)}
    others = [line for line in lines if line.reason is not Reason.PENDING]
    parts = [first, *(line.told.counted(line.count) for line in others)]
    return "; ".join(parts) + "."


def facts(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """What every page about a campaign shows."""
    workspace, now = workspace_of(request), timezone.now()
    campaign.workspace = workspace
    contents = list(campaign.contents.order_by("variant", "id"))
    dates, is_all = next_dates(campaign, now)
    return {
        "campaign": campaign,
        "pages": slots.pages,
        "next_dates": dates,
        "ends": is_all,
        "content": contents[0] if contents else None,
        "options": _options(campaign, contents),
        "is_silent": any(content.fields.get("silent") for content in contents),
        "channel_icon": registry.icon_of(campaign.channel),
        "channel": registry.CHANNELS.get(campaign.channel),
        "audience_words": whom_words(campaign),
        "sending_words": sending_words(campaign),
        "schedule_words": schedule_words(campaign, now),
        "can_edit": roles.can(request.user, roles.EDIT, workspace),
        "can_send": roles.can(request.user, roles.SEND, workspace),
    }


def _options(campaign: Campaign, contents: list[Content]) -> list[tuple[str, str]]:
    """What the contents carry beside their texts, once if it is the same in all languages."""
    channel = registry.CHANNELS.get(campaign.channel)
    if channel is None:
        return []
    # Subscribers with devices of every kind get all of it.
    hidden = frozenset[str]()
    if not campaign.is_broadcast:
        hidden = channel.hidden_fields(is_broadcast=False)
    found = [
        (content.language, channel.in_words(content.snapshot(), hidden)) for content in contents
    ]
    if all(words == found[0][1] for _, words in found):
        if found:
            return found[0][1]
        return []
    return [(f"{label} ({language})", words) for language, lines in found for label, words in lines]


def undo_secs() -> int:
    """How long a send "now" can be undone, in seconds."""
    return int(settings.SEND_UNDO.total_seconds())


def runs_of(campaign: Campaign) -> list[dict[str, Any]]:
    """The newest runs with link, time and figures."""
    zone, now = campaign.workspace.zone, timezone.now()
    return [
        {
            "run": run,
            "url": slots.pages.run(run.pk),
            "when": planned_moment(run.started_at or run.intended_at, zone, now),
            "audience": _size_words(run),
            "accepted": _count_words(run, Reason.ACCEPTED),
            "failed": _count_words(run, *FAILED),
            "unknown": _count_words(run, *UNSURE),
        }
        for run in campaign.runs.order_by("-intended_at")[:RUNS_SHOWN]
    ]


def _count_words(run: Run, *reasons: Reason) -> str:
    if run.is_ended and run.started_at:
        return format_number(run.count(*reasons))
    return "—"


def _size_words(run: Run) -> str:
    if run.is_broadcast:
        return _("Subscribers")
    if run.audience_size is None or run.started_at is None:
        return "—"
    return format_number(run.audience_size)


def overview(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """A campaign that is scheduled, under way or over: what it is, where it stands, its runs and
    panels."""
    context = facts(request, campaign)
    runs = runs_of(campaign)
    current = next((row for row in runs if not row["run"].is_ended), None)
    obstacles = []
    if current:
        obstacles = [why for find in slots.OBSTACLES if (why := find(campaign))]
    return {
        **context,
        "runs": runs,
        "banner": _banner(campaign, current, runs),
        "obstacles": obstacles,
        "rewrite_url": _rewrite_url(context, campaign),
        "can_reschedule": context["can_edit"]
        and context["can_send"]
        and _can_reschedule(campaign, runs),
        "current": current,
        "panels": [panel(request, campaign) for panel in slots.CAMPAIGN_PANELS],
        "may_edit": context["can_edit"] and campaign.is_editable,
        "may_delete": context["can_edit"] and not removal.why_not(campaign),
    }


def _can_reschedule(campaign: Campaign, runs: list[dict[str, Any]]) -> bool:
    return series.can_reschedule(
        campaign, has_planned=any(row["run"].state == Run.State.PLANNED for row in runs)
    )


def _rewrite_url(context: dict[str, Any], campaign: Campaign) -> str:
    """Where the message of a campaign on its way is edited; "" if it cannot be, or by somebody
    else only."""
    runs = []
    if context["can_edit"] and context["can_send"]:
        runs = open_runs(campaign)
    if runs:
        return slots.pages.edit_message(runs[0].pk)
    return ""


_BANNERS = {
    Campaign.Status.SCHEDULED: gettext_lazy(
        "The campaign is scheduled. You can still change the message and the schedule."
    ),
    Campaign.Status.RUNNING: gettext_lazy("The campaign is being sent."),
    Campaign.Status.PAUSED: gettext_lazy(
        "The send is paused. The remaining recipients wait until somebody resumes the send."
    ),
    Campaign.Status.COMPLETED: gettext_lazy(
        "The campaign is sent. If you edit the campaign, it becomes a draft. Its sends and their "
        "figures stay."
    ),
    Campaign.Status.CANCELLED: gettext_lazy(
        "The campaign is cancelled. You can edit the campaign and send it again."
    ),
    Campaign.Status.FAILED: gettext_lazy("The last send failed. Open the send to see the reason."),
}


def _banner(campaign: Campaign, current: dict[str, Any] | None, runs: list[dict[str, Any]]) -> str:
    status = Campaign.Status
    if campaign.status == status.COMPLETED and runs and runs[0]["run"].is_in_vain:
        return _(
            "Nobody received the message. Open the send to see the reasons. You can edit the "
            "campaign and send it again."
        )
    if campaign.status == status.SCHEDULED and current:
        when = both_clocks(current["run"].intended_at, campaign, timezone.now())
        words = _(
            "The next send starts on %(moment)s. You can still change the message and the "
            "schedule. Open the send to cancel it."
        )
        if campaign.schedule_type == Campaign.Schedule.NOW:
            words = _(
                "The send starts on %(moment)s. You can still change the message. Open the send to "
                "cancel it."
            )
        return words % {"moment": when}
    return str(_BANNERS.get(status(campaign.status), ""))


def _people(campaign: Campaign) -> int:
    try:
        return count_people(campaign.workspace, campaign.audience_rule)
    except RuleError:
        return 0


def review(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """Everything to know before pressing the button."""
    context, now = facts(request, campaign), timezone.now()
    lines, findings = account_before(campaign), lint(campaign, now)
    ready = sum(line.count for line in lines if line.reason is Reason.PENDING)
    people, sentence = "", str(PUBLIC_SENTENCE)
    if not campaign.is_broadcast:
        people, sentence = people_words(_people(campaign)), account_sentence(lines)
    return {
        **context,
        "lines": lines,
        "people": people,
        "total": format_number(sum(line.count for line in lines)),
        "account_sentence": sentence,
        "errors": _linked(campaign.channel, findings, ERROR),
        "warnings": _linked(campaign.channel, findings, WARNING),
        "notes": _notes(campaign.channel, findings),
        "connection": campaign.connection_in_use(),
        "button": _button(campaign, ready),
        "undo_secs": undo_secs(),
        "edit_link": reverse("admin:campaigns_campaign_change", args=[campaign.pk]) + "?edit=1",
        "seen": campaign.updated_at.isoformat(),
    }


def _titles(channel: str) -> dict[str, str]:
    """{input of the editor: its label}."""
    parts = (CampaignForm, AudiencePart, SchedulePart, SendingPart)
    own = {name: str(one.label) for part in parts for name, one in part.base_fields.items()}
    known = registry.CHANNELS.get(channel)
    broadcasts = {}
    if known:
        broadcasts = {one.key: str(one.input_label) for one in known.broadcasts}
    return {**own, **broadcasts, **labels_of(channel), "button_1_text": _("Buttons")}


def _link_words(title: str) -> str:
    return _("Edit “%(field)s”") % {"field": title}


def _linked(channel: str, findings: list[Finding], severity: Severity) -> list[dict[str, str]]:
    """The findings of a severity as {field, text, link}: `link` names the input."""
    titles = _titles(channel)
    return [
        {
            "field": one.field,
            "text": str(one.text),
            "link": _link_words(titles.get(one.field, one.field)),
        }
        for one in findings
        if one.severity == severity
    ]


def _notes(channel: str, findings: list[Finding]) -> list[dict[str, str]]:
    """What some devices leave out, one line for each input: {field, title, link, text}."""
    titles = _titles(channel)
    lines: dict[str, dict[str, str]] = {}
    for finding in findings:
        if finding.severity == NOTE:
            title = titles.get(finding.field, finding.field)
            line = lines.setdefault(
                finding.field,
                {"field": finding.field, "title": title, "link": _link_words(title), "text": ""},
            )
            line["text"] = f"{line['text']} {finding.text}".strip()
    return list(lines.values())


def _button(campaign: Campaign, ready: int) -> str:
    if campaign.schedule_type == Campaign.Schedule.NOW:
        if campaign.is_broadcast:
            return _("Send to subscribers")
        reached = registry.counted_addresses(campaign.channel, ready)
        return _("Send to %(devices)s") % {"devices": reached}
    if campaign.is_series:
        return _("Start the series")
    if campaign.scheduled_at is None:
        return _("Schedule")
    when = planned_moment(campaign.scheduled_at, campaign.zone, timezone.now())
    return _("Schedule for %(moment)s") % {"moment": when}


def launch(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Schedule what was reviewed. Raises PermissionDenied without the right to send."""
    require(request, roles.SEND)
    back = redirect("admin:campaigns_campaign_review", campaign.pk)
    seen = request.POST.get("seen")
    if seen and seen != campaign.updated_at.isoformat():
        messages.warning(
            request,
            _("Somebody changed the campaign after you opened this page. Review it again."),
        )
        return back
    user = request.user
    assert isinstance(user, User)
    try:
        run = plan.schedule(campaign, by=user, now=timezone.now())
    except plan.CannotPlan as error:
        messages.error(request, str(error))
        return back
    if campaign.schedule_type == Campaign.Schedule.NOW:
        # The page of the send counts the seconds; this sentence stays below them.
        words = _("The send of “%(campaign)s” is confirmed.") % {"campaign": campaign}
    else:
        when = planned_moment(run.intended_at, run.campaign.zone, timezone.now())
        words = _("“%(campaign)s” is scheduled for %(moment)s.") % {
            "campaign": campaign,
            "moment": when,
        }
    messages.success(request, words)
    return redirect(slots.pages.run(run.pk))
