"""What went wrong in a run, grouped by code with examples."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, Min

from campaigns.audience.reasons import Reason, words_of
from campaigns.models import Run
from delivery.codes import meaning
from delivery.models import Message

CODES_SHOWN = 12
EXAMPLES = 5
KEPT_SECS = 3600


def groups_of(run: Run) -> tuple[list[dict[str, Any]], bool]:
    """The most frequent (reason, code) pairs with counts and a handful of recipients each;
    whether there are more.

    Reads every row of the run, 0.1 s per million; of a run that has ended the answer is kept for
    an hour.
    """
    found, has_more = _kept(run) if run.is_ended and run.finished_at else _count(run)
    ids = [pk for row in found for pk in row["ids"]]
    examples = Message.objects.select_related("contact", "endpoint").in_bulk(ids)
    shown = []
    for row in found:
        reason = Reason(row["reason"])
        shown.append(
            {
                "code": row["code"],
                "n": row["n"],
                "label": str(words_of(reason, run.channel).label),
                "slug": reason.slug,
                "meaning": meaning(run, reason, row["code"]),
                "examples": [examples[pk] for pk in row["ids"] if pk in examples],
            }
        )
    return shown, has_more


def _kept(run: Run) -> tuple[list[dict[str, Any]], bool]:
    # A run that was finished once more, after a retry, has another epoch or moment of its end.
    key = f"run-trouble:{run.pk}:{run.epoch}:{run.finished_at:%Y%m%d%H%M%S%f}"
    kept: tuple[list[dict[str, Any]], bool] | None = cache.get(key)
    if kept is None:
        kept = _count(run)
        cache.set(key, kept, timeout=KEPT_SECS)
    return kept


def _count(run: Run) -> tuple[list[dict[str, Any]], bool]:
    """One pass: the first row of each of EXAMPLES remainders is an example, so no code is looked
    for on its own."""
    rows = (
        Message.objects.filter(run=run)
        .exclude(error_code="")
        .order_by()
        .annotate(part=F("pk") % EXAMPLES)
    )
    parts = rows.values_list("reason", "error_code", "part").annotate(
        n=Count("pk"), first=Min("pk")
    )
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for reason, code, _, n, first in parts:
        one = found.setdefault((reason, code), {"reason": reason, "code": code, "n": 0, "ids": []})
        one["n"] += n
        one["ids"] = sorted([*one["ids"], first])
    ranked = sorted(found.values(), key=lambda one: (-one["n"], one["reason"], one["code"]))
    return ranked[:CODES_SHOWN], len(ranked) > CODES_SHOWN
