"""The template library: own templates, and the global ones to look at, use and copy."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.dataclasses import ActionDialog, UnfoldAction
from unfold.decorators import action, display

from campaigns.admin.parts import channel_choices
from campaigns.admin.template.forms import TemplateForm
from campaigns.admin.template.importing import ImportPages
from campaigns.channels import registry, render
from campaigns.contacts.attributes import for_page, known_attributes
from campaigns.content import library
from campaigns.content.written import searched
from campaigns.models import Campaign, Template
from pushpilot.lib.compat.django import pages_of
from pushpilot.lib.display import NOTHING
from tenants import roles
from tenants.admin.base import WorkspaceAdmin, moment, require, workspace_of
from tenants.models import Workspace
from tenants.scope import current_workspace

_USE_LINK = (
    '<a class="font-medium text-primary-600 dark:text-primary-500" href="{}" title="{}">{}</a>'
)


_FILTER_TITLES = {
    "channel": gettext_lazy("channel"),
    "category": gettext_lazy("category"),
    "tone": gettext_lazy("tone"),
}


class FieldFilter(ChoicesDropdownFilter):
    """One of these fields, with a title that is translated."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = str(_FILTER_TITLES[self.field_path])


class LibraryFilter(DropdownFilter):
    title = gettext_lazy("library")
    parameter_name = "library"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("own", _("Your templates")), ("global", _("Global library"))]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Template]
    ) -> models.QuerySet[Template]:
        if self.value() in ("own", "global"):
            return queryset.filter(workspace__isnull=self.value() == "global")
        return queryset


class LanguageFilter(DropdownFilter):
    title = gettext_lazy("language")
    parameter_name = "language"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        codes = (
            model_admin.get_queryset(request)
            .order_by("language")
            .values_list("language", flat=True)
            .distinct()
        )
        return [(code, code) for code in codes[:100]]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Template]
    ) -> models.QuerySet[Template]:
        if self.value():
            return queryset.filter(language=self.value())
        return queryset


class TemplateAdmin(ImportPages, WorkspaceAdmin):
    """The workspace's own templates and the global library. Viewers see both; only the own
    templates can be changed."""

    form, fields = TemplateForm, TemplateForm.Meta.fields
    change_form_template = "campaigns/template_form.html"
    list_display = (
        "headline",
        "channel_label",
        "category_label",
        "tone_label",
        "language_code",
        "library",
        "updated",
    )
    list_filter = (
        ("channel", FieldFilter),
        ("category", FieldFilter),
        ("tone", FieldFilter),
        LanguageFilter,
        LibraryFilter,
    )
    search_fields = ("name",)
    search_help_text = gettext_lazy("Search names, titles and texts")
    ordering = (Lower("name"), Lower("language"))
    actions_detail = ("copy_to_workspace",)
    change_form_outer_before_template = "campaigns/import/template_card.html"

    class Media:
        css = {"all": ["campaigns/campaign.css", "campaigns/import.css"]}

    # --- rights -----------------------------------------------------------------------------------
    def owns(self, workspace: Workspace, obj: models.Model, action: str) -> bool:
        return super().owns(workspace, obj, action) or (
            action == "view" and getattr(obj, "workspace_id", 0) is None
        )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Template]:
        visible = Q(workspace=workspace_of(request)) | Q(workspace__isnull=True)
        queryset: models.QuerySet[Template] = ModelAdmin.get_queryset(self, request).filter(visible)
        return queryset

    def has_copy_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.has_add_permission(request)

    # --- the list ---------------------------------------------------------------------------------
    @display(description=gettext_lazy("Template"), header=True, ordering="name")
    def headline(self, template: Template) -> list[str]:
        return [
            format_html('<span dir="auto">{}</span>', text)
            for text in (template.name, template.title)
        ]

    @display(description=gettext_lazy("Channel"), ordering="channel")
    def channel_label(self, template: Template) -> str:
        return str(template.get_channel_display())

    @display(description=gettext_lazy("Tone"), ordering="tone")
    def tone_label(self, template: Template) -> str:
        return str(template.get_tone_display()) or NOTHING

    @display(description=gettext_lazy("Language"), ordering="language")
    def language_code(self, template: Template) -> str:
        return template.language

    @display(description=gettext_lazy("Category"), label=True, ordering="category")
    def category_label(self, template: Template) -> str:
        return template.get_category_display()

    @display(
        description=gettext_lazy("Library"),
        label={"global": "info", "own": "success"},
        ordering="workspace",
    )
    def library(self, template: Template) -> tuple[str, str]:
        if template.is_global:
            return ("global", _("Global"))
        return ("own", _("Yours"))

    @display(description=gettext_lazy("Updated"), ordering="updated_at")
    def updated(self, template: Template) -> str:
        return moment(template.updated_at, current_workspace())

    @display(description="")
    def use(self, template: Template) -> str:
        return format_html(
            _USE_LINK,
            _use_url(template),
            _("Use “%(template)s” in a campaign") % {"template": template.name},
            _("Use"),
        )

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        if self._can_write_campaigns(request):
            return (*self.list_display, "use")
        return self.list_display

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.search_fields, *searched())

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        answer: HttpResponse = super().changelist_view(
            request, {"title": _("Templates"), **(extra_context or {})}
        )
        return answer

    # --- one template -----------------------------------------------------------------------------
    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        return TemplateForm  # complete, and no field of it is a choice of rows

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "language": workspace_of(request).default_language,
            **super().get_changeform_initial_data(request),
        }

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context: dict[str, Any] = {"title": _("New template")}
        template = None
        if object_id:
            template = self.get_object(request, object_id)
        if template is not None:
            use_url = ""
            if self._can_write_campaigns(request):
                use_url = _use_url(template)
            context = {
                "title": template.name,
                "card": _card(template, workspace_of(request).zone),
                "template": template,
                "use_url": use_url,
            }
        context |= extra_context or {}
        try:
            return super().changeform_view(request, object_id, form_url, context)
        except ValidationError:  # the name was taken in this moment: now the form sees it
            return super().changeform_view(request, object_id, form_url, context)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        form: TemplateForm = context["adminform"].form
        context["channels"] = channel_choices(form.texts.channel)
        context["attributes"] = for_page(known_attributes(workspace_of(request)))
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    def _can_write_campaigns(self, request: HttpRequest) -> bool:
        page = pages_of(self.admin_site).get(Campaign)
        return page is not None and page.has_add_permission(request)

    # --- writing: the verbs write the audit entries -----------------------------------------------
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        user: Any = request.user
        if change:
            library.change(obj, form.values, by=user)
        else:
            obj.pk = library.create(workspace_of(request), form.values, by=user).pk

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        user: Any = request.user
        library.remove(obj, by=user)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for template in queryset:
            self.delete_model(request, template)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        pass

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        pass

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        pass

    # --- copying ----------------------------------------------------------------------------------
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Own templates need no copy."""
        template = self.get_object(request, str(object_id))
        if template is not None and template.is_global:
            actions: list[UnfoldAction] = super().get_actions_detail(request, object_id)
            return actions
        return []

    @action(
        description=gettext_lazy("Copy to my workspace"),
        icon="content_copy",
        permissions=["copy"],
        dialog=ActionDialog(
            title=gettext_lazy("Copy this template to your workspace?"),
            description=gettext_lazy(
                "Your team can change the copy. The global template does not change."
            ),
            form_class=None,
            form_submit_text=gettext_lazy("Copy"),
        ),
    )
    def copy_to_workspace(
        self, request: HttpRequest, form: forms.Form, object_id: str
    ) -> HttpResponse:
        """POST only: the dialog's own decorator answers GET with the question."""
        workspace = require(request, roles.EDIT)
        template = self.get_object(request, object_id)
        if template is None or not template.is_global:
            raise Http404("no global template")
        user: Any = request.user
        copy = library.copy(template, workspace, by=user)
        messages.success(
            request,
            _("“%(template)s” is now a template of your workspace.") % {"template": copy.name},
        )
        return HttpResponse(
            headers={"HX-Redirect": reverse("admin:campaigns_template_change", args=(copy.pk,))}
        )


def _use_url(template: Template) -> str:
    return f"{reverse('admin:campaigns_campaign_add')}?template={template.pk}"


def _card(template: Template, zone: tzinfo) -> list[str]:
    """The first two texts, title and text of a push, as a person without any attributes would
    see them."""
    known = registry.CHANNELS.get(template.channel)
    card = []
    for field in known.fields[:2] if known else ():
        source = template.text(field.name)
        try:
            card.append(render.compile_text(source, zone)({}))
        except render.RenderError:
            card.append(source)
    return card
