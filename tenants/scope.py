"""The first tenant wall: rows of a workspace are reachable only inside `scope(workspace)`.

Outside a scope every query on a scoped manager raises `ScopeError`. Work that spans workspaces
(sweeps, migrations, the operators' site) says so with `every_workspace()`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from django.apps import apps
from django.db import models
from django_scopes import ScopedManager, get_scope
from django_scopes import scope as _scope
from django_scopes import scopes_disabled as every_workspace

if TYPE_CHECKING:
    from tenants.models import Workspace

__all__ = [
    "TenantManager",
    "TenantModel",
    "belongs_to_workspace",
    "current_workspace",
    "every_workspace",
    "scope",
    "tenant_models",
]

M = TypeVar("M", bound=models.Model)


def scope(workspace: Workspace) -> AbstractContextManager[None]:
    manager: AbstractContextManager[None] = _scope(workspace=workspace)
    return manager


def current_workspace() -> Workspace | None:
    """The workspace of the active scope, None outside of any."""
    found: Any = get_scope().get("workspace")
    return found  # type: ignore[no-any-return]


if TYPE_CHECKING:

    class TenantManager(models.Manager[M]):
        """Rows of the active scope's workspace; raises ScopeError outside of any."""
else:

    class TenantManager(type(ScopedManager(workspace="workspace"))):
        """Rows of the active scope's workspace; raises ScopeError outside of any."""


class TenantModel(models.Model):
    """A row that belongs to one workspace.

    `capabilities` says which capability of tenants.roles each action on such a row needs; the
    admin, the API and `user.has_perm(..., row)` all read it from here.
    """

    workspace = models.ForeignKey(
        "tenants.Workspace", on_delete=models.CASCADE, related_name="+", editable=False
    )
    objects = TenantManager()

    capabilities: dict[str, str] = {}

    class Meta:
        abstract = True


def belongs_to_workspace(model: type[models.Model]) -> bool:
    """Whether its rows are a workspace's: it is the workspace, or points at something that is."""
    if model._meta.label == "tenants.Workspace":
        return True
    related = {field.related_model for field in model._meta.concrete_fields if field.is_relation}
    return any(
        isinstance(one, type) and belongs_to_workspace(one) for one in related - {model, None}
    )


def tenant_models() -> set[type[TenantModel]]:
    """Every model whose rows belong to a workspace."""
    return {model for model in apps.get_models() if issubclass(model, TenantModel)}
