"""The shards of a run for its page: which part of the audience each is, who works on it, and how
it stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, IntegerField, Q, Value, When
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.audience.reasons import FAILED, UNSURE, Reason
from campaigns.models import Run
from delivery.models import Shard
from pushpilot.lib.display import format_number, how_long

SHOWN = 100
# A marketer reads of parts of the audience, not of shards and leases.
_STATES = {
    Shard.State.OPEN: gettext_lazy("Waiting"),
    Shard.State.LEASED: gettext_lazy("Sending"),
    Shard.State.HELD: gettext_lazy("Held"),
    Shard.State.DONE: gettext_lazy("Done"),
}
_ORDER = Case(
    When(state=Shard.State.LEASED, then=Value(0)),
    When(state=Shard.State.DONE, then=Value(2)),
    default=Value(1),
    output_field=IntegerField(),
)


def table_of(run: Run, now: datetime) -> dict[str, Any]:
    """The shards under work first, then those that wait, then those that are done; at most SHOWN
    of them."""
    shards = Shard.objects.filter(run=run)
    is_waiting = Q(state__in=(Shard.State.OPEN, Shard.State.HELD))
    counts = shards.aggregate(
        all=Count("pk"),
        leased=Count("pk", filter=Q(state=Shard.State.LEASED)),
        open=Count("pk", filter=is_waiting),
        done=Count("pk", filter=Q(state=Shard.State.DONE)),
        workers=Count("owner", filter=Q(state=Shard.State.LEASED), distinct=True),
    )
    rows = [_row(shard, run, now) for shard in shards.order_by(_ORDER, "first_id")[:SHOWN]]
    return {
        "rows": rows,
        "summary": _summary(counts, _ruled_out(run)),
        "more": counts["all"] - len(rows),
    }


def _summary(counts: dict[str, int], ruled_out: int) -> str:
    """How many parts the audience has and how they stand, in sentences."""
    about = {name: format_number(count) for name, count in counts.items()}
    parts = ngettext(
        "The audience has %(all)s part.", "The audience has %(all)s parts.", counts["all"]
    )
    sentences = [parts % about]
    if counts["done"] == counts["all"]:
        sentences.append(_("All parts are done."))
    else:
        sentences.append(_("Sending: %(leased)s. Waiting: %(open)s. Done: %(done)s.") % about)
    if counts["leased"]:
        working = ngettext(
            "%(workers)s worker sends now.", "%(workers)s workers send now.", counts["workers"]
        )
        sentences.append(working % about)
    if ruled_out:
        words = ngettext(
            "%(count)s recipient was excluded before and is in no part.",
            "%(count)s recipients were excluded before and are in no part.",
            ruled_out,
        )
        sentences.append(words % {"count": format_number(ruled_out)})
    return " ".join(sentences)


def _ruled_out(run: Run) -> int:
    """Recipients whose reason was known before the audience was cut. Until the run has ended its
    own tally holds them, then it holds everybody."""
    skipped = [
        reason.slug for reason in Reason if not reason.is_waiting and not reason.is_attempted
    ]
    whole = int(sum(run.tally.get(slug, 0) for slug in skipped))
    if not (run.is_ended and run.finished_at):
        return whole
    tallies = Shard.objects.filter(run=run).values_list("tally", flat=True)
    return max(0, whole - int(sum(tally.get(slug, 0) for tally in tallies for slug in skipped)))


def _row(shard: Shard, run: Run, now: datetime) -> dict[str, Any]:
    accepted, failed, unsure = (
        sum(shard.tally.get(reason.slug, 0) for reason in group)
        for group in ((Reason.ACCEPTED,), FAILED, UNSURE)
    )
    since = ""
    if shard.leased_at and shard.state == Shard.State.LEASED:
        since = how_long(now - shard.leased_at)
    return {
        "shard": shard,
        "state": str(_STATES[Shard.State(shard.state)]),
        "worker": shard.worker,
        "since": since,
        "until": _until(shard, now),
        "accepted": accepted,
        "failed": failed,
        "unsure": unsure,
        "skipped": sum(shard.tally.values()) - accepted - failed - unsure,
        "note": _note(shard, run, now),
        "tone": _tone(shard, now),
    }


def _is_silent(shard: Shard, now: datetime) -> bool:
    return (
        shard.state == Shard.State.LEASED
        and shard.lease_until is not None
        and shard.lease_until < now
    )


def _until(shard: Shard, now: datetime) -> str:
    if shard.lease_until is None or shard.state != Shard.State.LEASED:
        return ""
    if _is_silent(shard, now):
        return _("ran out")
    return _("%(span)s left") % {"span": how_long(shard.lease_until - now)}


def _note(shard: Shard, run: Run, now: datetime) -> str:
    if shard.state == Shard.State.HELD:
        held = sum(shard.held.values())
        words = ngettext(
            "%(count)s recipient waits for a platform",
            "%(count)s recipients wait for a platform",
            held,
        )
        return words % {"count": format_number(held)}
    if (
        shard.state == Shard.State.OPEN
        and shard.not_before >= now + timedelta(seconds=1)
        and not run.is_ended
    ):
        return _("continues in %(span)s") % {"span": how_long(shard.not_before - now)}
    return ""


def _tone(shard: Shard, now: datetime) -> str:
    if shard.state == Shard.State.DONE:
        return "success"
    if shard.state in (Shard.State.OPEN, Shard.State.HELD):
        return "default"
    if _is_silent(shard, now):
        return "danger"
    return "primary"
