"""The second tenant wall: what every console page of a workspace's rows inherits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import NestedObjects
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import FieldDoesNotExist, PermissionDenied, ValidationError
from django.db import models, router
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from unfold.admin import TabularInline

from pushpilot.lib import display
from tenants import audit, roles
from tenants.admin import change_diff
from tenants.admin.checks import WorkspaceAdminChecks
from tenants.admin.row_actions import RowActions
from tenants.models import User, Workspace

_Action = TypeVar("_Action", bound=Callable[..., Any])


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
        raise PermissionDenied(
            _("Your role may not do this: %(capability)s.")
            % {"capability": _(roles.CAPABILITIES[capability]).lower()}
        )
    return workspace


def moment(at: datetime | None, workspace: Workspace | None) -> str:
    """ "21 Nov 2026, 15:42" on the workspace's clock; "–" for never."""
    if at is None or workspace is None:
        return display.NOTHING
    return display.moment(at, workspace.zone)


def reads_only(action: _Action) -> _Action:
    """Marks a list, row or detail action that changes nothing, so that it needs no dialog: a
    link to a page."""
    action.reads_only = True  # type: ignore[attr-defined]
    return action


def after_dialog(request: HttpRequest, url: str) -> HttpResponse:
    """Leads on from a dialog's POST. htmx posts it and would follow a plain redirect inside the
    dialog."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)


def answer(
    request: HttpRequest, verb: Callable[[], object], done: str, back_to: str
) -> HttpResponse:
    """Do it and say it; a verb that refuses raises ValidationError: its sentence is shown
    instead."""
    try:
        verb()
    except ValidationError as error:
        messages.error(request, error.messages[0])
    else:
        messages.success(request, done)
    return after_dialog(request, back_to)


class _WorkspaceForm:
    """Makes a ModelForm check uniqueness within the workspace, which is no field of it; else the
    database would."""

    workspace: Workspace

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        instance: Any = self.instance  # type: ignore[attr-defined]
        if (
            instance.pk is None
            and hasattr(instance, "workspace_id")
            and instance.workspace_id is None
        ):
            instance.workspace = self.workspace

    def validate_unique(self) -> None:
        super().validate_unique()  # type: ignore[misc]
        instance: Any = self.instance  # type: ignore[attr-defined]
        exclude = set(self._get_validation_exclusions()) - {"workspace"}  # type: ignore[attr-defined]
        for constraint in instance._meta.constraints:
            # The others were looked at already, by full_clean.
            if isinstance(constraint, models.UniqueConstraint) and "workspace" in constraint.fields:
                try:
                    constraint.validate(type(instance), instance, exclude=exclude)
                except ValidationError as error:
                    self._update_errors(error)  # type: ignore[attr-defined]


class WorkspaceRows:
    """Rights from the model's `capabilities`, rows from the request's workspace: for pages and
    for inlines."""

    model: type[models.Model]

    # --- rights -----------------------------------------------------------------------------------
    def allows(self, request: HttpRequest, action: str, obj: models.Model | None = None) -> bool:
        workspace: Workspace | None = getattr(request, "workspace", None)
        capability = getattr(self.model, "capabilities", {}).get(action)
        if (
            workspace is None
            or capability is None
            or not roles.can(request.user, capability, workspace)
        ):
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

    # --- rows -------------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        queryset: models.QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return queryset.filter(workspace=workspace_of(request))

    def get_field_queryset(
        self, db: str | None, db_field: models.Field[Any, Any], request: HttpRequest
    ) -> models.QuerySet[Any]:
        """One hook for selects, autocomplete and validation: only rows of this workspace can be
        chosen."""
        queryset: Any = super().get_field_queryset(db, db_field, request)  # type: ignore[misc]
        related: Any = db_field.remote_field
        rows: models.QuerySet[Any] = (
            related.model._default_manager.all() if queryset is None else queryset
        )
        if issubclass(rows.model, User):
            return rows.filter(memberships__workspace=workspace_of(request))
        try:
            rows.model._meta.get_field("workspace")
        except FieldDoesNotExist:
            return rows.none()
        return rows.filter(workspace=workspace_of(request))

    def formfield_for_dbfield(
        self, db_field: models.Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Without Django's add, change, delete and view links beside every foreign key."""
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            for link in ("add", "change", "delete", "view"):
                setattr(field.widget, f"can_{link}_related", False)
        return field


class WorkspaceInline(WorkspaceRows, TabularInline):
    """The only kind of inline that a WorkspaceAdmin takes; its parent's save_formset sets the
    workspace."""

    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.allows(request, "add")


class WorkspaceAdmin(WorkspaceRows, RowActions):
    """A page of rows that carry `workspace`.

    Never read `self.request`: one instance serves all threads.
    """

    checks_class = WorkspaceAdminChecks
    compressed_fields = False
    warn_unsaved_form = True
    list_filter_submit = True
    list_per_page = 25
    show_full_result_count = False
    view_on_site = False
    save_on_top = False
    # What an empty list says (unfold/helpers/empty_results.html), and its button beside "add".
    empty_title: str | Promise = ""
    empty_text: str | Promise = ""
    empty_icon = "inbox"
    # The heading of the page that adds a row, where the page does not give its own.
    add_title: str | Promise = ""

    # --- addresses --------------------------------------------------------------------------------
    def check_row(self, request: HttpRequest, object_id: str) -> None:
        if getattr(request, "workspace", None) is not None:
            self.found(request, object_id)

    # --- forms ------------------------------------------------------------------------------------
    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form)(
            form.__name__, (_WorkspaceForm, form), {"workspace": workspace_of(request)}
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        workspace = workspace_of(request)
        if obj.workspace_id is None:
            obj.workspace = workspace
        if obj.workspace_id != workspace.pk:
            raise PermissionDenied(_("This row belongs to another workspace."))
        super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        workspace = workspace_of(request)
        for row_form in formset.forms:
            if row_form.instance.workspace_id is None:
                row_form.instance.workspace = workspace
            if row_form.instance.workspace_id != workspace.pk:
                raise PermissionDenied(_("This row belongs to another workspace."))
        super().save_formset(request, form, formset, change)

    # --- our words instead of Django's ------------------------------------------------------------
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        title = capfirst(self.model._meta.verbose_name_plural)
        response: HttpResponse = super().changelist_view(
            request, {"title": title, **(extra_context or {})}
        )
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        title: object = self.add_title
        if object_id or not title:
            title = capfirst(self.model._meta.verbose_name)
        return super().changeform_view(
            request, object_id, form_url, {"title": title, **(extra_context or {})}
        )

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """One save button."""
        context.setdefault("show_save_and_add_another", False)
        context.setdefault("show_save_and_continue", False)
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        if request.POST.keys() & {"_continue", "_addanother", "_saveasnew", IS_POPUP_VAR}:
            response: HttpResponse = super().response_add(request, obj, post_url_continue)
            return response
        messages.success(request, _("“%(obj)s” is saved.") % {"obj": obj})
        answer: HttpResponse = self.response_post_save_add(request, obj)
        return answer

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if request.POST.keys() & {"_continue", "_addanother", "_saveasnew", IS_POPUP_VAR}:
            response: HttpResponse = super().response_change(request, obj)
            return response
        messages.success(request, _("Your changes to “%(obj)s” are saved.") % {"obj": obj})
        answer: HttpResponse = self.response_post_save_change(request, obj)
        return answer

    # --- deleting ---------------------------------------------------------------------------------
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

    # --- the audit trail instead of Django's log --------------------------------------------------
    def audit(
        self,
        request: HttpRequest,
        action: str,
        obj: object,
        changes: change_diff.Changes | None = None,
        **detail: Any,
    ) -> None:
        user: Any = request.user
        audit.record(workspace_of(request), action, obj, by=user, detail=detail, changes=changes)

    def _audited(self, verb: str) -> str:
        """The action in the trail, such as "campaign changed"."""
        with audit.in_english():
            return f"{self.model._meta.verbose_name} {verb}"

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """{field: (before, after)} instead of Django's list of field names; it reaches
        log_addition and log_change."""
        return change_diff.of_forms(form, formsets or [], add=add)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        self.audit(request, self._audited("created"), obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        if message:
            self.audit(request, self._audited("changed"), obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.audit(request, self._audited("deleted"), obj, change_diff.of_deletion(obj))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        raise Http404("the audit trail is the history")

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> Any:
        """404, the same for a row that never was and one of another workspace."""
        raise Http404("no such row in this workspace")

    # --- pages of our own -------------------------------------------------------------------------
    def page(
        self, request: HttpRequest, template: str, title: str, **context: Any
    ) -> TemplateResponse:
        """A page in the console's frame."""
        request.current_app = self.admin_site.name
        frame = self.admin_site.each_context(request)
        return TemplateResponse(
            request, template, {**frame, "opts": self.model._meta, "title": title, **context}
        )


class ReadOnlyAdmin(WorkspaceAdmin):
    """A page that only shows: nothing can be added, changed or deleted there whatever the role."""

    warn_unsaved_form = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False
