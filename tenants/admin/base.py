"""The second tenant wall: what every console page of a workspace's rows inherits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.utils import NestedObjects
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db import models, router
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from pushpilot.lib.clients import client_address
from tenants import audit, roles
from tenants.models import User, Workspace


def workspace_of(request: HttpRequest) -> Workspace:
    """The workspace whose console this request is in. Raises Http404 outside of any."""
    workspace: Workspace | None = getattr(request, "workspace", None)
    if workspace is None:
        raise Http404("outside of any workspace")
    return workspace


def require(request: HttpRequest, capability: str) -> Workspace:
    """The request's workspace; raises PermissionDenied if the user lacks the capability on it."""
    workspace = workspace_of(request)
    if not roles.can(request.user, capability, workspace):
        raise PermissionDenied(f"Your role may not do this: {roles.CAPABILITIES[capability].lower()}.")
    return workspace


class WorkspaceAdmin(ModelAdmin):
    """A page of rows that carry `workspace`. Rights come from the model's `capabilities`, rows from the scope.

    Never read `self.request`: one instance serves all threads.
    """

    compressed_fields = False
    warn_unsaved_form = True
    list_filter_submit = True
    list_per_page = 25
    show_full_result_count = False
    view_on_site = False
    save_on_top = False
    empty_title = ""
    empty_text = ""

    # --- rights -----------------------------------------------------------------------------------------
    def allows(self, request: HttpRequest, action: str, obj: models.Model | None = None) -> bool:
        workspace: Workspace | None = getattr(request, "workspace", None)
        capability = getattr(self.model, "capabilities", {}).get(action)
        if workspace is None or capability is None or not roles.can(request.user, capability, workspace):
            return False
        return obj is None or self.owns(workspace, obj, action)

    def owns(self, workspace: Workspace, obj: models.Model, action: str) -> bool:
        return getattr(obj, "workspace_id", None) == workspace.pk

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "view")

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.allows(request, "view", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.allows(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.allows(request, "delete", obj)

    # --- rows -------------------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).filter(workspace=workspace_of(request))

    def get_field_queryset(
        self, db: str | None, db_field: models.Field[Any, Any], request: HttpRequest
    ) -> models.QuerySet[Any]:
        """One hook for selects, autocomplete and validation: only rows of this workspace can be chosen."""
        queryset = super().get_field_queryset(db, db_field, request)
        if queryset is None:
            queryset = db_field.remote_field.model._default_manager.all()
        if issubclass(queryset.model, User):
            return queryset.filter(memberships__workspace=workspace_of(request))
        try:
            queryset.model._meta.get_field("workspace")
        except FieldDoesNotExist:
            return queryset.none()
        return queryset.filter(workspace=workspace_of(request))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        workspace = workspace_of(request)
        if obj.workspace_id is None:
            obj.workspace = workspace
        if obj.workspace_id != workspace.pk:
            raise PermissionDenied("This row belongs to another workspace.")
        super().save_model(request, obj, form, change)

    def get_deleted_objects(self, objs: Iterable[models.Model], request: HttpRequest) -> Any:
        """Refuses, without naming them, when rows of another workspace would go too."""
        collector = NestedObjects(using=router.db_for_write(self.model))
        collector.collect(list(objs))
        workspace = workspace_of(request)
        foreign = any(
            getattr(row, "workspace_id", workspace.pk) not in (workspace.pk, None)
            for rows in collector.data.values()
            for row in rows
        )
        if foreign:
            return [], {}, {"rows of another workspace"}, []
        return super().get_deleted_objects(objs, request)

    # --- the audit trail instead of Django's log ---------------------------------------------------------
    def audit(self, request: HttpRequest, action: str, obj: object, **detail: Any) -> None:
        audit.record(
            workspace_of(request),
            action,
            obj,
            by=request.user,  # type: ignore[arg-type]
            detail=detail,
            address=client_address(request),
        )

    def _noun(self) -> str:
        return str(self.model._meta.verbose_name)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        self.audit(request, f"{self._noun()} created", obj)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        changed = [part["changed"]["fields"] for part in message or [] if isinstance(part, dict) and "changed" in part]
        self.audit(request, f"{self._noun()} changed", obj, fields=[str(f) for fields in changed for f in fields])

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.audit(request, f"{self._noun()} deleted", obj)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        raise Http404("the audit trail is the history")

    # --- pages of our own ---------------------------------------------------------------------------------
    def page(self, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
        """A page in the console's frame."""
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        frame = self.admin_site.each_context(request)
        return TemplateResponse(request, template, {**frame, "opts": self.model._meta, "title": title, **context})


class ReadOnlyAdmin(WorkspaceAdmin):
    """A page that only shows: nothing can be added, changed or deleted there whatever the role."""

    warn_unsaved_form = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False
