"""Lists of the API: the same filters, search, order, pages and errors everywhere.

A list that somebody leafs through is a `Listing`, with page numbers and a count. One that grows
without end is a `Stream`, with cursors and no count; a `Walk` if no query brings it in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import GenericAlias
from typing import Any, ClassVar, TypeVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_filters import CharFilter, Filter, FilterSet, OrderingFilter
from ninja import Schema
from pydantic import BaseModel, create_model

from pushpilot.lib.bounded import OutOfBounds, check_id
from pushpilot.lib.problems import invalid_fields

PAGE_SIZE, MOST_PAGE_SIZE = 20, 200
_LAST_PAGE = 1_000_000
_SEARCH_CHARS, _EXTERNAL_ID_CHARS = 200, 200
_CURSOR = re.compile(r"(after|before)-([0-9]{1,18})(?:-([0-9]{1,17}))?", re.ASCII)
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_SPOT = r"\A[0-9]{1,18}(\.[0-9]{1,18}){2}\Z"

M = TypeVar("M", bound=Model)
Walked = tuple[Sequence[M], tuple[int, ...] | None]


class _Moment(forms.DateTimeField):
    """In UTC: PostgreSQL takes no zone further away than 15:59, which RFC 3339 allows."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            at = parse_datetime(str(value))
            if at is not None and at.tzinfo is not None:
                return at.astimezone(UTC)
        except (ValueError, OverflowError):  # well formed, and no moment that can be kept
            pass
        sentence = _("Send a date and time with its zone, such as 2026-12-04T18:30:00Z.")
        raise ValidationError(sentence, "invalid")


class MomentFilter(Filter):
    """A date and time with its zone (RFC 3339)."""

    field_class = _Moment


class IdFilter(Filter):
    """The number of a row."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, min_value=1, max_value=2**63 - 1, **options)


class _ExternalId(forms.CharField):
    def to_python(self, value: Any) -> str:
        try:
            return check_id(super().to_python(value) or "", "external_user_id", _EXTERNAL_ID_CHARS)
        except OutOfBounds as error:
            raise ValidationError(error.detail, error.code) from error


class ExternalIdFilter(CharFilter):
    """A person's id in its one spelling, as contacts and events keep it."""

    field_class = _ExternalId

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, max_length=_EXTERNAL_ID_CHARS, **options)


class ListFilters(FilterSet):
    """The filters of one model, for the API's lists and the console's.

    `searched`: what `search` looks in. `ordered`: {field: name in `ordering`}. `default_order`:
    without `ordering`.
    """

    searched: ClassVar[tuple[str, ...]] = ()
    ordered: ClassVar[Mapping[str, str]] = {}
    default_order: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters()
        if cls.searched:
            found["search"] = CharFilter(method="search_for", max_length=_SEARCH_CHARS)
        if cls.ordered:
            found["ordering"] = OrderingFilter(fields=cls.ordered)
        return found

    def search_for(self, rows: QuerySet[M], name: str, words: str) -> QuerySet[M]:
        """Rows that hold every one of the words, each in any of the fields."""
        for word in words.split():
            any_field = Q()
            for field in self.searched:
                any_field |= Q(**{f"{field}__icontains": word})
            rows = rows.filter(any_field)
        return rows

    def filter_queryset(self, queryset: QuerySet[M]) -> QuerySet[M]:
        rows = super().filter_queryset(queryset.order_by(*self.default_order))
        # Rows that are equal in what they are ordered by keep their places from page to page.
        return cast("QuerySet[M]", rows.order_by(*rows.query.order_by, "pk"))


class _Pages(forms.Form):
    page = forms.IntegerField(min_value=1, max_value=_LAST_PAGE, required=False)
    page_size = forms.IntegerField(min_value=1, max_value=MOST_PAGE_SIZE, required=False)


class _Cursor(forms.Form):
    FOREIGN = gettext_lazy("Follow the addresses of `next` and `previous` as they are.")
    cursor = forms.RegexField(_CURSOR.pattern + r"\Z", required=False)
    page_size = forms.IntegerField(min_value=1, max_value=MOST_PAGE_SIZE, required=False)


class _Spot(forms.Form):
    cursor = forms.RegexField(_SPOT, required=False, max_length=60)
    page_size = forms.IntegerField(min_value=1, max_value=MOST_PAGE_SIZE, required=False)


@dataclass(frozen=True)
class _List:
    """`item` is the schema of one row."""

    filters: type[ListFilters]
    item: type[BaseModel]
    places: ClassVar[type[forms.Form]]

    @cached_property
    def route(self) -> dict[str, Any]:
        """What the route's decorator takes: the schema of the answer, and the parameters."""
        name = self.item.__name__.removesuffix("Out")
        parts: dict[str, Any] = {
            "count": (int | None, ...),
            "next": (str | None, ...),
            "previous": (str | None, ...),
            "results": (GenericAlias(list, (self.item,)), ...),
        }
        answer = create_model(f"{name}Page", __base__=Schema, **parts)
        fields = {
            **self.places.base_fields,
            **{name: one.field for name, one in self.filters.base_filters.items()},
        }
        parameters = [
            {"in": "query", "name": name, "required": False, "schema": _schema_of(field)}
            for name, field in fields.items()
        ]
        return {"response": answer, "openapi_extra": {"parameters": parameters}}

    def _ask(self, request: HttpRequest, rows: QuerySet[M]) -> tuple[QuerySet[M], dict[str, Any]]:
        """(the rows that the filters leave, the cleaned values of `places`). Raises Problem 422."""
        filters, places = self._read(request, rows)
        return filters.qs, places

    def _read(self, request: HttpRequest, rows: QuerySet[M]) -> tuple[ListFilters, dict[str, Any]]:
        """(the filters, without errors; the cleaned values of `places`). Raises Problem 422 that
        names every parameter that is wrong or given twice; the API refuses unknown ones."""
        filters = self.filters(request.GET, rows)
        places = self.places(request.GET)
        wrong = {**filters.form.errors.as_data(), **places.errors.as_data()}
        for name, values in request.GET.lists():
            if len(values) > 1:
                sentence = _("Send this parameter once.")
                wrong[name] = [ValidationError(sentence, "repeated")]
        if wrong:
            raise invalid_fields(wrong)
        return filters, places.cleaned_data


class Listing(_List):
    """Pages with numbers, and the count of all rows."""

    places = _Pages

    def page(
        self,
        request: HttpRequest,
        rows: QuerySet[M],
        tell: Callable[[M], Any] = lambda row: row,
    ) -> dict[str, Any]:
        """The answer. Evaluates the query, so call it in the workspace's scope. A page beyond
        the last one is empty. Raises Problem 422."""
        found, place = self._ask(request, rows)
        size, number = place["page_size"] or PAGE_SIZE, place["page"] or 1
        count = found.count()
        last = max(1, -(-count // size))
        start = (number - 1) * size
        return {
            "count": count,
            "next": _address(request, page=number + 1) if number < last else None,
            "previous": _address(request, page=min(number - 1, last)) if number > 1 else None,
            "results": [tell(row) for row in found[start : start + size]],
        }


@dataclass(frozen=True)
class Stream(_List):
    """Pages by cursor, the newest row first: no page costs more than another however many rows
    there are, and none moves while rows are added.

    `by` is the time that says what is new; without it rows are new in the order of their ids. An
    index has to end with `by` and the id, both descending.
    """

    by: str = ""
    places: ClassVar[type[forms.Form]] = _Cursor

    def page(
        self,
        request: HttpRequest,
        rows: QuerySet[M],
        tell: Callable[[M], Any] = lambda row: row,
    ) -> dict[str, Any]:
        """As Listing.page, with `count` null."""
        found, place = self._ask(request, rows)
        size, cursor = place["page_size"] or PAGE_SIZE, _CURSOR.fullmatch(place["cursor"])
        way, *at = cursor.groups() if cursor else ("after", None, None)
        if cursor and bool(at[1]) != bool(self.by):
            raise invalid_fields({"cursor": [ValidationError(_Cursor.FOREIGN, "invalid")]})
        if way == "before":
            newer = list(self._beyond(found, way, at).order_by(*self._order(""))[: size + 1])
            results, has_newer, has_older = newer[:size][::-1], len(newer) > size, True
        else:
            older = found
            if cursor:
                older = self._beyond(found, way, at)
            listed = list(older.order_by(*self._order("-"))[: size + 1])
            results, has_newer, has_older = listed[:size], bool(cursor), len(listed) > size
        following, previous = None, None
        if results and has_older:
            following = _address(request, cursor=f"after-{self._place(results[-1])}")
        if results and has_newer:
            previous = _address(request, cursor=f"before-{self._place(results[0])}")
        return {
            "count": None,
            "next": following,
            "previous": previous,
            "results": [tell(row) for row in results],
        }

    def _order(self, sign: str) -> list[str]:
        return [f"{sign}{field}" for field in (self.by, "pk") if field]

    def _place(self, row: Model) -> str:
        if not self.by:
            return str(row.pk)
        return f"{row.pk}-{(getattr(row, self.by) - _EPOCH) // _MICROSECOND}"

    def _beyond(self, rows: QuerySet[M], way: str, at: Sequence[Any]) -> QuerySet[M]:
        """The rows after, or before, the one at the cursor."""
        key, micros = at
        than = "lt" if way == "after" else "gt"
        if not self.by:
            return rows.filter(**{f"pk__{than}": key})
        time = _EPOCH + int(micros) * _MICROSECOND
        tied = Q(**{self.by: time, f"pk__{than}": key})
        # The first condition alone is one that an index can start from.
        return rows.filter(
            tied | Q(**{f"{self.by}__{than}": time}), **{f"{self.by}__{than}e": time}
        )


class Walk(_List):
    """Pages of rows that no single query brings in order: a function walks on from a spot, some
    numbers, and says where the next page begins. It may stop early, so that a page holds fewer
    rows than asked for, even none, and has a next one. Forwards only."""

    places = _Spot

    def page(
        self,
        request: HttpRequest,
        rows: QuerySet[M],
        walk: Callable[[dict[str, Any], tuple[int, ...] | None, int], Walked[M]],
        tell: Callable[[Sequence[M]], list[Any]],
    ) -> dict[str, Any]:
        """As Stream.page. `walk` gets the cleaned filters, the spot and the size of the page;
        `rows` is an empty query of the model."""
        filters, place = self._read(request, rows)
        spot = tuple(map(int, place["cursor"].split("."))) if place["cursor"] else None
        found, following = walk(filters.form.cleaned_data, spot, place["page_size"] or PAGE_SIZE)
        cursor = ".".join(map(str, following)) if following is not None else ""
        return {
            "count": None,
            "next": _address(request, cursor=cursor) if cursor else None,
            "previous": None,
            "results": tell(found),
        }


def _address(request: HttpRequest, **place: Any) -> str:
    query = request.GET.copy()
    for name, value in place.items():
        query[name] = str(value)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def _schema_of(field: forms.Field) -> dict[str, Any]:
    """The JSON schema of what a form field takes from an address."""
    found: dict[str, Any] = {"type": "string"}
    if isinstance(field, forms.NullBooleanField):
        found = {"type": "boolean"}
    elif isinstance(field, forms.IntegerField):
        found = {"type": "integer", "minimum": field.min_value, "maximum": field.max_value}
    elif isinstance(field, forms.DateTimeField):
        found = {"type": "string", "format": "date-time"}
    elif isinstance(field, forms.ChoiceField):
        choices = cast("Iterable[tuple[Any, Any]]", field.choices)
        found = {"type": "string", "enum": [str(key) for key, _words in choices if key]}
    elif isinstance(field, forms.CharField) and field.max_length:
        found = {"type": "string", "maxLength": field.max_length}
    return {key: value for key, value in found.items() if value is not None}
