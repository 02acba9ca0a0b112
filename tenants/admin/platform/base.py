"""What every page of the operators' site inherits: it only shows; changes are actions with a
dialog and a history."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.contrib.admin.views.main import ChangeList as DjangoChangeList
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.text import capfirst

from pushpilot.lib import display
from tenants import operators
from tenants.admin.base import answer
from tenants.admin.lists import FilteredList
from tenants.admin.row_actions import RowActions

# What no page shows, whatever its model is called: a third-party app brings fields that we have not
# read.
SECRET = re.compile(
    r"token|secret|passw|key|code|data|payload|args|result|salt|hash", re.IGNORECASE
)


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """ "3 h ago". Operators sit in other zones than their servers, so ages and not clocks."""
    return display.ago(at, now or timezone.now())


def day(at: datetime | None) -> str:
    return display.day(at, UTC)


class FiguresList(FilteredList):
    """A page of rows with figures that are counted for all of them at once
    (PlatformAdmin.add_figures)."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        self.model_admin.add_figures(rows)
        self.result_list = rows


class PlatformAdmin(RowActions):
    """Superusers only, by the site and by itself. Nothing is added, edited or deleted here.

    Never read `self.request`: one instance serves all threads.
    """

    compressed_fields = False
    list_filter_submit = True
    list_per_page = 25
    show_full_result_count = False
    view_on_site = False
    actions = None
    # The plural of the model if empty.
    list_title: str | Promise = ""
    empty_title: str | Promise = ""
    empty_text: str | Promise = ""
    empty_icon = "inbox"

    # --- rights -----------------------------------------------------------------------------------
    def _shows(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._shows(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._shows(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # --- addresses --------------------------------------------------------------------------------
    def check_row(self, request: HttpRequest, object_id: str) -> None:
        if self._shows(request):
            self.found(request, object_id)

    # --- rows -------------------------------------------------------------------------------------
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DjangoChangeList]:
        return FiguresList

    def add_figures(self, rows: list[Any]) -> None:
        """Set on the rows of one list page what needs counting, in a fixed number of queries."""

    # --- our words instead of Django's ------------------------------------------------------------
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        title = self.list_title or capfirst(self.model._meta.verbose_name_plural)
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
        title = capfirst(self.model._meta.verbose_name)
        return super().changeform_view(
            request, object_id, form_url, {"title": title, **(extra_context or {})}
        )

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        raise Http404("the operators' history has a page of its own")

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> Any:
        raise Http404("no such row")

    # --- pages and actions ------------------------------------------------------------------------
    def page(
        self, request: HttpRequest, template: str, row: models.Model, **context: Any
    ) -> TemplateResponse:
        """A page about one row in the platform's frame, with the buttons of `actions_detail`."""
        request.current_app = self.admin_site.name
        allowed = self.get_actions_detail(request, row.pk)
        buttons = self._get_actions_navigation(self.actions_detail, allowed, str(row.pk))
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "opts": self.model._meta,
                "title": str(row),
                "original": row,
                "actions_detail": buttons,
                "history": [
                    {"entry": entry, "ago": ago(entry.action_time), **operators.told(entry)}
                    for entry in operators.history_of(row)[:10]
                ],
                **context,
            },
        )

    def act(
        self,
        request: HttpRequest,
        row: Any,
        verb: Callable[[], object],
        did: str,
        done: str,
        *,
        back_to: str = "",
        **detail: Any,
    ) -> HttpResponse:
        """`answer`, written down in the operators' history; leads back to the page of the row."""

        @transaction.atomic
        def recorded() -> None:
            verb()
            operators.record(request.user, did, row, **detail)  # type: ignore[arg-type]

        kind = row._meta
        page = back_to or reverse(
            f"platform:{kind.app_label}_{kind.model_name}_change", args=[row.pk]
        )
        return answer(request, recorded, done, page)


class ThirdPartyPage(PlatformAdmin):
    """Put before a third-party ModelAdmin that lands here by itself: shows its rows, but nothing
    of SECRET."""

    def get_list_display(self, request: HttpRequest) -> Any:
        return [name for name in super().get_list_display(request) if not SECRET.search(str(name))]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        names = [field.name for field in self.model._meta.concrete_fields]
        return [name for name in names if not SECRET.search(name)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": self.get_fields(request, obj)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return []

    def get_list_filter(self, request: HttpRequest) -> Any:
        return []
