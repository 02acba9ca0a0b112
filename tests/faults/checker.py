"""The sandbox's own log against the ledger, row by row."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from campaigns.models import Run

ANSWERED = frozenset({"accepted", "unknown"})  # how a recipient may end whatever was attacked
SILENCE_MOST_SECS = 60  # "sending resumes within 60 s"


class SandboxLog:
    """What the sandbox accepted, read from its own file as it grows (written at most 0.1 s
    behind)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "sandbox.sqlite3"
        self._seq = 0
        # run id → message id → when it was accepted, in epoch seconds, once for each copy
        self.sent: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def read(self) -> None:
        from pushpilot.lib.signing import read_reference

        with sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=20) as log:
            rows = log.execute(
                "SELECT seq, ref, at FROM accepted WHERE seq > ? ORDER BY seq", (self._seq,)
            ).fetchall()
        log.close()
        for seq, ref, at in rows:
            _, _, run_id, message_id = read_reference(ref, 4) or (0, 0, 0, 0)
            self.sent[run_id][message_id].append(at)
            self._seq = seq

    def moments(self, run_id: int) -> list[float]:
        return sorted(at for copies in self.sent[run_id].values() for at in copies)


@dataclass
class Report:
    """One run: what the ledger says beside what the sandbox saw, and what the attack itself
    found wrong."""

    recipients: int
    states: dict[str, int]
    ends: frozenset[str]  # what else the attack may make of a recipient: slugs of reasons
    attacks: int
    takeovers: int
    unseen: int  # accepted in the ledger alone
    unaccounted: int
    twice: int
    unflagged: int
    unknown: int
    most_unknown: int
    silence_secs: float
    seconds: float
    notes: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    may_send_twice: bool = False

    @property
    def astray(self) -> dict[str, int]:
        """Who still waits, or ended as the attack does not explain."""
        return {slug: n for slug, n in self.states.items() if slug not in ANSWERED | self.ends}

    @property
    def lost(self) -> int:
        return self.unseen + sum(self.astray.values())

    def problems(self) -> list[str]:
        """Everything that breaks a promise; nothing if the account balances."""
        checks = {
            f"{self.lost} lost: {_words({'unseen': self.unseen, **self.astray})}": self.lost,
            f"{self.unaccounted} unaccounted": self.unaccounted,
            f"{self.unflagged} second copies without a flag": self.unflagged,
            f"{self.twice} sent twice": self.twice and not self.may_send_twice,
            f"{self.unknown} unknown, at most {self.most_unknown} allowed": self.unknown
            > self.most_unknown,
            f"the states add up to {sum(self.states.values())}": sum(self.states.values())
            != self.recipients,
            f"nothing was sent for {self.silence_secs:.0f} s": self.silence_secs
            > SILENCE_MOST_SECS,
        }
        return [*self.found, *(says for says, is_wrong in checks.items() if is_wrong)]

    def line(self) -> str:
        notes = "".join(f" | {note}" for note in [*self.notes, *self.problems()])
        verdict = "BAD" if self.problems() else "ok "
        return (
            f"{verdict} {self.attacks} attacks, {self.takeovers} takeovers, {self.seconds:.0f} s: "
            f"{_words(self.states)} | lost {self.lost}, unaccounted {self.unaccounted}, twice "
            f"{self.twice}{notes}"
        )


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{slug} {n:,}" for slug, n in sorted(counts.items()) if n)


def compare(
    run: Run,
    log: SandboxLog,
    recipients: int,
    excused: int = 0,
    *,
    ends: frozenset[str] = frozenset(),
    is_orderly: bool = False,
) -> Report:
    """`excused`: messages that the weather made ambiguous; `ends`: see Report; `is_orderly`:
    nobody died, so no takeover excuses any."""
    from django.db.models import Sum

    from campaigns.audience.reasons import Reason
    from campaigns.models import AmbiguityPolicy
    from delivery.engine import record
    from delivery.engine.work import WINDOW
    from delivery.models import Message, Shard
    from tenants.scope import scope

    sent = log.sent[run.pk]
    with scope(run.workspace):
        rows = {row.pk: row for row in Message.objects.filter(run=run)}
        takeovers = Shard.objects.filter(run=run).aggregate(n=Sum("attempts"))["n"] or 0
        states = record.tally(run)
        found = differences(run)
    accounted = {Reason.ACCEPTED, Reason.UNKNOWN}
    moments = log.moments(run.pk)
    twice = [pk for pk, copies in sent.items() if len(copies) > 1]
    return Report(
        recipients=recipients,
        states=states,
        ends=ends,
        attacks=0,
        takeovers=takeovers,
        unseen=sum(row.reason == Reason.ACCEPTED and pk not in sent for pk, row in rows.items()),
        unaccounted=sum(pk not in rows or rows[pk].reason not in accounted for pk in sent),
        twice=len(twice),
        unflagged=sum(not rows[pk].possible_duplicate for pk in twice if pk in rows),
        unknown=states.get(Reason.UNKNOWN.slug, 0),
        most_unknown=excused + (0 if is_orderly else WINDOW * takeovers),
        silence_secs=max((after - before for before, after in pairwise(moments)), default=0.0),
        seconds=moments[-1] - moments[0] if moments else 0.0,
        found=found,
        may_send_twice=run.ambiguity_policy == AmbiguityPolicy.RESEND,
    )


def differences(run: Run) -> list[str]:
    """What the run page and the tallies say otherwise than the rows. Call in the run's
    workspace; while the run is under way, in one snapshot of the database."""
    from campaigns.models import Run
    from delivery.admin.run.figures import run_account
    from delivery.engine import record
    from delivery.models import Shard

    run = Run.objects.get(pk=run.pk)
    shards = list(Shard.objects.filter(run=run))
    page = run_account(run, shards)
    # Whoever still waited when the run was stopped is closed row by row, and counted when that is
    # done.
    if page is None or not (run.finished_at or run.state in (Run.State.RUNNING, Run.State.PAUSED)):
        return []
    states = record.tally(run)
    books = {"the run page": _folded((line.slug, line.count) for line in page.lines)}
    # of the laboratory's audience nobody is skipped before the shards are cut
    if run.state == Run.State.COMPLETED:
        books["the shards' tallies"] = _folded(
            item for shard in shards for item in shard.tally.items()
        )
    rows = _folded(states.items())
    found = [
        f"{who}: {_words(says)}; the rows: {_words(rows)}"
        for who, says in books.items()
        if says != rows
    ]
    if not page.is_balanced:
        found.append(f"the run page does not balance: {page.equation}")
    return found


def _folded(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Their sums; of who waits, counters do not know what for."""
    from campaigns.audience.reasons import WAITING
    from delivery.admin.run.figures import IN_FLIGHT

    waiting = {IN_FLIGHT, *(reason.slug for reason in WAITING)}
    total: Counter[str] = Counter()
    for slug, n in counts:
        total["waiting" if slug in waiting else slug] += n
    return dict(total)
