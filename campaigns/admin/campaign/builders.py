"""Between a form and what a campaign stores: audience rules and repetitions. No database, no
HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.audience.segments import OPERATORS, Rule, RuleError, validate
from campaigns.schedule.entered import skipped_days
from pushpilot.lib.clock import RecurrenceError, parse_rrule, resolve

WEEKDAYS = {
    "MO": gettext_lazy("Mon"),
    "TU": gettext_lazy("Tue"),
    "WE": gettext_lazy("Wed"),
    "TH": gettext_lazy("Thu"),
    "FR": gettext_lazy("Fri"),
    "SA": gettext_lazy("Sat"),
    "SU": gettext_lazy("Sun"),
}
REPEATS = {
    "daily": gettext_lazy("Daily"),
    "weekly": gettext_lazy("Weekly"),
    "monthly": gettext_lazy("Monthly"),
    "custom": gettext_lazy("Custom rule (RRULE)"),
}
_LISTED = re.compile(
    r"""\s*(?:"(?P<quoted>(?:[^"]|"")*)"\s*|“(?P<curly>[^“”]*)”\s*|(?P<plain>(?!\s*["“])[^,]*))(?:,|\Z)"""
)
ENDS = {
    "": gettext_lazy("Never"),
    "date": gettext_lazy("On a date"),
    "count": gettext_lazy("After a number of sends"),
}
END_OF_DAY = time(23, 59, 59)
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d{0,14})(\.\d{1,9})?", re.ASCII)


# --- audience -------------------------------------------------------------------------------------
def build_rule(field: str, op: str, value: str, kind: str = "") -> Rule:
    """One rule from three inputs. `kind` (text, number, boolean, "" = unknown) says how to read
    the value.

    Raises RuleError with a sentence.
    """
    if not field:
        raise RuleError(_("Choose an attribute, for example Country."))
    if op not in OPERATORS:
        raise RuleError(_("Choose a comparison."))
    if OPERATORS[op].takes is None:
        rule: Rule = {"field": field, "op": op}
    else:
        if not value.strip():
            raise RuleError(_("Enter the value to compare with."))
        rule = {"field": field, "op": op, "value": _value(field, op, value.strip(), kind)}
    validate(rule)
    return rule


def _value(field: str, op: str, text: str, kind: str) -> Any:
    if OPERATORS[op].compares_numbers:
        number = _number(text)
        if number is None:
            raise RuleError(
                _(
                    "“%(comparison)s” compares numbers, and “%(value)s” is not a number. Enter a "
                    "number such as 10 or 2.5."
                )
                % {"comparison": OPERATORS[op].words, "value": text}
            )
        return number
    if op == "in":
        return [_plain(field, part, kind) for part in split_values(text)]
    if op in ("is", "is_not"):
        return _plain(field, text, kind)
    return text


def split_values(text: str) -> list[str]:
    """The values between the commas; one in quotation marks keeps its own commas. Raises
    RuleError."""
    values, at = [], 0
    while at < len(text):
        found = _LISTED.match(text, at)
        if found is None:
            raise RuleError(
                _(
                    "The quotation marks of the value do not match. Enter values such as "
                    'Pune, "Washington, DC".'
                )
            )
        quoted, curly, plain = found.group("quoted", "curly", "plain")
        if plain is None:
            values.append(curly if quoted is None else quoted.replace('""', '"'))
        elif plain.strip():
            values.append(plain.strip())
        at = found.end()
    return values


def join_values(values: Sequence[Any]) -> str:
    """What `split_values` reads back."""
    return ", ".join(map(_listed, values))


def _listed(value: Any) -> str:
    text = _said(value)
    needs_quotes = not text or text != text.strip() or "," in text or text[0] in '"“'
    if needs_quotes:
        return '"{}"'.format(text.replace('"', '""'))
    return text


def _said(value: Any) -> str:
    """A value as `_plain` reads it back."""
    if isinstance(value, bool):
        if value:
            return "yes"
        return "no"
    return str(value)


def _plain(field: str, text: str, kind: str) -> Any:
    if field == "country":
        return text.upper()
    if not field.startswith("attributes.") or kind == "text":
        return text
    if kind == "boolean" and text.lower() in ("yes", "true", "no", "false"):
        return text.lower() in ("yes", "true")
    number = _number(text)
    if number is None:
        return text
    return number


def _number(text: str) -> int | float | None:
    text = text.replace(",", "") if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text) else text
    if not _NUMBER.fullmatch(text):
        return None
    if "." in text:
        return float(text)
    return int(text)


def read_rule(rule: Rule) -> tuple[str, str, str] | None:
    """(field, op, value) of a rule that the form can show; None for a nested one."""
    if set(rule) == {"all"} and len(rule["all"]) == 1:
        rule = rule["all"][0]
    if "field" not in rule:
        return None
    value = rule.get("value", "")
    if isinstance(value, list):
        return rule["field"], rule["op"], join_values(value)
    return rule["field"], rule["op"], _said(value)


# --- repetition -----------------------------------------------------------------------------------
def build_recurrence(
    repeat: str, interval: int, weekdays: Sequence[str], month_day: int, custom: str
) -> str:
    """A normalised RRULE from the builder's inputs. Raises RecurrenceError with a sentence."""
    every = ""
    if interval > 1:
        every = f";INTERVAL={interval}"
    if repeat == "daily":
        return parse_rrule(f"FREQ=DAILY{every}")
    if repeat == "weekly":
        if not weekdays:
            raise RecurrenceError(_("Choose at least one day of the week."))
        return parse_rrule(
            f"FREQ=WEEKLY{every};BYDAY={','.join(day for day in WEEKDAYS if day in weekdays)}"
        )
    if repeat == "monthly":
        return parse_rrule(f"FREQ=MONTHLY{every};BYMONTHDAY={month_day}")
    return parse_rrule(custom)


def build_end(
    rule: str, ends: str, end_date: date | None, count: int | None, zone: ZoneInfo
) -> str:
    """The rule with its end: after that day on the clock of the zone, or after so many sends,
    skipped ones included.

    Raises RecurrenceError with a sentence.
    """
    if not ends:
        return rule
    if re.search("COUNT=|UNTIL=", rule):
        raise RecurrenceError(
            _(
                "The custom rule has its own end. Choose “Never” as the end of the series, or "
                "remove COUNT or UNTIL from the rule."
            )
        )
    if ends == "count":
        if count is None:
            raise RecurrenceError(_("Enter the number of sends of the series."))
        return parse_rrule(f"{rule};COUNT={count}")
    if end_date is None:
        raise RecurrenceError(_("Choose the last day of the series."))
    until = resolve(datetime.combine(end_date, END_OF_DAY), zone)
    return parse_rrule(f"{rule};UNTIL={until:%Y%m%dT%H%M%SZ}")


def read_end(rule: str, zone: ZoneInfo) -> tuple[str, dict[str, Any]]:
    """(the rule without an end that the builder can express, the inputs of that end)."""
    rest, _mark, end = rule.rpartition(";")
    if end.startswith("COUNT=") and rest:
        return rest, {"ends": "count", "count": int(end.removeprefix("COUNT="))}
    if end.startswith("UNTIL=") and rest:
        until = datetime.strptime(end, "UNTIL=%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(zone)
        if until.time() == END_OF_DAY:
            return rest, {"ends": "date", "end_date": until.date()}
    return rule, {"ends": ""}


def build_skips(text: str) -> list[str]:
    """The days, in order, of dates with commas or lines between. Raises RecurrenceError with a
    sentence."""
    return skipped_days(filter(None, re.split(r"[\s,;]+", text)))


def read_recurrence(rule: str) -> dict[str, Any]:
    """The builder's inputs that make this rule; what it cannot express is custom."""
    custom = {"repeat": "custom" if rule else "weekly", "recurrence_rule": rule, "interval": 1}
    parts = {}
    if rule:
        parts = dict(part.partition("=")[::2] for part in rule.split(";"))
    interval = parts.pop("INTERVAL", "1")
    frequency, rest = parts.pop("FREQ", ""), set(parts)
    shared = {"interval": int(interval) if interval.isdecimal() else 1, "recurrence_rule": rule}
    if frequency == "DAILY" and not rest:
        return {**shared, "repeat": "daily"}
    if (
        frequency == "WEEKLY"
        and rest == {"BYDAY"}
        and set(parts["BYDAY"].split(",")) <= set(WEEKDAYS)
    ):
        return {**shared, "repeat": "weekly", "weekdays": parts["BYDAY"].split(",")}
    if (
        frequency == "MONTHLY"
        and rest == {"BYMONTHDAY"}
        and re.fullmatch(r"\d+|-1", parts["BYMONTHDAY"])
    ):
        return {**shared, "repeat": "monthly", "month_day": parts["BYMONTHDAY"]}
    return custom
