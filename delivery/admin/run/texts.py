"""Which texts a run has sent: more than one if its message was edited on its way."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from campaigns.audience.reasons import Reason
from campaigns.models import Revision, Run
from delivery.models import Message


@dataclass(frozen=True, slots=True)
class Text:
    """A revision of the content, and how many of the run's recipients were accepted with it."""

    number: int
    title: str
    count: int


def was_edited(run: Run) -> bool:
    """True if the run's text was replaced after the run had been planned."""
    return run.revision.created_at > run.created_at


def texts_of(run: Run) -> list[Text]:
    """The texts of a run that was edited and has ended, the oldest first; else empty.

    It reads every row of the run (a million: 0.3 s on PostgreSQL, 0.6 s on SQLite), too slow for a run under way.
    """
    if not (was_edited(run) and run.is_ended and run.finished_at):
        return []
    accepted = Message.objects.filter(run=run, reason=Reason.ACCEPTED).order_by()
    counts = dict(accepted.values_list("revision").annotate(n=Count("pk")))
    revisions = Revision.objects.filter(campaign=run.campaign_id, number__in=counts).order_by("number")
    return [Text(one.number, title_of(one), counts[one.number]) for one in revisions]


def title_of(revision: Revision) -> str:
    """The title of its first content, "" if there is none."""
    return str(revision.contents[0].get("title", "")) if revision.contents else ""
