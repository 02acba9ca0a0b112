"""Numbers across workspaces, for operators: how much each does, never what. Everything else is
counted per workspace in queries.py; from there come the rules of what counts as sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Count, IntegerField, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Contact, Run
from delivery.models import Shard
from reports import queries
from reports.models import Rollup
from tenants.admin.platform.site import Figure
from tenants.scope import every_workspace

RECENT = timedelta(days=30)


def messages_since(since: datetime, workspaces: Sequence[int] | None = None) -> Counter[int]:
    """{workspace: messages that a provider accepted} of the runs that started since then; all
    workspaces for None."""
    slug = Reason.ACCEPTED.slug
    with every_workspace():
        runs = Run.objects.filter(started_at__gte=since)
        if workspaces is not None:
            runs = runs.filter(workspace__in=workspaces)
        # A sum of a JSON key: 12 ms for 10,000 runs on SQLite.
        accepted = Sum(Cast(KeyTextTransform(slug, "tally"), IntegerField()))
        rows = runs.order_by().values_list("workspace").annotate(n=accepted)
        found = Counter({workspace: n or 0 for workspace, n in rows})
        under_way = runs.filter(
            Q(finished_at__isnull=True) | Q(state=Run.State.FAILED), audience_size__isnull=False
        )
        owners = dict(under_way.values_list("pk", "workspace"))
        shards = Shard.objects.filter(run__in=list(owners))
        live = queries.shard_tallies(
            shards.values_list("run_id", "run__tally", "run__audience_size", "tally")
        )
        for run, tally in live.items():
            found[owners[run]] += tally.get(slug, 0)
    return found


def sending_workspaces(since: datetime) -> int:
    """How many workspaces started a run since then."""
    with every_workspace():
        return Run.objects.filter(started_at__gte=since).values("workspace").distinct().count()


def _per_workspace(rows: QuerySet, workspaces: Sequence[int]) -> Mapping[int, int]:
    return dict(
        rows.filter(workspace__in=workspaces)
        .order_by()
        .values_list("workspace")
        .annotate(n=Count("pk"))
    )


def _events(workspaces: Sequence[int], now: datetime) -> Mapping[int, int]:
    rows = Rollup.objects.filter(workspace__in=workspaces, quarter__gte=now - RECENT).order_by()
    return dict(rows.values_list("workspace").annotate(n=Sum("events")))


def _contacts(workspaces: Sequence[int], now: datetime) -> Mapping[int, int]:
    return _per_workspace(Contact.objects.all(), workspaces)


def _campaigns(workspaces: Sequence[int], now: datetime) -> Mapping[int, int]:
    return _per_workspace(Campaign.objects.all(), workspaces)


FIGURES = [
    Figure(gettext_lazy("Contacts"), _contacts, "group", is_in_list=True),
    Figure(
        gettext_lazy("Messages, 30 days"),
        lambda ids, now: messages_since(now - RECENT, ids),
        "send",
        is_in_list=True,
    ),
    Figure(gettext_lazy("Campaigns"), _campaigns, "campaign"),
    Figure(gettext_lazy("Events, 30 days"), _events, "bolt"),
]
