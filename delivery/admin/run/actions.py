"""The buttons of the run page: what each does and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils import timezone

from campaigns import plan
from campaigns.admin.campaign.schedule import WallClockField
from campaigns.models import Campaign, Run
from campaigns.plan import CannotPlan
from campaigns.schedule import series
from delivery import decisions
from delivery.decisions import NotNow
from delivery.engine import drill
from delivery.models import Drill
from pushpilot.lib import clock
from pushpilot.lib.display import counted, planned_moment
from tenants.models import User


@dataclass(frozen=True, slots=True)
class Said:
    """What the person reads afterwards, and the run that is shown then."""

    text: str
    run: Run
    is_done: bool = True


Given = Mapping[str, str]
Verb = Callable[[Run, User, Given], Said]  # with what the form of its dialog posts


def _moves(do: Callable[[Run, User], bool], done: str, too_late: str) -> Verb:
    """`do` returns False if the run has moved meanwhile."""

    def verb(run: Run, by: User, given: Given) -> Said:
        if do(run, by):
            return Said(done, run)
        state = Run.objects.get(pk=run.pk).get_state_display().lower()
        return Said(f"{too_late}: meanwhile the run is “{state}”.", run, is_done=False)

    return verb


def _decides(do: Callable[[Run, User], int], done: str, noun: str = "recipient") -> Verb:
    """`do` returns how many it was about, or raises NotNow. `done` has a place for them."""

    def verb(run: Run, by: User, given: Given) -> Said:
        try:
            return Said(done.format(counted(do(run, by), noun)), run)
        except NotNow as error:
            return Said(str(error), run, is_done=False)

    return verb


def _cancel(run: Run, by: User, given: Given) -> Said:
    said = _moves(lambda run, by: plan.cancel(run, by=by), "", "Nothing to cancel")(run, by, given)
    if not said.is_done:
        return said
    if run.campaign.is_series:
        return Said(f"This send is stopped. {_goes_on(run.campaign)}", run)
    if Run.objects.get(pk=run.pk).audience_size is None:
        return Said("Cancelled. Nobody has got it, and it will not go out.", run)
    return Said("Cancelled. Who was not sent to yet ends as “Cancelled”.", run)


def _drill(run: Run, by: User, given: Given) -> Said:
    now = timezone.now()
    if drill.ask(run, by=by, now=now):
        return Said("One worker that sends this is being killed. Watch the account.", run)
    fresh = Run.objects.get(pk=run.pk)
    if fresh.state != Run.State.RUNNING:
        return Said(
            f"Nobody to kill: meanwhile the run is “{fresh.get_state_display().lower()}”.",
            run,
            is_done=False,
        )
    if Drill.objects.filter(run=run, killed_at=None, asked_at__gt=now - drill.PATIENCE).exists():
        return Said("A worker is being killed already. Watch the account.", run, is_done=False)
    waits = "it waits for its pace, for the provider, or for the lease of a dead one to end"
    return Said(
        f"No living worker holds it at this instant: {waits}. Try again.", run, is_done=False
    )


def _send_missed(run: Run, by: User, given: Given) -> Said:
    try:
        sent = plan.send_missed(run, by=by, now=timezone.now())
    except CannotPlan as error:
        return Said(str(error), run, is_done=False)
    return Said("On its way: this is the run that sends what was missed.", sent)


def _skip(run: Run, by: User, given: Given) -> Said:
    try:
        plan.skip(run, by=by, now=timezone.now())
    except CannotPlan as error:
        return Said(str(error), run, is_done=False)
    return Said(f"Skipped: nobody gets this send. {_goes_on(run.campaign)}", run)


def _goes_on(campaign: Campaign) -> str:
    following = campaign.runs.filter(state=Run.State.PLANNED).order_by("intended_at").first()
    if following is None:
        return "The series has no further send."
    return (
        "The next one goes out "
        f"{planned_moment(following.intended_at, campaign.zone, timezone.now())}."
    )


def _move(run: Run, by: User, given: Given) -> Said:
    """`to`: on the clock of the campaign."""
    try:
        wall = WallClockField().clean(given.get("to"))
        to = clock.resolve(wall, run.campaign.zone)
        series.move(run, to, by=by, now=timezone.now())
    except ValidationError as error:
        return Said(error.messages[0], run, is_done=False)
    except CannotPlan as error:
        return Said(str(error), run, is_done=False)
    return Said(f"Moved to {planned_moment(to, run.campaign.zone, timezone.now())}.", run)


def _end_series(run: Run, by: User, given: Given) -> Said:
    at_once = given.get("at_once") == "1"
    if not series.end(run.campaign, by=by, now=timezone.now(), at_once=at_once):
        return Said("The series has ended already.", run, is_done=False)
    is_under_way = not at_once and run.state in Run.ACTIVE_STATES
    return Said(
        f"The series has ended.{' This send goes on to its end.' if is_under_way else ''}", run
    )


VERBS: dict[str, Verb] = {
    "skip": _skip,
    "move": _move,
    "end-series": _end_series,
    "pause": _moves(
        lambda run, by: plan.pause(run, by=by),
        "Paused. Nothing new goes out; resume continues exactly where it stopped.",
        "Nothing to pause",
    ),
    "resume": _moves(
        lambda run, by: plan.resume(run, by=by), "Resumed. Sending goes on.", "Nothing to resume"
    ),
    "cancel": _cancel,
    "undo": _moves(
        lambda run, by: run.state == Run.State.PLANNED and plan.cancel(run, by=by),
        "Undone: nobody got anything. The campaign is a draft again.",
        "Too late to undo",
    ),
    "drill": _drill,
    "send-now": _moves(
        lambda run, by: plan.send_right_away(run, by=by, now=timezone.now()),
        "On its way.",
        "Nothing to hurry",
    ),
    "retry-failed": _decides(
        lambda run, by: decisions.retry_failed(run, by=by),
        "{} who had been refused will be sent to again.",
    ),
    "resend-unknown": _decides(
        lambda run, by: decisions.resend_unknown(run, by=by),
        "{} will be sent to again, each flagged as a possible duplicate.",
    ),
    "close-unknown": _decides(
        lambda run, by: decisions.close_unknown(run, by=by), "Left so: nothing is sent again to {}."
    ),
    "try-held": _decides(
        lambda run, by: decisions.try_held(run, by=by),
        "One message is tried now. If it is accepted, the others of {} follow.",
    ),
    "close-held": _decides(
        lambda run, by: decisions.close_held(run, by=by),
        "{} rejected. They can be sent again from this page.",
    ),
    "revive": _decides(
        lambda run, by: decisions.revive(run, by=by),
        "{} revived. The next campaign sends to them again.",
        "device",
    ),
    "send-missed": _send_missed,
}
