"""The buttons of the run page: what each does and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

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
from pushpilot.lib.display import Words, format_number, planned_moment
from tenants.models import User


@dataclass(frozen=True, slots=True)
class Said:
    """What the person reads afterwards, and the run that is shown then."""

    text: str
    run: Run
    is_done: bool = True


Given = Mapping[str, str]
Verb = Callable[[Run, User, Given], Said]  # with what the form of its dialog posts


def _moves(do: Callable[[Run, User], bool], done: Words, too_late: Words) -> Verb:
    """`do` returns False if the run has moved meanwhile; `too_late` has a place for its state."""

    def verb(run: Run, by: User, given: Given) -> Said:
        if do(run, by):
            return Said(str(done), run)
        return _too_late(run, too_late)

    return verb


def _too_late(run: Run, words: Words) -> Said:
    state = Run.objects.get(pk=run.pk).get_state_display()
    return Said(str(words) % {"state": state}, run, is_done=False)


def _decides(do: Callable[[Run, User], int], done: Callable[[int], str]) -> Verb:
    """`do` returns how many rows it was about, or raises NotNow; `done` puts them in a sentence
    that has a place for their number."""

    def verb(run: Run, by: User, given: Given) -> Said:
        try:
            count = do(run, by)
        except NotNow as error:
            return Said(str(error), run, is_done=False)
        return Said(done(count) % {"count": format_number(count)}, run)

    return verb


def _cancel(run: Run, by: User, given: Given) -> Said:
    if not plan.cancel(run, by=by):
        too_late = gettext_lazy("Nothing to cancel: the state of this send is now “%(state)s”.")
        return _too_late(run, too_late)
    if run.campaign.is_series:
        stopped = _("This send is stopped.")
        return Said(f"{stopped} {_goes_on(run.campaign)}", run)
    if Run.objects.get(pk=run.pk).audience_size is None:
        return Said(_("Cancelled. No message was sent."), run)
    words = _(
        "Cancelled. Messages already sent stay sent. The remaining recipients are marked Cancelled."
    )
    return Said(words, run)


def _drill(run: Run, by: User, given: Given) -> Said:
    now = timezone.now()
    if drill.ask(run, by=by, now=now):
        return Said(_("PushPilot kills one worker of this send now. Watch the figures."), run)
    if Run.objects.get(pk=run.pk).state != Run.State.RUNNING:
        too_late = gettext_lazy("Nothing to kill: the state of this send is now “%(state)s”.")
        return _too_late(run, too_late)
    if Drill.objects.filter(run=run, killed_at=None, asked_at__gt=now - drill.PATIENCE).exists():
        words = _("PushPilot kills a worker of this send already. Watch the figures.")
        return Said(words, run, is_done=False)
    words = _(
        "No worker sends a message at this moment. The send waits for its rate limit, for the "
        "provider or for another worker. Try again."
    )
    return Said(words, run, is_done=False)


def _send_missed(run: Run, by: User, given: Given) -> Said:
    try:
        sent = plan.send_missed(run, by=by, now=timezone.now())
    except CannotPlan as error:
        return Said(str(error), run, is_done=False)
    return Said(_("The missed message goes out now, as this new send."), sent)


def _skip(run: Run, by: User, given: Given) -> Said:
    try:
        plan.skip(run, by=by, now=timezone.now())
    except CannotPlan as error:
        return Said(str(error), run, is_done=False)
    skipped = _("Skipped. This send does not go out.")
    return Said(f"{skipped} {_goes_on(run.campaign)}", run)


def _goes_on(campaign: Campaign) -> str:
    following = campaign.runs.filter(state=Run.State.PLANNED).order_by("intended_at").first()
    if following is None:
        return _("The series has no further send.")
    when = planned_moment(following.intended_at, campaign.zone, timezone.now())
    return _("The next send goes out %(when)s.") % {"when": when}


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
    when = planned_moment(to, run.campaign.zone, timezone.now())
    return Said(_("Moved to %(when)s.") % {"when": when}, run)


def _end_series(run: Run, by: User, given: Given) -> Said:
    at_once = given.get("at_once") == "1"
    if not series.end(run.campaign, by=by, now=timezone.now(), at_once=at_once):
        return Said(_("The series has ended already."), run, is_done=False)
    if not at_once and run.state in Run.ACTIVE_STATES:
        return Said(_("The series has ended. This send goes on until it is complete."), run)
    return Said(_("The series has ended."), run)


VERBS: dict[str, Verb] = {
    "skip": _skip,
    "move": _move,
    "end-series": _end_series,
    "pause": _moves(
        lambda run, by: plan.pause(run, by=by),
        gettext_lazy("Paused. No new message goes out. Resume continues where this send stopped."),
        gettext_lazy("Nothing to pause: the state of this send is now “%(state)s”."),
    ),
    "resume": _moves(
        lambda run, by: plan.resume(run, by=by),
        gettext_lazy("Resumed. Sending continues."),
        gettext_lazy("Nothing to resume: the state of this send is now “%(state)s”."),
    ),
    "cancel": _cancel,
    "undo": _moves(
        lambda run, by: run.state == Run.State.PLANNED and plan.cancel(run, by=by),
        gettext_lazy("Undone. No message was sent, and the campaign is a draft again."),
        gettext_lazy("Too late to undo: the state of this send is now “%(state)s”."),
    ),
    "drill": _drill,
    "send-now": _moves(
        lambda run, by: plan.send_right_away(run, by=by, now=timezone.now()),
        gettext_lazy("The send starts now."),
        gettext_lazy("Nothing to start: the state of this send is now “%(state)s”."),
    ),
    "retry-failed": _decides(
        lambda run, by: decisions.retry_failed(run, by=by),
        lambda count: ngettext(
            "The message goes out again to %(count)s rejected recipient.",
            "The message goes out again to %(count)s rejected recipients.",
            count,
        ),
    ),
    "resend-unknown": _decides(
        lambda run, by: decisions.resend_unknown(run, by=by),
        lambda count: ngettext(
            "The message goes out again to %(count)s unknown recipient, marked as a possible "
            "duplicate.",
            "The message goes out again to %(count)s unknown recipients, each marked as a possible "
            "duplicate.",
            count,
        ),
    ),
    "close-unknown": _decides(
        lambda run, by: decisions.close_unknown(run, by=by),
        lambda count: ngettext(
            "%(count)s recipient closed as unknown.",
            "%(count)s recipients closed as unknown.",
            count,
        ),
    ),
    "try-held": _decides(
        lambda run, by: decisions.try_held(run, by=by),
        lambda count: ngettext(
            "PushPilot tries the message to %(count)s recipient now.",
            "PushPilot tries one message now. If the provider accepts it, the message goes out to "
            "all %(count)s waiting recipients.",
            count,
        ),
    ),
    "close-held": _decides(
        lambda run, by: decisions.close_held(run, by=by),
        lambda count: ngettext(
            "%(count)s recipient is marked Rejected. You can send again from this page.",
            "%(count)s recipients are marked Rejected. You can send again from this page.",
            count,
        ),
    ),
    "revive": _decides(
        lambda run, by: decisions.revive(run, by=by),
        lambda count: ngettext(
            "%(count)s device revived. The next campaign sends to the device again.",
            "%(count)s devices revived. The next campaign sends to the devices again.",
            count,
        ),
    ),
    "send-missed": _send_missed,
}
