"""How a campaign is sent: how fast, how late, how long. What every door checks of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from campaigns.models import AmbiguityPolicy, Campaign
from pushpilot.lib.display import exact_span, format_number, listed

SENDING_FIELDS = (
    "per_second",
    "avoid_quarter_hours",
    "start_within_mins",
    "expires_after_mins",
    "ambiguity_policy",
)
PER_SECOND_LIMIT = 10_000
# What the console offers, and the largest that any door takes.
STARTS_WITHIN_MINS = (15, 60, 180, 720, 1440)
EXPIRES_AFTER_MINS = (60, 180, 360, 720, 1440, 2880, 10080)
_NUMBERS = {
    "per_second": PER_SECOND_LIMIT,
    "start_within_mins": max(STARTS_WITHIN_MINS),
    "expires_after_mins": max(EXPIRES_AFTER_MINS),
}
_MAY_BE_EMPTY = ("per_second", "expires_after_mins")


def problems_of_sending(campaign: Campaign) -> Iterator[tuple[str, str]]:
    """(column, what is wrong with it) of the campaign, saved or not."""
    for name, most in _NUMBERS.items():
        value = getattr(campaign, name)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        is_right = value is None and name in _MAY_BE_EMPTY
        if not is_right and not (is_number and 1 <= value <= most):
            words = _("Send a whole number from %(low)s to %(high)s.")
            yield name, words % {"low": 1, "high": format_number(most)}
    avoids: Any = campaign.avoid_quarter_hours
    if not isinstance(avoids, bool):
        yield "avoid_quarter_hours", _("Send true or false.")
    if campaign.ambiguity_policy not in AmbiguityPolicy.values:
        yield "ambiguity_policy", not_one_of(AmbiguityPolicy.values)
    if problem := problem_of_end(campaign.start_within_mins, campaign.expires_after_mins):
        yield "expires_after_mins", problem


def problem_of_end(start_within_mins: Any, expires_after_mins: Any) -> str:
    """What is wrong with a send that ends before it may start, "" if nothing. Both in minutes."""
    both = (start_within_mins, expires_after_mins)
    if not all(isinstance(mins, int) and mins > 0 for mins in both):
        return ""
    if expires_after_mins >= start_within_mins:
        return ""
    words = _("The send may start %(span)s late. Choose an end after the latest start.")
    return words % {"span": exact_span(60 * start_within_mins)}


def not_one_of(values: list[str]) -> str:
    return _("Send %(values)s.") % {"values": listed(values, "or")}
