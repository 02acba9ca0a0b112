"""What the dashboard shows, as plain values for its template. Numbers come from reports.queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.channels import registry
from campaigns.models import Campaign, Run, Template
from delivery.admin import addresses
from delivery.admin.run.held_platforms import said
from delivery.admin.run.notices import stopped
from delivery.models import Reach, Shard
from pushpilot.lib.display import (
    NOTHING,
    format_number,
    is_same_clock,
    listed,
    near_moment,
    percent,
    shares,
    short_day,
    zone_name,
)
from reports import allowance, attention, charts, queries
from reports.funnel import funnel_of, share
from reports.queries import RunRow
from tenants import roles
from tenants.models import Connection, Workspace

DAYS = 14
RECENT = 5
NO_CHANGE = 0.05  # percent; less is written as 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """How a number moved against the period before. `text` is complete: "+33.4 %"."""

    text: str
    is_up: bool


@dataclass(frozen=True, slots=True)
class Card:
    label: str
    icon: str
    value: str
    note: str = ""
    change: Change | None = None
    spark: str = ""  # points of an SVG polyline
    href: str = ""


@dataclass(slots=True)
class _Facts:
    """What one request reads, once."""

    workspace: Workspace
    now: datetime
    runs: list[RunRow] = field(default_factory=list)
    live: Mapping[int, queries.Tally] = field(default_factory=dict)

    def day(self, days_ago: int) -> datetime:
        return queries.day_start(self.workspace, self.now, days_ago)

    def started(self, first: datetime, until: datetime) -> list[RunRow]:
        return [
            run
            for run in self.runs
            if run.started_at is not None and first <= run.started_at < until
        ]


def build(request: HttpRequest) -> dict[str, Any]:
    """The dashboard of the request's workspace."""
    workspace: Workspace = request.workspace  # type: ignore[attr-defined]
    now = timezone.now()
    facts = _Facts(workspace, now)
    facts.live = queries.live_tallies(workspace)
    facts.runs = queries.runs_since(
        workspace, facts.day(2 * DAYS - 1) - timedelta(hours=1), facts.live
    )
    sent = queries.sent_by_day(workspace, facts.runs)
    shown = {
        "greeting": _greeting(now.astimezone(workspace.zone).hour, request.user.get_short_name()),  # type: ignore[union-attr]
        "zone": workspace.time_zone,
        "new_campaign": _allowed(request, roles.EDIT, "admin:campaigns_campaign_add"),
        "obstacle": _obstacle(facts),
        "held": _held(request, workspace),
        "storage": allowance.notice(workspace, now),
        "cards": _cards(request, facts, sent),
        "next_up": [_next_up(facts, run) for run in queries.next_runs(facts.runs, now)],
    }
    if not any(run.started_at for run in facts.runs) and not queries.has_ever_sent(workspace):
        return {**shown, "steps": _first_steps(request, workspace)}
    people = queries.people_by_run(workspace, facts.day(2 * DAYS - 1))
    return {
        **shown,
        "volume": _volume(facts, sent),
        "channels": _channels(facts),
        "engagement": _engagement(facts, people),
        "recent": _recent(facts, people),
        "health": attention.of(facts.runs),
    }


def _obstacle(facts: _Facts) -> str:
    """Why nothing of what waits to be sent will move; "" if it will, or nothing waits."""
    if all(run.state in Run.ENDED_STATES for run in facts.runs):
        return ""
    notice = stopped(facts.now)
    if notice:
        return notice.text
    return ""


def _held(request: HttpRequest, workspace: Workspace) -> dict[str, str]:
    """The platforms that the connection in use does not reach, with the run that waits for them;
    {} if there is none. A person can try again on the page of the run."""
    refused = Reach.objects.filter(workspace=workspace, connection__is_active=True).exclude(
        held_since=None
    )
    holds = list(
        refused.select_related("connection").defer("connection__sealed").order_by("platform")
    )
    if not holds:
        return {}
    waiting = ngettext(
        "Messages to this platform wait. The other platforms continue.",
        "Messages to these platforms wait. The other platforms continue.",
        len(holds),
    )
    text = " ".join([*(said(hold) for hold in holds), waiting])
    going = Shard.objects.filter(
        workspace=workspace, state=Shard.State.HELD, run__state=Run.State.RUNNING
    )
    shard = going.select_related("run__campaign").order_by("-run_id").first()
    if shard is not None:
        return {"name": str(shard.run.campaign), "href": addresses.run(shard.run_id), "text": text}
    connection = holds[0].connection
    page = reverse("admin:tenants_connection_change", args=[connection.pk])
    is_allowed = roles.can(request.user, roles.CONNECTIONS, workspace)
    return {"name": connection.name, "href": page if is_allowed else "", "text": text}


def _greeting(hour: int, name: str) -> str:
    if 4 <= hour < 12:
        return _("Good morning, %(name)s") % {"name": name}
    if 12 <= hour < 18:
        return _("Good afternoon, %(name)s") % {"name": name}
    return _("Good evening, %(name)s") % {"name": name}


def _campaign_page(campaign_id: int) -> str:
    return reverse("admin:campaigns_campaign_change", args=[campaign_id])


def _allowed(request: HttpRequest, capability: str, page: str) -> str:
    """The page's address if the user's role may use it."""
    workspace: Workspace = request.workspace  # type: ignore[attr-defined]
    if roles.can(request.user, capability, workspace):
        return reverse(page)
    return ""


# --- the five figures -----------------------------------------------------------------------------


def _cards(request: HttpRequest, facts: _Facts, sent: Counter[date]) -> list[Card]:
    workspace, now = facts.workspace, facts.now
    days = queries.days_back(workspace, now, 2 * DAYS)
    before, lately = sum(sent[day] for day in days[:DAYS]), sum(sent[day] for day in days[DAYS:])
    today = queries.messages_sent_today(workspace, now, facts.runs)
    statuses = queries.active_campaigns(workspace)
    order = [status for status in queries.ACTIVE_STATUSES if status in statuses]
    connections = list(
        Connection.objects.filter(workspace=workspace, is_active=True).values_list(
            "name", flat=True
        )
    )
    return [
        Card(
            _("Messages sent"),
            "send",
            format_number(lately),
            _("%(count)s in total")
            % {"count": format_number(queries.total_messages_sent(workspace, facts.live))},
            _change(lately, before),
            charts.spark([sent[day] for day in days[DAYS:]]),
        ),
        Card(
            _("Sent today"),
            "today",
            format_number(today),
            _("%(count)s yesterday") % {"count": format_number(sent[days[-2]])},
        ),
        _next_send(facts),
        Card(
            _("Active campaigns"),
            "campaign",
            format_number(sum(statuses.values())),
            " · ".join(
                _("%(status)s: %(count)s")
                % {
                    "status": Campaign.Status(status).label,
                    "count": format_number(statuses[status]),
                }
                for status in order
            )
            or _("None active"),
            href=reverse("admin:campaigns_campaign_changelist"),
        ),
        Card(
            _("Connected apps"),
            "link",
            format_number(len(connections)),
            listed(connections[:3]) or _("No provider connected"),
            href=_allowed(request, roles.CONNECTIONS, "admin:tenants_connection_changelist"),
        ),
    ]


def _next_send(facts: _Facts) -> Card:
    upcoming = next(iter(queries.next_runs(facts.runs, facts.now)), None)
    if upcoming is None:
        return Card(_("Next send"), "schedule", NOTHING, _("Nothing is planned"))
    note = upcoming.campaign
    if own := _own_clock(facts, upcoming):
        note = f"{own} · {upcoming.campaign}"  # a long name is cut at its end
    return Card(
        _("Next send"),
        "schedule",
        near_moment(upcoming.intended_at, facts.workspace.zone, facts.now),
        note,
        href=_campaign_page(upcoming.campaign_id),
    )


def _change(now: float, before: float) -> Change | None:
    """None where there is nothing to compare with, or nothing has changed."""
    if not before:
        return None
    grown = 100 * (now - before) / before
    if abs(grown) < NO_CHANGE:
        return None
    if abs(grown) >= 1000:
        return Change(f"×{format_number(round(now / before))}", grown >= 0)
    return Change(_signed(percent(abs(grown)), is_plus=grown >= 0), grown >= 0)


def _signed(number: str, *, is_plus: bool) -> str:
    if is_plus:
        return f"+{number}"
    return f"-{number}"


# --- charts ---------------------------------------------------------------------------------------


def _volume(facts: _Facts, sent: Counter[date]) -> dict[str, Any]:
    days = queries.days_back(facts.workspace, facts.now, DAYS)
    events = queries.events_by_day(facts.workspace, facts.now, DAYS)
    series = [
        (_("Sent"), "sent", [sent[day] for day in days]),
        *(
            (label, kind, [events.get(kind, Counter())[day] for day in days])
            for label, kind in ((_("Delivered"), "delivered"), (_("Opened"), "opened"))
        ),
    ]
    return charts.chart("volume", [short_day(day) for day in days], series)


def _channels(facts: _Facts) -> dict[str, Any]:
    split = queries.sent_by_channel(facts.runs, facts.day(DAYS - 1))
    total = sum(count for _channel, count in split)
    words = shares(dict(split))
    rows = [
        {
            "label": registry.label_of(channel),
            "count": format_number(count),
            "percent": words[channel],
            "tone": index + 1,
        }
        for index, (channel, count) in enumerate(split)
    ]
    labels = [registry.label_of(channel) for channel, _count in split]
    drawn = charts.chart(
        "channels", labels, [(_("Sent"), "sent", [count for _channel, count in split])]
    )
    return {**drawn, "rows": rows, "total": charts.short(total)}


def _engagement(facts: _Facts, people: Mapping[int, Counter[str]]) -> dict[str, Any]:
    """Opens and clicks as a share of what was accepted, by the day of the send: late opens count
    for their send."""
    days = queries.days_back(facts.workspace, facts.now, DAYS)
    by_day: dict[date, list[RunRow]] = {day: [] for day in days}
    for run in facts.started(facts.day(DAYS - 1), facts.now + timedelta(days=1)):
        assert run.started_at is not None
        by_day.setdefault(run.started_at.astimezone(facts.workspace.zone).date(), []).append(run)
    lines = [
        (label, kind, [_rate(by_day[day], people, kind) for day in days])
        for label, kind in ((_("Opened"), "opened"), (_("Clicked"), "clicked"))
    ]
    drawn = charts.chart("engagement", [short_day(day) for day in days], lines)
    lately = facts.started(facts.day(DAYS - 1), facts.now + timedelta(days=1))
    before = facts.started(facts.day(2 * DAYS - 1), facts.day(DAYS - 1))
    rates = [
        {
            "label": label,
            "key": kind,
            "value": percent(now),
            "change": _points(now, _rate(before, people, kind)),
        }
        for label, kind in (
            (_("Delivered"), "delivered"),
            (_("Opened"), "opened"),
            (_("Clicked"), "clicked"),
        )
        for now in (_rate(lately, people, kind),)
    ]
    return {**drawn, "rates": rates}


def _rate(runs: Sequence[RunRow], people: Mapping[int, Counter[str]], kind: str) -> float | None:
    return share(
        sum(people[run.id][kind] for run in runs if run.id in people), sum(r.accepted for r in runs)
    )


def _points(now: float | None, before: float | None) -> Change | None:
    if now is None or before is None or abs(now - before) < NO_CHANGE:
        return None
    points = _signed(format_number(round(abs(now - before), 1)), is_plus=now >= before)
    return Change(_("%(points)s pts") % {"points": points}, now >= before)


# --- lists ----------------------------------------------------------------------------------------


def _next_up(facts: _Facts, run: RunRow) -> dict[str, Any]:
    return {
        "name": run.campaign,
        "icon": registry.icon_of(run.channel),
        "when": near_moment(run.intended_at, facts.workspace.zone, facts.now),
        "own_clock": _own_clock(facts, run),
        "recurring": run.recurring,
        "href": _campaign_page(run.campaign_id),
    }


def _own_clock(facts: _Facts, run: RunRow) -> str:
    """ "Sat 09:30 CET" on the clock of its schedule; "" if that is the workspace's, or shows the
    same."""
    zone = ZoneInfo(run.zone) if run.zone else facts.workspace.zone
    at = run.intended_at
    if is_same_clock(at, zone, facts.workspace.zone):
        return ""
    return f"{near_moment(at, zone, facts.now)} {zone_name(at, zone)}"


def _recent(facts: _Facts, people: Mapping[int, Counter[str]]) -> list[dict[str, Any]]:
    """The campaigns that were sent last, with the funnel of their runs of the last four weeks."""
    by_campaign: dict[int, list[RunRow]] = {}
    for run in sorted(
        facts.runs, key=lambda run: (run.started_at or facts.day(99), run.id), reverse=True
    ):
        if run.started_at is not None and not run.is_direct:
            by_campaign.setdefault(run.campaign_id, []).append(run)
    rows = []
    for campaign_id, runs in list(by_campaign.items())[:RECENT]:
        happened: Counter[str] = Counter()
        for run in runs:
            happened.update(people.get(run.id, {}))
        latest = runs[0]
        assert latest.started_at is not None
        rows.append(
            {
                "name": latest.campaign,
                "icon": registry.icon_of(latest.channel),
                "href": _campaign_page(campaign_id),
                "state": Run.State(latest.state).label,
                "tone": charts.STATE_TONES[Run.State(latest.state)],
                "when": near_moment(latest.started_at, facts.workspace.zone, facts.now),
                "sends": len(runs),
                "funnel": charts.mini_funnel(funnel_of(runs, happened)),
            }
        )
    return rows


def _first_steps(request: HttpRequest, workspace: Workspace) -> list[dict[str, Any]]:
    """The way to the first campaign, with what is done ticked off."""
    has_campaign = Campaign.objects.filter(workspace=workspace).exists()
    return [
        {
            "title": _("Choose a template"),
            "text": _(
                "Import your own templates from a CSV or Excel file, or start from the library."
            ),
            "done": Template.objects.filter(workspace=workspace).exists(),
            "action": _("Import templates"),
            "href": _allowed(request, roles.IMPORT, "admin:campaigns_template_import")
            or reverse("admin:campaigns_template_changelist"),
        },
        {
            "title": _("Write a campaign"),
            "text": _(
                "Title, text and audience. The preview beside the form shows what people will see."
            ),
            "done": has_campaign,
            "action": _("New campaign"),
            "href": _allowed(request, roles.EDIT, "admin:campaigns_campaign_add"),
        },
        {
            "title": _("Send it"),
            "text": _(
                "Now, later, or repeatedly. The sandbox comes first: nothing reaches real people."
            ),
            "done": False,
            "action": _("Open campaigns"),
            "href": reverse("admin:campaigns_campaign_changelist") if has_campaign else "",
        },
    ]
