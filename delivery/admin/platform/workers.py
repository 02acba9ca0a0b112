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
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from delivery import health
from delivery.engine.heartbeat import SILENT
from delivery.models import Shard
from pushpilot.lib.display import NOTHING, age, format_number, how_long
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
    list_title = gettext_lazy("Workers")

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
        _worker_card(alive, silent),
        Card(
            _("Bells waiting"),
            "notifications",
            format_number(bells.waiting),
            _oldest(bells) if bells.waiting else _("Workers took every task at once"),
            _tone(bells),
            reverse("platform:django_q_ormq_changelist"),
        ),
        Card(
            _("Shards waiting"),
            "stacks",
            format_number(shards.waiting),
            _waits(shards),
            _tone(shards),
        ),
        Card(
            _("Shards in progress"),
            "bolt",
            f"{format_number(len(leases) - len(late))}{'+' if len(leases) > LEASES_SHOWN else ''}",
            _late_words(len(late)),
            "warning" if late else "",
        ),
    ]


def _worker_card(alive: int, silent: int) -> Card:
    running = ngettext("%(count)s running", "%(count)s running", alive)
    note, tone = _("No worker is silent"), ""
    if silent:
        words = ngettext("%(count)s worker is silent", "%(count)s workers are silent", silent)
        note, tone = words % {"count": format_number(silent)}, "warning"
    if not alive:
        tone = "broken"
    value = running % {"count": format_number(alive)}
    return Card(_("Workers"), "manufacturing", value, note, tone)


def _late_words(count: int) -> str:
    if not count:
        return _("No lease has run out")
    words = ngettext("%(count)s lease ran out", "%(count)s leases ran out", count)
    return words % {"count": format_number(count)}


def _oldest(lag: health.Lag) -> str:
    return _("The oldest has waited for %(span)s") % {"span": how_long(lag.age)}


def _waits(shards: health.Lag) -> str:
    if shards.waiting:
        return _oldest(shards)
    if not shards.later:
        return _("No message waits")
    words = ngettext(
        "%(count)s shard waits for a retry or for its rate limit",
        "%(count)s shards wait for a retry or for their rate limit",
        shards.later,
    )
    return words % {"count": format_number(shards.later)}


def _tone(lag: health.Lag) -> str:
    if lag.age >= health.QUEUE_STUCK:
        return "broken"
    if lag.age >= health.QUEUE_SLOW:
        return "warning"
    return ""


def _told(worker: health.Worker) -> dict[str, Any]:
    says = _("running") if worker.is_alive else _("silent")
    if worker.lived is not None:
        words = _("silent after running for %(span)s")
        if worker.is_alive:
            words = _("running for %(span)s")
        says = words % {"span": how_long(worker.lived)}
    return {
        "name": worker.name,
        "is_alive": worker.is_alive,
        "says": says,
        "heard": age(worker.age),
    }


def _lease(shard: Shard, now: datetime) -> dict[str, Any]:
    until = shard.lease_until
    is_late = until is not None and until < now
    left = NOTHING
    if until is not None and is_late:
        left = _("ran out %(ago)s") % {"ago": ago(until, now)}
    elif until is not None:
        left = _("%(span)s left") % {"span": how_long(until - now)}
    return {
        "process": shard.worker,
        "workspace": shard.workspace,
        "workspace_link": reverse("platform:tenants_workspace_change", args=[shard.workspace_id]),
        "run": shard.run_id,
        "state": shard.run.get_state_display(),
        "rows": f"{format_number(shard.first_id)} – {format_number(shard.last_id)}",
        "since": ago(shard.leased_at, now) if shard.leased_at else NOTHING,
        "left": left,
        "is_late": is_late,
        "takeovers": shard.attempts,
    }
