"""Actions on one row, of the pages of both sites."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.http import Http404, HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from tenants.admin.lists import FilteredList


class RowActions(ModelAdmin):
    """Row and detail actions get an id from the address, and a dialog's form before our code does.

    `check_row` makes sure first that it is one of a row that the page shows; without one of its
    own a page has none.
    """

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FilteredList

    def check_row(self, request: HttpRequest, object_id: str) -> None:
        """Raises Http404 for the id of any other row."""
        raise Http404("no such row")

    def found(self, request: HttpRequest, object_id: str) -> Any:
        """The row of this id. Raises Http404 if the page shows none."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404("no such row")
        return row

    def get_urls(self) -> list[Any]:
        actions = {
            action.action_name
            for action in (*self._get_base_actions_row(), *self._get_base_actions_detail())
        }
        urls: list[Any] = super().get_urls()
        for url in urls:
            if url.name in actions:
                url.callback = self._on_rows(url.callback)
        return urls

    def _on_rows(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        def guarded(request: HttpRequest, object_id: str, **kwargs: Any) -> HttpResponse:
            self.check_row(request, object_id)
            return view(request, object_id=object_id, **kwargs)

        return update_wrapper(guarded, view)
