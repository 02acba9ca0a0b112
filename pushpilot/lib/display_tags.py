"""`pushpilot.lib.display` for templates: filters of every template, without a load.

{{ count|number }} · {{ at|moment:workspace.zone }} · {{ at|day:workspace.zone }} · {{ at|ago }};
without a zone, UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo

from django import template
from django.utils import timezone

from pushpilot.lib import display

register = template.Library()
register.filter("number", display.format_number)
register.filter("size", display.size)
register.filter("percent", display.percent)


@register.filter
def moment(at: datetime | None, zone: tzinfo = UTC) -> str:
    return display.moment(at, zone)


@register.filter
def exact_moment(at: datetime, zone: tzinfo = UTC) -> str:
    return display.exact_moment(at, zone)


@register.filter
def day(at: date | None, zone: tzinfo = UTC) -> str:
    return display.day(at, zone)


@register.filter
def ago(at: datetime | None) -> str:
    return display.ago(at, timezone.now())
