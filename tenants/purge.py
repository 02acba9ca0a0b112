"""Deleting every row of a workspace, whatever its size: chunk by chunk, children first, set-based.

Django's cascade reads all rows that it deletes into memory; a workspace has millions.
"""

from __future__ import annotations

from datetime import datetime
from graphlib import TopologicalSorter

from django.apps import apps
from django.db import models, transaction
from django.utils import timezone

from tenants.models import Workspace
from tenants.scope import belongs_to_workspace

CHUNK = 5_000


def purge(workspace: Workspace, until: datetime) -> bool:
    """True when nothing of the workspace is left; False when the time was up. Runs again where it stopped."""
    for model in _children_first():
        rows = model._base_manager.filter(**{_way_to_workspace(model): workspace})
        # Onwards from the last id: not every table has an index on the workspace, and each chunk would start over.
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
    """Every model whose rows are a workspace's, tenant model or not, each before those that its rows point at."""
    known = apps.get_models(include_auto_created=True)
    owned = {model for model in known if model is not Workspace and belongs_to_workspace(model)}
    order: TopologicalSorter[type[models.Model]] = TopologicalSorter({model: set() for model in owned})
    for model in owned:
        for field in model._meta.concrete_fields:
            if field.related_model in owned - {model}:
                order.add(field.related_model, model)
    return list(order.static_order())


def _way_to_workspace(model: type[models.Model]) -> str:
    """The lookup from a row to its workspace: "workspace"; "connection__workspace" for a connection's pace."""
    ways = {field.related_model: field.name for field in model._meta.concrete_fields if field.related_model}
    if Workspace in ways:
        return ways[Workspace]
    parent = next(one for one in ways if one is not model and belongs_to_workspace(one))
    return f"{ways[parent]}__{_way_to_workspace(parent)}"


def _loosen(model: type[models.Model], ids: list[int]) -> None:
    """Let go of rows of the same table that point at these, e.g. a key at its successor."""
    for field in model._meta.concrete_fields:
        if field.is_relation and field.related_model is model and field.null:
            model._base_manager.filter(**{f"{field.name}__in": ids}).update(**{field.name: None})
