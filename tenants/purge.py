"""Deleting every row of a workspace, whatever its size: chunk by chunk, children first, set-based.

Django's cascade reads all rows that it deletes into memory; a workspace has millions.
"""

from __future__ import annotations

from datetime import datetime
from graphlib import TopologicalSorter

from django.db import models, transaction
from django.utils import timezone

from tenants.models import Workspace
from tenants.scope import TenantModel, tenant_models

CHUNK = 5_000


def purge(workspace: Workspace, until: datetime) -> bool:
    """True when nothing of the workspace is left; False when the time was up. Runs again where it stopped."""
    for model in _children_first():
        rows = model._base_manager.filter(workspace=workspace)
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
                rows.filter(pk__in=ids)._raw_delete(rows.db)
    with transaction.atomic():
        for related in Workspace._meta.related_objects:
            if not issubclass(related.related_model, TenantModel):
                related.related_model._base_manager.filter(**{related.field.name: workspace}).delete()
        Workspace.objects.filter(pk=workspace.pk).delete()
    return True


def _children_first() -> list[type[models.Model]]:
    """Every tenant model, each before those that its rows point at."""
    tenants = tenant_models()
    order: TopologicalSorter[type[models.Model]] = TopologicalSorter({model: set() for model in tenants})
    for model in tenants:
        for field in model._meta.concrete_fields:
            if field.related_model in tenants - {model}:
                order.add(field.related_model, model)
    return list(order.static_order())


def _loosen(model: type[models.Model], ids: list[int]) -> None:
    """Let go of rows of the same table that point at these, e.g. a key at its successor."""
    for field in model._meta.concrete_fields:
        if field.is_relation and field.related_model is model and field.null:
            model._base_manager.filter(**{f"{field.name}__in": ids}).update(**{field.name: None})
