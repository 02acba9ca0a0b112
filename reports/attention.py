"""What the latest sends ask of somebody: a strip of their health, and a sentence for each
worry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.models import Run
from delivery.admin import addresses
from pushpilot.lib.display import format_number, percent
from reports.funnel import share
from reports.queries import RunRow

HEALTH_RUNS = 30
# A send with more failures than this share is worth a look; 5 % dead addresses are normal.
FAILED_MANY, FAILED_SOME = 20.0, 5.0


def of(runs: Sequence[RunRow]) -> dict[str, Any]:
    """The latest sends as a strip, and a sentence for each thing that wants somebody."""
    shown = [run for run in runs if run.started_at or run.state == Run.State.MISSED]
    latest = [run for run in shown if not run.is_direct or _is_worth_a_look(run)][-HEALTH_RUNS:]
    strip, worries = [], []
    for run in latest:
        failed, unmade = (
            share(run.failed, run.attempted),
            share(run.unmade, run.unmade + run.attempted),
        )
        title = _strip_title(run, failed, unmade)
        tone = _tone(run, max(failed or 0, unmade or 0))
        strip.append({"tone": tone, "title": title, "href": addresses.run(run.id)})
        for sentence in _worries(run, failed, unmade):
            worries.append({"name": run.campaign, "text": sentence, "href": addresses.run(run.id)})
    return {"strip": strip, "worries": worries[::-1][:4]}


def _is_worth_a_look(run: RunRow) -> bool:
    """Direct messages make many runs a day: the strip shows the runs that did not go well."""
    lost = max(share(run.failed, run.attempted) or 0, share(run.unmade, run.audience) or 0)
    return _tone(run, lost) != "good"


def _strip_title(run: RunRow, failed: float | None, unmade: float | None) -> str:
    words = _("%(campaign)s: %(state)s")
    if failed is not None:
        words = _("%(campaign)s: %(failed)s failed")
    if failed is not None and unmade:
        words = _("%(campaign)s: %(failed)s failed, %(unmade)s could not be created")
    elif unmade:
        words = _("%(campaign)s: %(unmade)s could not be created")
    return words % {
        "campaign": run.campaign,
        "state": Run.State(run.state).label,
        "failed": percent(failed),
        "unmade": percent(unmade),
    }


def _tone(run: RunRow, lost: float) -> str:
    """`lost`: percent of the attempts that failed, or of the messages that could not be made."""
    if run.state in (Run.State.FAILED, Run.State.MISSED) or lost >= FAILED_MANY:
        return "bad"
    is_fair = run.undecided or run.state == Run.State.PAUSED or lost >= FAILED_SOME
    if is_fair:
        return "fair"
    return "good"


def _worries(run: RunRow, failed: float | None, unmade: float | None) -> list[str]:
    found = []
    if run.state == Run.State.FAILED:
        found.append(_("The send stopped with an error."))
    if run.state == Run.State.MISSED:
        found.append(_("The send was missed. Its time had passed when PushPilot could start it."))
    if run.state == Run.State.PAUSED:
        found.append(_("The send is paused until somebody resumes it."))
    if run.undecided:
        found.append(_undecided(run))
    if (unmade or 0) >= FAILED_SOME:
        found.append(_unmade(run))
    if (failed or 0) >= FAILED_MANY:
        words = _("The provider refused %(percent)s of the messages.")
        if run.is_broadcast:
            words = _("The provider refused the message. Nobody received it.")
        found.append(words % {"percent": percent(failed)})
    return found


def _undecided(run: RunRow) -> str:
    if run.is_broadcast:
        return _("The provider may have taken the message. Decide whether to send it again.")
    words = ngettext(
        "%(count)s message may have arrived. Decide whether to send it again.",
        "%(count)s messages may have arrived. Decide whether to send them again.",
        run.undecided,
    )
    return words % {"count": format_number(run.undecided)}


def _unmade(run: RunRow) -> str:
    if run.is_broadcast:
        return _(
            "Nobody received the message. It could not be created. The page of the send says why."
        )
    if not run.accepted:
        nobody = ngettext(
            "Nobody received the message. It could not be created for %(count)s recipient. The "
            "page of the send says why.",
            "Nobody received the message. It could not be created for %(count)s recipients. The "
            "page of the send says why.",
            run.unmade,
        )
        return nobody % {"count": format_number(run.unmade)}
    words = ngettext(
        "The message could not be created for %(count)s recipient. The page of the send says why.",
        "The message could not be created for %(count)s recipients. The page of the send says why.",
        run.unmade,
    )
    return words % {"count": format_number(run.unmade)}
