"""Reads outcomes: what each one means for its row, and what it demands of every worker."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from campaigns.audience.reasons import Reason
from campaigns.models import AmbiguityPolicy, Run
from delivery.engine import pace, record
from delivery.engine.answers import answer
from delivery.engine.breaker import HANDFUL, Breaker
from delivery.engine.compose import Recipient
from delivery.engine.record import Result
from delivery.engine.statements import plain, stamp
from delivery.models import Reach
from delivery.providers.base import Outcome, Provider, Verdict

JITTER = (1.0, 1.3)  # of a wait
BREAKS_APART = timedelta(seconds=1)  # answers of one burst ask for one break
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Demands:
    """What outcomes ask of the run and of the connection. The transaction that writes the
    outcomes writes their demands, too, and they are cleared after its commit: a failed
    transaction loses none of them."""

    pause_because: str = ""  # the run is to be paused
    tripped: str = ""  # the breaker's cause for the pause
    break_until: datetime | None = None  # the connection is to be closed until then
    is_throttled: bool = False  # and to go on more slowly
    news: dict[str, Outcome | None] = field(default_factory=dict)  # for delivery.engine.reach
    is_paused: bool = False
    broken_until: datetime = LONG_AGO  # the last break that was written

    @property
    def is_urgent(self) -> bool:
        """Whether other workers should know at once."""
        return bool(self.pause_because or self.break_until)

    def pause(self, why: str, tripped: str = "") -> None:
        """Pause the run; the first cause counts."""
        if not self.is_paused:
            self.is_paused, self.pause_because, self.tripped = True, plain(why, 500), tripped

    def ask_for_break(self, until: datetime, *, is_throttled: bool = False) -> None:
        """Nothing goes over the connection before `until`."""
        if until - self.broken_until >= BREAKS_APART:
            self.break_until = max(until, self.break_until or until)
            self.is_throttled |= is_throttled

    def clear(self) -> None:
        """Forget what has been written."""
        self.broken_until = self.break_until or self.broken_until
        self.pause_because, self.break_until, self.is_throttled, self.news = "", None, False, {}


class OutcomeReader:
    """Reads one worker's outcomes of a run. `known`: what the connection's credentials have
    proven before."""

    def __init__(self, run: Run, provider: Provider[Any], known: Mapping[str, Reach]) -> None:
        self.run, self.provider, self.manners = run, provider, provider.manners
        self.demands = Demands()
        # nothing is sent to them now
        self.held = {platform: one for platform, one in known.items() if one.held_since}
        self.proven = {platform for platform, one in known.items() if one.proven_at}
        self.breaker = Breaker(
            run.waived, run.last_outcomes, provider.alarms, is_proven=bool(self.proven)
        )
        # endpoint → its platform and the provider's code
        self.gone: dict[int, tuple[str, str]] = {}
        # of a platform's push service, since its last success
        self._faults: Counter[str] = Counter()

    def read(self, recipient: Recipient, outcome: Outcome, now: datetime, at: str) -> Result:
        """Return what the outcome means for its row; collect what else it demands. `at` is `now`
        as it is written."""
        result = Result(recipient.message_id, Reason.REJECTED, attempted=1, attempted_at=at)
        if outcome.verdict is Verdict.ACCEPTED:
            result.reason = Reason.ACCEPTED
            result.provider_id = plain(outcome.provider_id.rpartition("/")[2], 200)
            self._prove(recipient)
            self.breaker.note(outcome)
            return result
        result.error_code = plain(outcome.code, 64)
        # a broadcast's target is no secret
        address = recipient.value if recipient.endpoint_id is not None else ""
        result.answer = answer(now, outcome.verdict, outcome.code, outcome.detail, address)
        match outcome.verdict:
            case Verdict.GONE:
                result.reason = Reason.ENDPOINT_GONE
                if recipient.endpoint_id is not None:
                    self.gone[recipient.endpoint_id] = recipient.platform, result.error_code
            case Verdict.AMBIGUOUS:
                result.reason = Reason.UNKNOWN
                is_resend = self.run.ambiguity_policy == AmbiguityPolicy.RESEND
                if is_resend and recipient.duplicates < record.MOST_COPIES:
                    self._retry(result, recipient, outcome, now)
            case Verdict.LATER | Verdict.ROW_LATER | Verdict.MAYBE_LATER:
                self._retry(result, recipient, outcome, now)
            case Verdict.PAYLOAD_WRONG if self.run.direct:
                # the text of one request: it must not stop everybody else's
                outcome = replace(outcome, verdict=Verdict.REFUSED)
            case Verdict.BROKEN | Verdict.PAYLOAD_WRONG:
                self._pause(result, outcome, at)
            case Verdict.PLATFORM_BROKEN:
                self._hold_platform(recipient, result, outcome)
        if result.reason != Reason.DEFERRED:  # a deferred row has no outcome yet
            self._watch(outcome, now)
        return result

    def _watch(self, outcome: Outcome, now: datetime) -> None:
        """Pause the run or rest the connection if too many of the last messages went wrong."""
        if cause := self.breaker.note(outcome):
            self.demands.pause(self.breaker.sentence(cause), cause)
        elif outcome.verdict is Verdict.MAYBE_LATER and self.breaker.is_in_trouble:
            asked = timedelta(seconds=outcome.retry_after_secs or 0)
            self.demands.ask_for_break(now + max(self.manners.trouble_wait, asked))

    def _retry(self, result: Result, recipient: Recipient, outcome: Outcome, now: datetime) -> None:
        """Schedule a retry. A message that certainly never arrived counts no attempt. One that
        may have arrived waits twice as long each time, jittered, and is rejected with the
        provider's last code after `retries_most` tries."""
        wait_secs = outcome.retry_after_secs or self.manners.retry_wait_secs
        if outcome.verdict in (Verdict.LATER, Verdict.ROW_LATER):
            due = now + min(timedelta(seconds=wait_secs), pace.LONGEST_BREAK)
            if outcome.verdict is Verdict.LATER:
                self.demands.ask_for_break(due, is_throttled=outcome.is_throttled)
            result.attempted = 0
        else:
            jitter = random.uniform(*JITTER)  # noqa: S311 - spreads retries, hides nothing
            wait_secs = max(wait_secs, self.manners.retry_wait_secs * 2**recipient.retries)
            due = now + min(timedelta(seconds=wait_secs * jitter), pace.LONGEST_BREAK)
            result.duplicate = result.retried = 1
            if recipient.retries + 1 >= self.manners.retries_most:
                return
        result.reason, result.due_at = Reason.RETRY_SCHEDULED, stamp(due)

    def _pause(self, result: Result, outcome: Outcome, at: str) -> None:
        """Pause the run: the connection or the content is wrong for every recipient."""
        # not this message's fault: it goes out after the resume
        if outcome.verdict is Verdict.BROKEN:
            result.reason, result.due_at, result.attempted = Reason.RETRY_SCHEDULED, at, 0
        self.demands.pause(f"{outcome.code}: {outcome.detail}")

    def _prove(self, recipient: Recipient) -> None:
        """Note that the provider accepted a message for an address: the account is right, the
        platform is reached."""
        platform = recipient.platform
        if self._faults:
            del self._faults[platform]
        if recipient.endpoint_id is not None and (
            platform not in self.proven or platform in self.held
        ):
            self.proven.add(platform)
            self.held.pop(platform, None)
            self.breaker.is_proven = True
            self.demands.news[platform] = None

    def _hold_platform(self, recipient: Recipient, result: Result, outcome: Outcome) -> None:
        """Defer the row, because the platform's own push service refuses the provider. On a
        proven platform only a HANDFUL of refusals in a row counts: fewer may be one app without
        a key."""
        platform = recipient.platform
        if platform not in self.provider.remedies:
            return
        self._faults[platform] += 1
        is_known = platform in self.held
        if not is_known and platform in self.proven and self._faults[platform] < HANDFUL:
            return
        if not is_known:
            self.held[platform] = Reach(platform=platform, code=result.error_code)
            self.demands.news[platform] = outcome
        result.reason, result.attempted = Reason.DEFERRED, 0
