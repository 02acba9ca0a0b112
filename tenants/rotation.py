"""Rotating ENCRYPTION_KEYS: every stored secret moves to the first key, while the product runs."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.db import models, transaction
from django.db.models import TextField, Value
from django.db.models.functions import Cast

from tenants import audit, mfa
from tenants.models import Workspace
from tenants.scope import every_workspace
from tenants.secrets import Rotation, SealedTextField

Sealed = tuple[type[models.Model], str]


def rotate(*, dry_run: bool = False) -> Rotation:
    """Seal anew what stands under a later key than the first; with `dry_run` only count it.

    A workspace's secrets move in one transaction with the entry in its trail, so a rotation that
    was interrupted goes on where it stopped. What no key decrypts stays as it is, and is named
    in `unreadable`.
    """
    with every_workspace():
        found = Rotation()
        for pk in sorted({pk for sealed in _sealed_fields() for pk in _workspaces_of(*sealed)}):
            found += _of_workspace(pk, dry_run)
        return found + mfa.reseal_authenticators(dry_run=dry_run)


def _sealed_fields() -> Iterator[Sealed]:
    """Every sealed field of every layer; their models have a workspace."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, SealedTextField):
                yield model, field.name


def _workspaces_of(model: type[models.Model], field: str) -> Iterator[int]:
    rows = (
        model._base_manager.exclude(**{field: ""}).order_by().values_list("workspace_id", flat=True)
    )
    yield from rows.distinct()


def _of_workspace(pk: int, dry_run: bool) -> Rotation:
    found = Rotation()
    with transaction.atomic():
        for model, field in _sealed_fields():
            _reseal(model._base_manager.filter(workspace_id=pk), field, found, dry_run)
        if found.moved and not dry_run:
            workspace = Workspace.objects.get(pk=pk)
            audit.record(
                workspace, "secrets rotated", workspace, by=None, detail={"secrets": found.moved}
            )
    return found


def _reseal(
    rows: models.QuerySet[models.Model], field: str, found: Rotation, dry_run: bool
) -> None:
    """Only this column is written: `updated_at` says when somebody changed the row, and workers
    go by it."""
    if not dry_run:
        # credentials that are entered meanwhile wait for us, and win
        rows = rows.select_for_update()
    # Cast, so that the field does not decrypt: one row that no key fits would hide the others.
    tokens = rows.exclude(**{field: ""}).annotate(raw=Cast(field, TextField())).order_by("pk")
    for pk, workspace, token in list(tokens.values_list("pk", "workspace_id", "raw")):
        label = rows.model._meta.verbose_name
        fresh = found.fresh(token, f"workspace {workspace}, {label} {pk}: {field}")
        if fresh != token and not dry_run:
            rows.model._base_manager.filter(pk=pk).update(**{field: Value(fresh, TextField())})
