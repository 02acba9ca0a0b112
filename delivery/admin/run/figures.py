"""Where a run stands: its balanced account at this moment, in numbers and words. Read-only, a
handful of queries."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.audience.reasons import UNMADE, Reason, words_of
from campaigns.models import Campaign, Run
from delivery import ledger
from delivery.admin.run import drills, held_platforms, throughput
from delivery.admin.run.notices import Notice, notices
from delivery.admin.run.questions import questions
from delivery.decisions import CLOSABLE, QUIET
from delivery.engine import record
from delivery.engine.drill import can_drill
from delivery.models import Message, Shard
from pushpilot.lib.display import duration, format_number, shares

State = Run.State

IN_FLIGHT = "in_flight"
# What a person may decide after the engine has done its part: {button: (reason of the recipients,
# states of the run)}.
DECISIONS = {
    "retry-failed": (Reason.REJECTED, QUIET),
    "resend-unknown": (Reason.UNKNOWN, QUIET),
    "close-unknown": (Reason.UNKNOWN, CLOSABLE),
}
IN_VAIN = "in_vain"  # completed, but nobody got it: no success, whatever the engine thinks
TONES: dict[str, str] = {
    State.PLANNED: "info",
    State.PREPARING: "info",
    State.RUNNING: "primary",
    State.PAUSED: "warning",
    State.FINISHING: "primary",
    State.COMPLETED: "success",
    State.CANCELLED: "default",
    State.MISSED: "danger",
    State.FAILED: "danger",
    IN_VAIN: "danger",
}
UNMADE_MANY = 0.05  # this share of messages that could not be made is told above the account
# Reasons whose counts stand in sentences of the page.
COUNTED = (IN_FLIGHT, Reason.REJECTED.slug, Reason.UNKNOWN.slug, Reason.DEFERRED.slug)
# The parts that the figures, the bar and the account share, in this order.
GROUPS = ("accepted", "failed", "unsure", "skipped", "waiting")
_SLUGS = {reason.slug: reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the account. `group`: of GROUPS."""

    slug: str
    label: str
    explanation: str
    group: str
    count: int
    share: float  # percent of the audience, for the width of a bar
    percent: str  # the same in words


@dataclass(frozen=True, slots=True)
class Account:
    """Every recipient in exactly one line: Σ counts = audience."""

    audience: int
    lines: tuple[Line, ...]

    def count(self, group: str) -> int:
        return sum(line.count for line in self.lines if line.group == group)

    def count_of(self, slug: str) -> int:
        return sum(line.count for line in self.lines if line.slug == slug)

    @property
    def unmade(self) -> int:
        return sum(self.count_of(reason.slug) for reason in UNMADE)

    @property
    def attempted(self) -> int:
        return sum(self.count(group) for group in ("accepted", "failed", "unsure"))

    @property
    def is_balanced(self) -> bool:
        return self.audience == sum(line.count for line in self.lines)

    @property
    def equation(self) -> str:
        """ "5,000 = Accepted 4,893 + Device gone 107"."""
        words = " + ".join(f"{line.label} {format_number(line.count)}" for line in self.lines)
        return f"{format_number(self.audience)} = {words or '0'}"


def run_account(run: Run, shards: list[Shard]) -> Account | None:
    """The run's account now; None while its audience is not known, and of a run that never
    began."""
    if run.audience_size is None or run.started_at is None:
        return None
    counts = record.live_tally(run, shards)
    waiting = counts.pop(Reason.PENDING.slug, 0)
    flying = min(waiting, in_flight(run, shards))
    deferred = min(waiting - flying, sum(held_platforms.counts(shards).values()))
    split = {
        IN_FLIGHT: flying,
        Reason.DEFERRED.slug: deferred,
        Reason.PENDING.slug: waiting - flying - deferred,
    }
    return _account(run.audience_size, {**counts, **split}, run.channel)


def in_flight(run: Run, shards: list[Shard]) -> int:
    """Messages handed to the provider whose answer is not written yet: the open rows in the
    workers' windows."""
    inside = ledger.in_flight(shards)
    if inside is None:
        return 0
    return Message.objects.filter(inside, run=run, reason=Reason.PENDING).count()


def _account(audience: int, counts: dict[str, int], channel: str) -> Account:
    words = shares(counts)
    lines = [_line(slug, n, audience, words[slug], channel) for slug, n in counts.items() if n]
    # What is in flight stays in its place, whatever the numbers: the bar moves enough without parts
    # that swap.
    lines.sort(
        key=lambda line: (GROUPS.index(line.group), line.slug != IN_FLIGHT, -line.count, line.label)
    )
    return Account(audience, tuple(lines))


def _line(slug: str, n: int, audience: int, percent: str, channel: str) -> Line:
    share = 0.0
    if audience:
        share = round(100 * n / audience, 3)
    if slug == IN_FLIGHT:
        return Line(
            slug,
            _("In flight"),
            _("The provider has the message and has not answered yet."),
            "waiting",
            n,
            share,
            percent,
        )
    reason = _SLUGS[slug]
    told = words_of(reason, channel)
    label, explanation = str(told.label), str(told.explanation)
    return Line(slug, label, explanation, _group(reason), n, share, percent)


def _group(reason: Reason) -> str:
    if reason == Reason.ACCEPTED:
        return "accepted"
    if reason.is_failure:
        return "failed"
    if reason.is_unsure:
        return "unsure"
    if reason.is_waiting:
        return "waiting"
    return "skipped"


@dataclass(frozen=True, slots=True)
class Progress:
    """All that the run page shows and refreshes."""

    state: str
    label: str
    tone: str
    headline: str
    is_live: bool
    account: Account | None
    notices: list[Notice]
    can: list[str]
    undo_until: datetime | None
    # messages a second: in the last seconds while it sends, on average once it has ended
    rate: float | None
    eta_secs: int | None
    limit: str  # what holds the rate down, in words
    took: str
    epoch: int
    retired: int  # devices that it retired and nobody has revived
    now: datetime

    def as_json(self) -> dict[str, Any]:
        account = self.account or Account(0, ())
        groups = {name: account.count(name) for name in GROUPS}
        names = (
            "state",
            "label",
            "tone",
            "headline",
            "is_live",
            "can",
            "rate",
            "eta_secs",
            "limit",
            "took",
            "epoch",
        )
        counts = {
            **groups,
            "retired": self.retired,
            **{slug: account.count_of(slug) for slug in COUNTED},
        }
        told: dict[str, Any] = {"audience": None, "equation": ""}
        if self.account:
            told = {"audience": account.audience, "equation": account.equation}
        undo_until = None
        if self.undo_until:
            undo_until = self.undo_until.isoformat()
        return {
            **{name: getattr(self, name) for name in names},
            "now": self.now.isoformat(),
            "undo_until": undo_until,
            "notices": [asdict(notice) for notice in self.notices],
            **told,
            "counts": counts,
            "asks": questions(counts),
            "lines": [asdict(line) for line in account.lines],
            "is_balanced": account.is_balanced,
        }


def read(run: Run, now: datetime, *, may_send: bool) -> Progress:
    """Where the run stands now. `may_send` decides which buttons it offers."""
    shards = []
    if run.started_at and not run.finished_at:
        shards = list(Shard.objects.filter(run=run).order_by("pk"))
    account = run_account(run, shards)
    waiting = 0
    if account:
        waiting = account.count("waiting")
    is_sending = run.state == State.RUNNING and account is not None
    limit = throughput.limit_of(run, now) if is_sending else throughput.Limit()
    rate, eta = _average(run, account), None
    if is_sending and account is not None:
        rate = throughput.recent_rate(run, account.attempted, now)
        eta = None
        if waiting:
            eta = throughput.eta_secs(limit, waiting, rate, now)
    can = []
    if may_send:
        can = [*verbs(run), *decisions(run, account), *held_platforms.verbs(run, shards)]
    return Progress(
        state=run.state,
        label=str(run.get_state_display()),
        tone=TONES[IN_VAIN if run.is_in_vain else run.state],
        headline=headline(run, account, now),
        is_live=not (run.is_ended and run.finished_at is not None),
        account=account,
        notices=[
            *_unmade(run, account),
            *notices(run, shards, limit, rate, now),
            *held_platforms.notices(run, shards, now),
            *drills.notices(run, shards, now),
        ],
        can=can,
        undo_until=run.intended_at if can_undo(run) and run.intended_at > now else None,
        rate=round(rate, 1) if rate is not None else None,
        eta_secs=round(eta) if eta is not None else None,
        limit=_limit_words(limit, rate),
        took=_took(run),
        epoch=run.epoch,
        retired=run.retired,
        now=now,
    )


def _unmade(run: Run, account: Account | None) -> list[Notice]:
    if (
        account is None
        or not account.unmade
        or account.unmade < UNMADE_MANY * (account.unmade + account.attempted)
    ):
        return []
    text = _("The message could not be created and was not sent. The code below gives the reason.")
    if not run.is_broadcast:
        words = ngettext(
            "The message could not be created for %(unmade)s of %(count)s recipient. The codes "
            "below give the reasons.",
            "The message could not be created for %(unmade)s of %(count)s recipients. The codes "
            "below give the reasons.",
            account.audience,
        )
        about = {"unmade": account.unmade, "count": account.audience}
        text = words % {name: format_number(n) for name, n in about.items()}
    return [Notice("warning" if account.count("accepted") else "danger", "error", text)]


def can_undo(run: Run) -> bool:
    """A send "now" that is still in its undo time."""
    return run.state == State.PLANNED and run.campaign.schedule_type == Campaign.Schedule.NOW


def verbs(run: Run) -> list[str]:
    """What a person may do with a run in this state."""
    if run.direct:  # its texts are those of many requests
        return [verb for verb in _of_state(run, []) if verb != "rewrite"]
    series = []
    if run.campaign.is_series and run.campaign.ended_at is None:
        series = ["schedule", "end-series"]
    if run.state == State.PLANNED:
        if can_undo(run):
            return ["undo", "send-now"]
        if run.campaign.is_series:
            return ["skip", "move", *series, "rewrite"]
        return ["cancel", "move", "rewrite"]
    return _of_state(run, series)


def _of_state(run: Run, series: list[str]) -> list[str]:
    return {
        State.PREPARING: ["cancel", *series, "rewrite"],
        State.RUNNING: [
            "pause",
            "cancel",
            *series,
            "rewrite",
            *(["drill"] if can_drill(run) else []),
        ],
        State.PAUSED: ["resume", "cancel", *series, "rewrite"],
        State.MISSED: ["send-missed"],
    }.get(State(run.state), [])


def headline(run: Run, account: Account | None, now: datetime) -> str:
    """The state in words, with its numbers."""
    if account is None:
        return _before_audience(run, now)
    accepted, waiting, size = account.count("accepted"), account.count("waiting"), account.audience
    if run.is_broadcast and run.started_at:
        return _of_subscribers(run, accepted)
    match run.state:
        case State.PAUSED:
            words = ngettext(
                "Paused with %(number)s of %(count)s recipient to go",
                "Paused with %(number)s of %(count)s recipients to go",
                size,
            )
            return words % {"number": format_number(waiting), "count": format_number(size)}
        case State.COMPLETED if run.is_in_vain and not account.count("unsure"):
            words = ngettext(
                "Accepted for none of %(count)s recipient",
                "Accepted for none of %(count)s recipients",
                size,
            )
            return words % {"count": format_number(size)}
        case State.COMPLETED if not size:
            return _("Completed: the audience was empty")
        case State.CANCELLED if run.started_at is None:
            return _("Cancelled before the start: no message was sent")
        case State.CANCELLED if run.finished_at is None:
            return _("Cancelling: no new message goes out")
        case State.COMPLETED | State.CANCELLED | State.FAILED:
            return _so_far(run.state, size) % {
                "number": format_number(accepted),
                "count": format_number(size),
            }
    words = ngettext(
        "Sending: %(number)s of %(count)s recipient done",
        "Sending: %(number)s of %(count)s recipients done",
        size,
    )
    return words % {"number": format_number(size - waiting), "count": format_number(size)}


def _so_far(state: str, size: int) -> str:
    """The headline of a run that ended, with places for the accepted and for all recipients."""
    if state == State.CANCELLED:
        return ngettext(
            "Cancelled after %(number)s of %(count)s recipient",
            "Cancelled after %(number)s of %(count)s recipients",
            size,
        )
    if state == State.FAILED:
        return ngettext(
            "Failed after %(number)s of %(count)s recipient",
            "Failed after %(number)s of %(count)s recipients",
            size,
        )
    return ngettext(
        "Sent to %(number)s of %(count)s recipient",
        "Sent to %(number)s of %(count)s recipients",
        size,
    )


def _of_subscribers(run: Run, accepted: int) -> str:
    """A broadcast is one message, which the provider spreads to subscribers that only the
    provider knows."""
    if accepted:
        return _("Handed to the provider for all subscribers")
    match run.state:
        case State.PAUSED:
            return _("Paused before the provider took the message: no message was sent")
        case State.CANCELLED:
            return _("Cancelled before the provider took the message")
        case State.COMPLETED | State.FAILED:
            return _("The provider did not take the message")
    return _("Handing the message to the provider")


def _before_audience(run: Run, now: datetime) -> str:
    match run.state:
        case State.PLANNED if run.intended_at <= now:
            return _("Due now: about to start")
        case State.PLANNED if can_undo(run):
            return _("Starts in a moment")
        case State.PLANNED:
            return _("Planned")
        case State.CANCELLED if run.started_at is None:
            return _("Cancelled before the start: no message was sent")
        case State.CANCELLED:
            return _("Cancelling: no new message goes out")
        case State.PAUSED:
            return _("Paused before the audience was known: no message was sent")
        case State.MISSED:
            return _("Missed: no message was sent")
        case State.FAILED:
            return _("Failed before the audience was known: no message was sent")
    return _("Preparing the audience")


def decisions(run: Run, account: Account | None) -> list[str]:
    """What a person may decide about rejected and unknown recipients."""
    if account is None or (run.is_ended and run.finished_at is None):
        return []
    return [
        verb
        for verb, (reason, states) in DECISIONS.items()
        if run.state in states and account.count_of(reason.slug)
    ]


def _average(run: Run, account: Account | None) -> float | None:
    """Attempted messages a second over the whole run; None until it has ended."""
    if account is None or run.started_at is None or run.finished_at is None:
        return None
    secs = (run.finished_at - run.started_at).total_seconds()
    if account.attempted and secs > 0:
        return account.attempted / secs
    return None


def _limit_words(limit: throughput.Limit, rate: float | None) -> str:
    """ "as fast as the campaign allows"; "" while something else is slower."""
    if not limit.per_second or (rate is not None and rate < throughput.AT_LIMIT * limit.now):
        return ""
    about = {"rate": format_number(limit.per_second)}
    if limit.whose == "run":
        if rate:
            return _("as fast as the campaign allows")
        return _("the campaign allows %(rate)s a second") % about
    if rate:
        return _("as fast as the connection allows")
    return _("the connection allows %(rate)s a second") % about


def _took(run: Run) -> str:
    if run.started_at is None or run.finished_at is None:
        return ""
    return duration(run.finished_at - run.started_at)
