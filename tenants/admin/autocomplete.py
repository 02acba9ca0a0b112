"""Choices that a form of the console asks for while somebody types: the address /autocomplete/."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.contrib.filters.admin.mixins import AutocompleteMixin

from pushpilot.lib.compat.django import pages_of


class AskedForOnly(AutocompleteJsonView):
    """Answers for the fields that the user's forms and filters complete, and for nothing else.

    Django's own view follows whatever relation the address names, of any model and from either
    side, and so lists rows through a page that never asked for them.
    """

    admin_site: Any

    def process_request(self, request: HttpRequest) -> Any:
        """Raises PermissionDenied for a field that nothing which the user may fill in asks for."""
        given = tuple(
            request.GET.get(name, "") for name in ("app_label", "model_name", "field_name")
        )
        if given not in set(self._completed(request)):
            raise PermissionDenied(_("No form of yours asks for this."))
        return super().process_request(request)

    def _completed(self, request: HttpRequest) -> Iterator[tuple[str, str, str]]:
        """(app, model, field) of all that is completed."""
        for page in pages_of(self.admin_site).values():
            if page.has_view_permission(request):
                for entry in page.get_list_filter(request):
                    if isinstance(entry, list | tuple) and issubclass(entry[1], AutocompleteMixin):
                        yield _address(page, entry[0])
            for form in (page, *page.get_inline_instances(request)):
                if form.has_add_permission(request) or form.has_change_permission(request):
                    for name in form.get_autocomplete_fields(request):
                        yield _address(form, name)


def _address(form: Any, path: str) -> tuple[str, str, str]:
    field = get_fields_from_path(form.model, path)[-1]
    options = field.model._meta
    return options.app_label, options.model_name or "", field.name
