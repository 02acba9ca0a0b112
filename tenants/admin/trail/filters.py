"""What the audit trail is filtered by: person, action, date, way, and what it was done to."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from django import forms
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import (
    DropdownFilter,
    RangeDateFilter,
    TextFilter,
)

from tenants.admin.base import workspace_of
from tenants.models import AuditEntry, User, Workspace

MOST_CHOICES = 200
PUSHPILOT = "pushpilot"


def values_in_trail(workspace: Workspace, column: Literal["action", "actor_id"]) -> list[Any]:
    """The different values of the column in the workspace's trail, at most MOST_CHOICES.

    Hops from value to value in the index: a DISTINCT reads every one of a million entries.
    """
    some = f"(SELECT {column} FROM tenants_auditentry WHERE workspace_id = %s AND {column}"  # noqa: S608
    hops = f"""WITH RECURSIVE seen(value) AS (
        SELECT * FROM {some} IS NOT NULL ORDER BY {column} LIMIT 1) AS first
        UNION ALL SELECT {some} > seen.value ORDER BY {column} LIMIT 1)
        FROM seen WHERE seen.value IS NOT NULL
    ) SELECT value FROM seen WHERE value IS NOT NULL LIMIT %s"""  # noqa: S608 - a column of ours
    with connection.cursor() as cursor:
        cursor.execute(hops, [workspace.pk, workspace.pk, MOST_CHOICES])
        return [value for (value,) in cursor.fetchall()]


class PersonFilter(DropdownFilter):
    """People who are gone are still chosen by their name, as long as their account exists."""

    title = gettext_lazy("person")
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        people = User.objects.filter(
            pk__in=values_in_trail(workspace_of(request), "actor_id")
        ).order_by("full_name")
        return [
            (PUSHPILOT, _("PushPilot itself")),
            *((str(user.pk), f"{user} ({user.email})") for user in people),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        wanted = self.value()
        if not wanted:
            return queryset
        if wanted == PUSHPILOT:
            return queryset.filter(actor=None, actor_label="PushPilot", actor_email="")
        is_known = wanted in dict(self.lookup_choices)
        if is_known:
            return queryset.filter(actor=int(wanted))
        return queryset.none()


class ActionFilter(DropdownFilter):
    title = gettext_lazy("action")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        actions = values_in_trail(workspace_of(request), "action")
        return [(action, capfirst(action)) for action in actions]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        if self.value():
            return queryset.filter(action=_plain(self.value()))
        return queryset


class TargetFilter(TextFilter):
    title = gettext_lazy("exact name of what it was done to")
    parameter_name = "target"

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        if self.value():
            return queryset.filter(target=_plain(self.value()))
        return queryset


class DateFilter(RangeDateFilter):
    """Days of the workspace's clock, both included. `days_of` has refused what is no date before
    we get here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("date")

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        zone = workspace_of(request).zone
        first, last = days_of(request.GET)
        if first:
            queryset = queryset.filter(at__gte=datetime.combine(first, time.min, zone))
        if last:
            queryset = queryset.filter(
                at__lt=datetime.combine(last + timedelta(days=1), time.min, zone)
            )
        return queryset


def days_of(query: QueryDict) -> tuple[date | None, date | None]:
    """The first and the last day that an address asks for. Raises ValidationError with a
    sentence."""
    first, last = (_day(query.get(f"at_{end}", "")) for end in ("from", "to"))
    if first and last and first > last:
        raise ValidationError(
            _("%(first)s is after %(last)s: swap the two dates.") % {"first": first, "last": last}
        )
    return first, last


def _day(text: str) -> date | None:
    try:
        day: date | None = forms.DateField(required=False).clean(text)
    except ValidationError:
        day = date.min
    if day is not None and not 2000 <= day.year <= 2999:
        raise ValidationError(
            _("“%(text)s” is not a date. Write a date such as 2026-11-21.") % {"text": text[:40]}
        )
    return day


def _plain(text: str | None) -> str:
    """PostgreSQL refuses NUL in a text."""
    return (text or "").replace("\0", "")
