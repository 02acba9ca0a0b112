"""Deleting every row of a workspace, whatever its size: chunk by chunk, children first, set-based.

Django's cascade reads all rows that it deletes into memory; a workspace has millions.
"""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from graphlib import TopologicalSorter
from operator import or_

from django.apps import apps
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from tenants.models import Workspace
from tenants.scope import belongs_to_workspace

CHUNK = 5_000


def purge(workspace: Workspace, until: datetime) -> bool:
    """True when nothing of the workspace is left; False when the time was up. Runs again where
    it stopped."""
    for model in _children_first():
        rows = model._base_manager.filter(
            reduce(or_, (Q(**{way: workspace}) for way in _ways_to_workspace(model)))
        )
        # Onwards from the last id: not every table has an index on the workspace, and each chunk
        # would start over.
        last = 0
        while True:
            if timezone.now() >= until:
                return False
            ids = list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CHUNK])
            if not ids:
                break
            last = ids[-1]
            with transaction.atomic():
                _loosen(model, ids)
                model._base_manager.filter(pk__in=ids)._raw_delete(rows.db)
    Workspace.objects.filter(pk=workspace.pk).delete()
    return True


def _children_first() -> list[type[models.Model]]:
    """Every model whose rows are a workspace's, tenant model or not, each before those that its
    rows point at."""
    known = apps.get_models(include_auto_created=True)
    owned = {model for model in known if model is not Workspace and belongs_to_workspace(model)}
    order: TopologicalSorter[type[models.Model]] = TopologicalSorter(
        {model: set() for model in owned}
    )
    for model in owned:
        for field in model._meta.concrete_fields:
            if field.related_model in owned - {model}:
                order.add(field.related_model, model)
    return list(order.static_order())


def _ways_to_workspace(model: type[models.Model]) -> list[str]:
    """The lookups from a row to its workspace: ["workspace"]; several where a row hangs on one
    of several things, as a pace does: ["connection__workspace", "run__workspace"]."""
    ways = {
        field.related_model: field for field in model._meta.concrete_fields if field.related_model
    }
    if Workspace in ways:
        return [ways[Workspace].name]
    parents = [one for one in ways if one is not model and belongs_to_workspace(one)]
    certain = [parent for parent in parents if not ways[parent].null][:1]
    return [
        f"{ways[parent].name}__{way}"
        for parent in certain or parents
        for way in _ways_to_workspace(parent)
    ]


def _loosen(model: type[models.Model], ids: list[int]) -> None:
    """Let go of rows of the same table that point at these, e.g. a key at its successor."""
    for field in model._meta.concrete_fields:
        if field.is_relation and field.related_model is model and field.null:
            model._base_manager.filter(**{f"{field.name}__in": ids}).update(**{field.name: None})
