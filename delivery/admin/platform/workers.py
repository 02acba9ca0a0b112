"""The workers for operators: who lives, what waits for them, and who works on what. Names of
workspaces and numbers of runs, nothing of what they send."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from delivery import health
from delivery.engine.heartbeat import SILENT
from delivery.models import Shard
from pushpilot.lib.display import age, counted, format_number, how_long
from tenants.admin.platform.base import PlatformAdmin, ago

LEASES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Card:
    """A figure with its words. `tone`: empty, or warning or broken."""

    label: str
    icon: str
    value: str
    note: str
    tone: str = ""
    link: str = ""


class WorkersPage(PlatformAdmin):
    list_title = "Workers"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        now = timezone.now()
        workers, leases = health.workers_seen(now), health.leases(LEASES_SHOWN + 1)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": self.list_title,
            "figures": figures(now, workers, leases),
            "workers": [_told(worker) for worker in workers],
            "leases": [_lease(shard, now) for shard in leases[:LEASES_SHOWN]],
            "has_more": len(leases) > LEASES_SHOWN,
            "silent_after": how_long(SILENT),
        }
        return TemplateResponse(request, "delivery/platform/workers.html", context)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        raise Http404("a worker has no page of its own")


def figures(now: datetime, workers: list[health.Worker], leases: list[Shard]) -> list[Card]:
    alive = sum(worker.is_alive for worker in workers)
    silent = len(workers) - alive
    bells, shards = health.queue_lag(now), health.shard_lag(now)
    late = [shard for shard in leases if shard.lease_until and shard.lease_until < now]
    return [
        Card(
            "Workers",
            "manufacturing",
            f"{format_number(alive)} running",
            f"{format_number(silent)} silent" if silent else "None went silent",
            "broken" if not alive else "warning" if silent else "",
        ),
        Card(
            "Bells waiting",
            "notifications",
            format_number(bells.waiting),
            f"The oldest for {how_long(bells.age)}"
            if bells.waiting
            else "Every task was taken at once",
            _tone(bells),
            reverse("platform:django_q_ormq_changelist"),
        ),
        Card(
            "Shards waiting",
            "stacks",
            format_number(shards.waiting),
            _waits(shards),
            _tone(shards),
        ),
        Card(
            "Shards at work",
            "bolt",
            f"{format_number(len(leases) - len(late))}{'+' if len(leases) > LEASES_SHOWN else ''}",
            f"{counted(len(late), 'lease')} ran out" if late else "No lease has run out",
            "warning" if late else "",
        ),
    ]


def _waits(shards: health.Lag) -> str:
    if shards.waiting:
        return f"The oldest for {how_long(shards.age)}"
    return (
        f"{format_number(shards.later)} for later: a retry, or their pace"
        if shards.later
        else "Nothing waits to be sent"
    )


def _tone(lag: health.Lag) -> str:
    if lag.age >= health.QUEUE_STUCK:
        return "broken"
    return "warning" if lag.age >= health.QUEUE_SLOW else ""


def _told(worker: health.Worker) -> dict[str, Any]:
    lived = how_long(worker.lived) if worker.lived is not None else ""
    if worker.is_alive:
        says = f"running for {lived}" if lived else "running"
    else:
        says = f"silent; it had run for {lived}" if lived else "silent"
    return {
        "name": worker.name,
        "is_alive": worker.is_alive,
        "says": says,
        "heard": age(worker.age),
    }


def _lease(shard: Shard, now: datetime) -> dict[str, Any]:
    until = shard.lease_until
    is_late = until is not None and until < now
    left = (
        "–"
        if until is None
        else f"ran out {ago(until, now)}"
        if is_late
        else f"{how_long(until - now)} left"
    )
    return {
        "process": shard.worker,
        "workspace": shard.workspace,
        "workspace_link": reverse("platform:tenants_workspace_change", args=[shard.workspace_id]),
        "run": shard.run_id,
        "state": shard.run.get_state_display(),
        "rows": f"{format_number(shard.first_id)} – {format_number(shard.last_id)}",
        "since": ago(shard.leased_at, now) if shard.leased_at else "–",
        "left": left,
        "is_late": is_late,
        "takeovers": shard.attempts,
    }
