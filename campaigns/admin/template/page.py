"""The template library: own templates, and the global ones to look at, use and copy."""

from __future__ import annotations

import itertools
from datetime import tzinfo
from typing import Any

from django import forms
from django.contrib import messages
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.dataclasses import ActionDialog, UnfoldAction
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.admin.template.importing import ImportPages
from campaigns.channels import render
from campaigns.content.written import SEARCHED
from campaigns.imports.cells import COLUMNS, FIELDS, problems_of, tidy
from campaigns.models import Campaign, Template
from pushpilot.lib.spelling import name_key
from tenants import roles
from tenants.admin.base import WorkspaceAdmin, moment, require, workspace_of
from tenants.models import Workspace
from tenants.scope import current_workspace

_USE_LINK = (
    '<a class="font-medium text-primary-600 dark:text-primary-500" href="{}" title="Use “{}” in a campaign">Use</a>'
)


def _input(name: str, help_text: str = "", *, required: bool = False, widget: forms.Widget | None = None) -> Any:
    return forms.CharField(
        label=FIELDS[name].label, max_length=FIELDS[name].limit_characters, required=required, help_text=help_text,
        widget=widget or UnfoldAdminTextInputWidget(),
    )  # fmt: skip


class TemplateForm(forms.ModelForm):
    """Asks what the import asks, in the same words."""

    title = _input("title", 'Personalise with {{ first_name | default: "there" }}.', required=True)
    body = _input("body", required=True, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}))
    image_url = _input("image_url", "Starts with https://")
    deep_link = _input("deep_link", "Where a tap leads, e.g. app://offers")

    # The trail names what they change one by one.
    audited = tuple(FIELDS)

    class Meta:
        model = Template
        fields = tuple(column for column in COLUMNS if column not in FIELDS)
        help_texts = {
            "name": "What you and your team find the template by.",
            "language": "A code such as en, hi or pt-BR.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in FIELDS:
            self.initial.setdefault(name, self.instance.text(name))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        values = {column: tidy(column, cleaned[column] or "") for column in COLUMNS if column in cleaned}
        cleaned.update(values)
        for column, error in problems_of(values).items():
            self.add_error(column, error)
        if "name" in values and "language" in values and self._is_taken(values["name"], values["language"]):
            self.add_error("name", "Your workspace has a template with this name and language. Choose another name.")
        return cleaned

    def save(self, commit: bool = True) -> Template:
        self.instance.put({name: self.cleaned_data[name] for name in FIELDS})
        saved: Template = super().save(commit)
        return saved

    def _is_taken(self, name: str, language: str) -> bool:
        return _named(current_workspace(), name, language).exclude(pk=self.instance.pk).exists()


def _named(workspace: Workspace | None, name: str, language: str) -> models.QuerySet[Template]:
    """The workspace's template with this name, if there is one."""
    return Template.objects.filter(workspace=workspace, name_key=name_key(name), language=language)


class LibraryFilter(DropdownFilter):
    title = "library"
    parameter_name = "library"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("own", "Your templates"), ("global", "Global library")]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Template]) -> models.QuerySet[Template]:
        if self.value() in ("own", "global"):
            return queryset.filter(workspace__isnull=self.value() == "global")
        return queryset


class LanguageFilter(DropdownFilter):
    title = "language"
    parameter_name = "language"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        codes = model_admin.get_queryset(request).order_by("language").values_list("language", flat=True).distinct()
        return [(code, code) for code in codes[:100]]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Template]) -> models.QuerySet[Template]:
        return queryset.filter(language=self.value()) if self.value() else queryset


class TemplateAdmin(ImportPages, WorkspaceAdmin):
    """Rows: the workspace's own and the global library; whoever may view sees both, only the own can be changed."""

    form = TemplateForm
    list_display = ("headline", "category_label", "tone", "language", "library", "updated")
    list_filter = (
        ("category", ChoicesDropdownFilter),
        ("tone", ChoicesDropdownFilter),
        LanguageFilter,
        LibraryFilter,
    )
    search_fields = ("name", *SEARCHED)
    search_help_text = "Search names, titles and texts"
    ordering = (Lower("name"), Lower("language"))
    fieldsets = (
        (None, {"fields": (("name", "language"), ("category", "tone"))}),
        ("Message", {"fields": tuple(FIELDS)}),
    )
    actions_detail = ("copy_to_workspace",)
    change_form_outer_before_template = "campaigns/import/template_card.html"

    class Media:
        css = {"all": ["campaigns/import.css"]}

    # --- rights -------------------------------------------------------------------------------------------
    def owns(self, workspace: Workspace, obj: models.Model, action: str) -> bool:
        return super().owns(workspace, obj, action) or (action == "view" and getattr(obj, "workspace_id", 0) is None)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Template]:
        visible = Q(workspace=workspace_of(request)) | Q(workspace__isnull=True)
        queryset: models.QuerySet[Template] = ModelAdmin.get_queryset(self, request).filter(visible)
        return queryset

    def has_copy_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.has_add_permission(request)

    # --- the list -----------------------------------------------------------------------------------------
    @display(description="Template", header=True, ordering="name")
    def headline(self, template: Template) -> list[str]:
        return [format_html('<span dir="auto">{}</span>', text) for text in (template.name, template.title)]

    @display(description="Category", label=True, ordering="category")
    def category_label(self, template: Template) -> str:
        return template.get_category_display()

    @display(description="Library", label={"Global": "info", "Yours": "success"}, ordering="workspace")
    def library(self, template: Template) -> str:
        return "Global" if template.is_global else "Yours"

    @display(description="Updated", ordering="updated_at")
    def updated(self, template: Template) -> str:
        return moment(template.updated_at, current_workspace())

    @display(description="")
    def use(self, template: Template) -> str:
        return format_html(_USE_LINK, _use_url(template), template.name)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.list_display, "use") if self._can_write_campaigns(request) else self.list_display

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        answer: HttpResponse = super().changelist_view(request, {"title": "Templates", **(extra_context or {})})
        return answer

    # --- one template ---------------------------------------------------------------------------------------
    def formfield_for_dbfield(self, db_field: models.Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "category":  # Unfold leaves out the blank choice, so that everything became festive
            kwargs["choices"] = [("", "Select category"), *Template.Category.choices]
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"language": workspace_of(request).default_language, **super().get_changeform_initial_data(request)}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context: dict[str, Any] = {"title": "New template"}
        template = self.get_object(request, object_id) if object_id else None
        if template is not None:
            use_url = _use_url(template) if self._can_write_campaigns(request) else ""
            context = {
                "title": template.name,
                "card": _card(template, workspace_of(request).zone),
                "template": template,
                "use_url": use_url,
            }
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _can_write_campaigns(self, request: HttpRequest) -> bool:
        page = self.admin_site._registry.get(Campaign)
        return page is not None and page.has_add_permission(request)

    # --- copying ----------------------------------------------------------------------------------------------
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Own templates need no copy."""
        template = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if template is not None and template.is_global else []

    @action(
        description="Copy to my workspace",
        icon="content_copy",
        permissions=["copy"],
        dialog=ActionDialog(
            title="Copy this template to your workspace?",
            description="You get a template of your own that your team can change. The global one stays as it is.",
            form_class=None,
            form_submit_text="Copy",
        ),
    )
    def copy_to_workspace(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        """POST only: the dialog's own decorator answers GET with the question."""
        workspace = require(request, roles.EDIT)
        template = self.get_object(request, object_id)
        if template is None or not template.is_global:
            raise Http404("no global template")
        copy = _copy(template, workspace)
        self.audit(request, "template copied", copy, source=template.name)
        messages.success(request, f"“{copy.name}” is now a template of your workspace.")
        return HttpResponse(headers={"HX-Redirect": reverse("admin:campaigns_template_change", args=(copy.pk,))})


def _column(name: str) -> Any:
    @display(description=FIELDS[name].label)
    def shown(self: TemplateAdmin, template: Template) -> str:
        return template.text(name)

    return shown


# A page that cannot be changed shows them without a form.
for _name in FIELDS:
    setattr(TemplateAdmin, _name, _column(_name))


def _use_url(template: Template) -> str:
    return f"{reverse('admin:campaigns_campaign_add')}?template={template.pk}"


def _copy(template: Template, workspace: Workspace) -> Template:
    """A saved copy in the workspace; where its name is taken it gets a number."""
    names = itertools.chain([template.name], (f"{template.name[:90]} ({number})" for number in itertools.count(2)))
    name = next(name for name in names if not _named(workspace, name, template.language).exists())
    kept = ("channel", "language", "category", "tone", "fields")
    copied = {column: getattr(template, column) for column in kept}
    return Template.objects.create(workspace=workspace, name=name, **copied)


def _card(template: Template, zone: tzinfo) -> dict[str, str]:
    """Title and text as a person without any attributes would see them."""
    card = {}
    for column in ("title", "body"):
        source = template.text(column)
        try:
            card[column] = render.compile_text(source, zone)({})
        except render.RenderError:
            card[column] = source
    return card
