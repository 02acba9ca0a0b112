"""The lists of both sites: filtered by their own filters, and by nothing that somebody wrote
into the address."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.db import DataError
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.views import ChangeList

from pushpilot.lib.display import Words


def choices_filter(title: Words) -> type[ChoicesDropdownFilter]:
    """A drop-down of a column's choices under a name that translates; Unfold's has the column's."""

    class NamedFilter(ChoicesDropdownFilter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.title = title

    return NamedFilter


class FilteredList(ChangeList):
    """Django's list takes any lookup on any field, through relations too: what no filter offers
    is 400 here.

    Else `password__startswith=` tells a secret letter by letter, and `created_at__year=99999999`
    is a 500.
    """

    own_links: ClassVar[frozenset[str]] = frozenset()  # lookups of links on the page itself

    def get_filters(self, request: HttpRequest) -> Any:
        found = super().get_filters(request)
        unknown = set(found[2]) - self.own_links
        if unknown:
            raise DisallowedModelAdminLookup(
                f"This list has no filter {', '.join(sorted(unknown))}."
            )
        return found

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
        except (DataError, OverflowError, ValueError) as error:
            raise DisallowedModelAdminLookup(
                "A filter has a value that no row can have."
            ) from error
