"""What became of an audience: the funnel's steps, and the account by reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.audience.reasons import WAITING, Reason, words_of
from campaigns.channels.base import ReasonWords
from campaigns.models import Run
from pushpilot.lib.display import percent, shares
from reports.models import EventType
from reports.queries import RunRow


@dataclass(frozen=True, slots=True)
class Step:
    """One bar of a funnel: recipients, the percentage of `of`, and how the number is measured."""

    key: str
    label: str
    count: int
    percent: float | None
    of: str
    measured: str
    words: str = ""  # the percentage as every page shows it


@dataclass(frozen=True, slots=True)
class Funnel:
    steps: list[Step]
    failed_percent: float | None  # of the attempted
    is_live: bool

    def __getitem__(self, key: str) -> Step:
        return next(step for step in self.steps if step.key == key)


def share(part: int, whole: int) -> float | None:
    """Percent; None where there is no whole to be a part of."""
    if whole:
        return 100 * part / whole
    return None


def funnel_of(runs: Sequence[RunRow], people: Mapping[str, int]) -> Funnel:
    """What became of the audience of these runs; of their messages, if all of them were
    broadcasts."""
    audience = sum(run.audience for run in runs)
    attempted, accepted = sum(run.attempted for run in runs), sum(run.accepted for run in runs)
    failed, unknown = sum(run.failed for run in runs), sum(run.unknown for run in runs)
    happened = {kind: people.get(kind, 0) for kind in EventType.values}
    counts = {
        "audience": (audience, None),
        "accepted": (accepted, share(accepted, audience)),
        **{kind: (happened[kind], share(happened[kind], accepted)) for kind in REPORTED},
        "failed": (failed, share(failed, attempted)),
        "unknown": (unknown, share(unknown, attempted)),
    }
    steps = [
        Step(key, str(label), *counts[key], of=str(of), measured=str(measured))
        for key, (label, of, measured) in _STEPS.items()
    ]
    # The accepted are a line of the account too, whose percentages add to 100.
    accepted_words = shares(_account(runs)).get(Reason.ACCEPTED.slug)
    words = {}
    if accepted_words:
        words = {"accepted": accepted_words}
    steps = [_worded(step, words.get(step.key) or percent(step.percent)) for step in steps]
    if runs and all(run.is_broadcast for run in runs):
        steps = [_of_subscribers(step) for step in steps]
    is_live = any(run.state in Run.ACTIVE_STATES for run in runs)
    return Funnel(steps, share(failed, attempted), is_live)


_OF_ACCEPTED = gettext_lazy("%(percent)s of accepted")
_OF_ATTEMPTED = gettext_lazy("%(percent)s of attempted")
REPORTED = ("delivered", "opened", "clicked", "converted")
# {step: (label, what its percentage is of, how it is measured)}
_STEPS = {
    "audience": (
        gettext_lazy("Audience"),
        "",
        gettext_lazy(
            "Recipients that matched the audience rule when the send started. This number "
            "does not change."
        ),
    ),
    "accepted": (
        gettext_lazy("Accepted"),
        gettext_lazy("%(percent)s of the audience"),
        gettext_lazy(
            "The provider took the message. Only the recipient's app can say whether it arrived."
        ),
    ),
    "delivered": (
        gettext_lazy("Delivered"),
        _OF_ACCEPTED,
        gettext_lazy(
            "The recipient's app reported the message as received. Apps without the SDK "
            "report nothing."
        ),
    ),
    "opened": (
        gettext_lazy("Opened"),
        _OF_ACCEPTED,
        gettext_lazy("The app reported a tap on the notification. Each recipient counts once."),
    ),
    "clicked": (
        gettext_lazy("Clicked"),
        _OF_ACCEPTED,
        gettext_lazy(
            "The app reported a click on a link or button of the message. Each recipient "
            "counts once."
        ),
    ),
    "converted": (
        gettext_lazy("Converted"),
        _OF_ACCEPTED,
        gettext_lazy("The app reported the goal of the campaign with this message's reference."),
    ),
    "failed": (
        gettext_lazy("Failed"),
        _OF_ATTEMPTED,
        gettext_lazy("The provider refused the message or said that the address is gone."),
    ),
    "unknown": (
        gettext_lazy("Unknown"),
        _OF_ATTEMPTED,
        gettext_lazy(
            "The connection broke before the provider answered. The message may have arrived. Only "
            "a person can send it again."
        ),
    ),
}
_SUBSCRIBERS = {
    "audience": (
        gettext_lazy("Messages"),
        gettext_lazy(
            "Each send is one message. The provider delivers it to every subscriber. Only the "
            "provider knows the subscribers."
        ),
    ),
    "accepted": (
        gettext_lazy("Handed over"),
        gettext_lazy(
            "The provider took the message. Only the subscribers' apps can say where it arrived."
        ),
    ),
    "failed": (
        gettext_lazy("Refused"),
        gettext_lazy("The provider refused these messages. Nobody received them."),
    ),
}


def _worded(step: Step, words: str) -> Step:
    return replace(step, words=words, of=step.of % {"percent": words} if step.of else "")


def _of_subscribers(step: Step) -> Step:
    """The step of a broadcast: no share of an audience, and all its subscribers count as one."""
    label, measured = _SUBSCRIBERS.get(step.key, (step.label, ""))
    if not measured and step.key != "unknown":
        measured = _(
            "At least one subscriber's app reported it. All subscribers of a send count once."
        )
    return replace(
        step,
        label=str(label),
        percent=None,
        words=percent(None),
        of="",
        measured=str(measured) or step.measured,
    )


@dataclass(frozen=True, slots=True)
class ReasonRow:
    reason: Reason
    told: ReasonWords
    count: int
    percent: str


def _account(runs: Sequence[RunRow]) -> Counter[str]:
    """{reason: recipients} of these runs; a recipient in no tally yet waits."""
    tally: Counter[str] = Counter()
    for run in runs:
        tally.update(run.tally)
    tally[Reason.PENDING.slug] += max(0, sum(run.audience for run in runs) - sum(tally.values()))
    return tally


def reasons(runs: Sequence[RunRow], channel: str) -> list[ReasonRow]:
    """The account of these runs in the words of the channel: every recipient in exactly one row,
    so that the rows add up to the audience."""
    tally = _account(runs)
    words = shares(tally)
    rows = [
        ReasonRow(reason, words_of(reason, channel), count, words[reason.slug])
        for reason in Reason
        if (count := tally[reason.slug])
    ]
    return sorted(rows, key=lambda row: (row.reason in WAITING, -row.count))
