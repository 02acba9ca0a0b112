"""What reports puts on the pages of a campaign and of a run: its slots are filled by the root
wiring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from campaigns.models import Campaign, Run
from delivery.admin import addresses
from pushpilot.lib.display import format_number, planned_moment, time_of_day, weekday
from reports import charts, queries
from reports.funnel import Funnel, funnel_of, reasons
from reports.models import Engagement, EventType
from reports.queries import RunRow
from tenants.models import Workspace

RUNS_SHOWN = 10
CURVE = timedelta(days=7)  # what happens later than this after a send is no longer drawn
# up to here quarters of an hour, hours, then six hours
_FINE, _COARSE = timedelta(hours=6), timedelta(days=3)


def campaign_panel(request: HttpRequest, campaign: Campaign) -> SafeString:
    """The funnel, the curve since the last send and the runs of a campaign; a sentence before
    its first run."""
    started = queries.started_runs_of(campaign.pk)
    people = queries.people_of_campaign(campaign.pk)
    context = {
        "campaign": campaign,
        "has_runs": bool(started),
        "funnel": _funnel_context(
            started, queries.everybody(people), _funnel_url("campaign", campaign.pk)
        ),
        "curve": _curve(campaign.workspace, campaign.pk, started[0]) if started else None,
        "reasons": [
            {"row": reason, "count": format_number(reason.count), "percent": reason.percent}
            for reason in reasons(started, campaign.channel)
        ],
        "is_broadcast": bool(started) and all(run.is_broadcast for run in started),
        "audience": format_number(sum(run.audience for run in started)),
        "runs": [
            _run_line(campaign.workspace, run, people.get(run.id, {}))
            for run in started[:RUNS_SHOWN]
        ],
        "more": max(0, len(started) - RUNS_SHOWN),
    }
    return render_to_string("reports/campaign_panel.html", context, request)


def run_panel(request: HttpRequest, run: Run) -> SafeString:
    """The funnel and the curve of one run; its account by reason is on the page already."""
    row = _row_of(run)
    context = {
        "funnel": _run_funnel_context(run, row),
        "curve": _curve(run.workspace, run.campaign_id, row, run.pk) if row.started_at else None,
    }
    return render_to_string("reports/run_panel.html", context, request)


def message_states(message_ids: Sequence[int]) -> dict[int, list[str]]:
    """{message: ["Delivered", "Opened"]}: what was reported about these messages, in the order
    of a funnel."""
    order = list(EventType.values)
    found: dict[int, list[str]] = {}
    rows = Engagement.objects.filter(message_id__in=message_ids).values_list("message_id", "type")
    for message_id, kind in sorted(rows, key=lambda row: order.index(row[1])):
        found.setdefault(message_id, []).append(str(EventType(kind).label))
    return found


def campaign_funnel(campaign: Campaign) -> SafeString:
    """The part of the campaign's panel that is asked for again while it is looked at."""
    started = queries.started_runs_of(campaign.pk)
    people = queries.everybody(queries.people_of_campaign(campaign.pk))
    return _render_funnel(_funnel_context(started, people, _funnel_url("campaign", campaign.pk)))


def run_funnel(run: Run) -> SafeString:
    return _render_funnel(_run_funnel_context(run, _row_of(run)))


def run_figures(run: Run) -> dict[str, Any]:
    """The live numbers of a run for programs."""
    funnel = funnel_of([_row_of(run)], _people_of(run))
    return {
        **{step.key: step.count for step in funnel.steps},
        "is_live": funnel.is_live,
        "state": run.state,
    }


def _render_funnel(context: Mapping[str, Any]) -> SafeString:
    return render_to_string("reports/funnel.html", {"funnel": context})


def _row_of(run: Run) -> RunRow:
    return queries.runs_of(run.campaign_id, run.pk)[0]


def _funnel_url(kind: str, pk: int) -> str:
    return reverse(f"admin:reports_{kind}_funnel", args=[pk])


def _run_funnel_context(run: Run, row: RunRow) -> dict[str, Any]:
    return _funnel_context([row], _people_of(run), _funnel_url("run", run.pk))


def _people_of(run: Run) -> Counter[str]:
    return queries.everybody(queries.people_of_campaign(run.campaign_id, run.pk))


def _funnel_context(runs: Sequence[RunRow], people: Mapping[str, int], url: str) -> dict[str, Any]:
    funnel: Funnel = funnel_of(runs, people)
    top = max(step.count for step in funnel.steps) or 1
    return {
        "url": url,
        # Somebody looks at it while phones answer: often during a send, seldom afterwards.
        "every_secs": 3 if funnel.is_live else 10,
        "steps": [
            {
                "key": step.key,
                "label": step.label,
                "count": format_number(step.count),
                "share": step.of,
                "measured": step.measured,
                "width": f"{100 * step.count / top:.1f}",
                "is_trouble": step.key in ("failed", "unknown"),
            }
            for step in funnel.steps
            if step.count or step.key not in ("converted", "unknown")
        ],
    }


def _run_line(workspace: Workspace, run: RunRow, people: Mapping[str, int]) -> dict[str, Any]:
    assert run.started_at is not None
    funnel = funnel_of([run], people)
    shown = [
        funnel[key] for key in ("accepted", "delivered", "opened", "clicked", "failed", "unknown")
    ]
    return {
        "when": planned_moment(run.started_at, workspace.zone, timezone.now()),
        "cells": [{"count": format_number(step.count), "percent": step.words} for step in shown],
        "href": addresses.run(run.id),
    }


def _curve(
    workspace: Workspace, campaign_id: int, run: RunRow, run_id: int | None = None
) -> dict[str, Any] | None:
    """What was reported since the run started, in steps that suit the time passed; None before
    anything did."""
    assert run.started_at is not None
    until = min(timezone.now(), run.started_at + CURVE)
    found = queries.engagement_over_time(campaign_id, run.started_at, until, run_id)
    if not found:
        return None
    first = min(run.started_at, *(min(quarters) for quarters in found.values()))
    last = max(max(quarters) for quarters in found.values())
    step = _step(last - first)
    slots = _slots(first, last, step)
    series = [
        (label, kind, _fill(found.get(kind, {}), slots, step))
        for label, kind in (
            (_("Delivered"), "delivered"),
            (_("Opened"), "opened"),
            (_("Clicked"), "clicked"),
        )
    ]
    labels = []
    for slot in slots:
        local = slot.astimezone(workspace.zone)
        at = time_of_day(local, workspace.zone)
        labels.append(at if step < timedelta(hours=1) else f"{weekday(local)} {at}")
    return charts.chart("curve", labels, series)


def _step(span: timedelta) -> timedelta:
    if span <= _FINE:
        return timedelta(minutes=15)
    if span <= _COARSE:
        return timedelta(hours=1)
    return timedelta(hours=6)


def _slots(first: datetime, last: datetime, step: timedelta) -> list[datetime]:
    width = int(step.total_seconds())
    start = int(first.timestamp()) // width * width
    end = int(last.timestamp()) // width * width
    return [datetime.fromtimestamp(second, UTC) for second in range(start, end + 1, width)]


def _fill(
    quarters: Mapping[datetime, int], slots: Sequence[datetime], step: timedelta
) -> list[int]:
    values = [0] * len(slots)
    for quarter, count in quarters.items():
        index = int((quarter - slots[0]) / step)
        if 0 <= index < len(values):
            values[index] += count
    return values
