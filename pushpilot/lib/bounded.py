"""Bounds that every value from outside must keep before it reaches a database.

Plain JSON decoding lets through what databases refuse or what breaks later readers: NUL, lone
surrogates, integers beyond 64 bits, NaN, the years 0 and 9999, nesting without end. Each was
seen to turn a request into a 500.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushpilot.lib import spelling
from pushpilot.lib.display import format_number

INTEGER_LIMIT = 2**63 - 1
DEPTH_LIMIT = 8
KEY_LIMIT = 200
VALUES_LIMIT = 200
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class OutOfBounds(ValueError):
    """The value cannot be kept. `code` is for programs, the message says what to send instead."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def check_text(value: str, field: str, limit: int, *, least: int = 0) -> str:
    """The text, unchanged. Raises OutOfBounds if it is too short, too long or no text that a
    database can hold."""
    if len(value) > limit:
        raise OutOfBounds(
            "text_too_long",
            ngettext(
                "%(field)s has %(count)s character. The limit is %(limit)s.",
                "%(field)s has %(count)s characters. The limit is %(limit)s.",
                len(value),
            )
            % {"field": field, "count": format_number(len(value)), "limit": format_number(limit)},
        )
    if len(value) < least:
        raise OutOfBounds(
            "text_missing",
            ngettext(
                "%(field)s is too short. Send at least %(count)s character.",
                "%(field)s is too short. Send at least %(count)s characters.",
                least,
            )
            % {"field": field, "count": format_number(least)},
        )
    if "\0" in value:
        raise OutOfBounds(
            "bad_text",
            _("%(field)s contains a NUL character. Remove the character.") % {"field": field},
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise OutOfBounds(
            "bad_text",
            _("%(field)s contains half of a surrogate pair. Send valid Unicode.")
            % {"field": field},
        ) from error
    return value


def check_id(value: str, field: str, limit: int, *, least: int = 0) -> str:
    """The id in its one spelling (spelling.fold). Raises OutOfBounds as check_text does, and for
    control characters."""
    check_text(value, field, limit)
    return check_text(spelling.fold(check_line(value, field)), field, limit, least=least)


def check_line(value: str, field: str) -> str:
    """The text, unchanged. Raises OutOfBounds if it holds a line break or another control
    character."""
    if control := spelling.control_character(value, one_line=True):
        raise OutOfBounds(
            "bad_text",
            _("%(field)s contains the control character %(control)s. Remove the character.")
            % {"field": field, "control": control},
        )
    return value


def check_json(value: Any, field: str, *, text_limit: int, depth: int = DEPTH_LIMIT) -> None:
    """Raises OutOfBounds unless every text, number and level of a decoded JSON value can be
    kept."""
    if value is None or value is True or value is False:
        return
    if isinstance(value, str):
        check_text(value, field, text_limit)
    elif isinstance(value, int):
        if not -INTEGER_LIMIT <= value <= INTEGER_LIMIT:
            raise OutOfBounds(
                "number_out_of_range",
                _("%(field)s contains an integer beyond 64 bits. Send the number as text.")
                % {"field": field},
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise OutOfBounds(
                "number_out_of_range",
                _("%(field)s contains a number that is not finite. Send another value.")
                % {"field": field},
            )
    elif depth <= 0:
        raise OutOfBounds(
            "nested_too_deeply",
            _("%(field)s is nested more than %(limit)s levels deep. Flatten it.")
            % {"field": field, "limit": DEPTH_LIMIT},
        )
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_text(key, _("A key of %(field)s") % {"field": field}, KEY_LIMIT)
            check_json(inner, field, text_limit=text_limit, depth=depth - 1)
    elif isinstance(value, list):
        for inner in value:
            check_json(inner, field, text_limit=text_limit, depth=depth - 1)
    else:
        raise OutOfBounds(
            "bad_value",
            _("%(field)s contains a value that JSON does not know. Remove the value.")
            % {"field": field},
        )


def read_json(
    body: bytes, *, values_limit: int = VALUES_LIMIT, depth_limit: int = DEPTH_LIMIT
) -> Any:
    """The decoded body of a route that takes a few fields. Raises OutOfBounds if it is no JSON,
    deep or wide."""
    try:
        value = json.loads(body)
    except RecursionError as error:
        raise OutOfBounds(
            "nested_too_deeply", _("The body is nested too deeply. Flatten it.")
        ) from error
    except ValueError as error:
        raise OutOfBounds(
            "malformed_json", (_("The body is not valid JSON: %(error)s.") % {"error": error})[:300]
        ) from error
    seen, level = 0, [value]
    for _level in range(depth_limit):
        inner = [one for one in level if isinstance(one, dict | list)]
        level = [part for one in inner for part in (one.values() if isinstance(one, dict) else one)]
        seen += len(level)
        if seen > values_limit:
            detail = _(
                "The body has more than %(limit)s values. /api/v1/docs lists the fields of each "
                "address."
            ) % {"limit": format_number(values_limit)}
            raise OutOfBounds("too_many_values", detail)
    if any(isinstance(one, dict | list) for one in level):
        raise OutOfBounds(
            "nested_too_deeply",
            _("The body is nested more than %(limit)s levels deep. Flatten it.")
            % {"limit": depth_limit},
        )
    return value


def check_zoned(value: datetime, field: str) -> datetime:
    """The moment. Raises OutOfBounds if it has no time zone."""
    if value.tzinfo is None:
        raise OutOfBounds(
            "time_zone_missing",
            _("%(field)s has no time zone. Write it as 2026-11-21T09:00:00Z.") % {"field": field},
        )
    return value


def true_moment(occurred_at: datetime | None, sent_at: datetime | None, now: datetime) -> datetime:
    """When something happened by our clock, from what a device's clock said (both moments zoned).

    The device's clock was off by (sent_at - now), so that much is taken off. Without `sent_at`
    its clock is believed. Nothing happened in the future: later than `now` means `now`. Raises
    OutOfBounds for a time before 2000.
    """
    if occurred_at is None:
        return now
    try:
        moment = (now - (sent_at - occurred_at) if sent_at is not None else occurred_at).astimezone(
            UTC
        )
    except OverflowError:
        moment = now if occurred_at.year > now.year else datetime.min.replace(tzinfo=UTC)
    if moment < EARLIEST:
        raise OutOfBounds(
            "time_out_of_range",
            _("occurred_at lies before the year 2000. Correct it or leave it out."),
        )
    return min(moment, now)
