"""The circuit breaker: when too many of a run's last messages go wrong, it pauses before it harms more."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from delivery.channels.base import Outcome, Verdict

OF_LAST = 200
TROUBLE_MOST = 40  # answers 500 and 503 of OF_LAST: the provider needs a break, no person needs to decide
# Cause: (most of OF_LAST, what the owner reads). Old lists lose a third of their devices between two sends, so gone
# devices alone are no alarm; more than half look like the wrong Firebase project, and each of them is retired.
CAUSES = {
    "ambiguous": (40, "nobody knows whether the provider got them: the network or the provider is in trouble"),
    "refused": (40, "the provider refused them for good"),
    "mismatch": (40, "these devices belong to another Firebase project than the connection's"),
    "gone": (100, "the devices are gone; is this the right Firebase project?"),
}


class Breaker:
    """Watches one worker's outcomes of a run. `waived`: causes that a person has resumed the run in spite of; `last`:
    the `memory` of whoever handed a shard of the run back before: a slow run changes hands every few messages."""

    def __init__(self, waived: Iterable[str], last: str = "") -> None:
        self._causes = CAUSES.keys() - set(waived)
        self._last = deque(last, maxlen=OF_LAST)
        self._counts = Counter(last)

    def note(self, outcome: Outcome) -> str:
        """The cause that is over its limit now, or nothing."""
        if len(self._last) == OF_LAST:
            self._counts[self._last[0]] -= 1
        cause = _cause(outcome)
        letter = _letter(cause)
        self._last.append(letter)
        self._counts[letter] += 1
        return cause if cause in self._causes and self._counts[letter] > CAUSES[cause][0] else ""

    @property
    def is_in_trouble(self) -> bool:
        return self._counts[_letter("trouble")] > TROUBLE_MOST

    @property
    def memory(self) -> str:
        """The last outcomes, a letter each."""
        return "".join(self._last)

    def sentence(self, cause: str) -> str:
        return f"{self._counts[_letter(cause)]} of the last {len(self._last)} messages: {CAUSES[cause][1]}."


def _letter(cause: str) -> str:
    return cause[:1] or "."


def _cause(outcome: Outcome) -> str:
    match outcome.verdict:
        case Verdict.MAYBE_LATER:
            return "trouble"
        case Verdict.AMBIGUOUS:
            return "ambiguous"
        case Verdict.REFUSED:
            return "refused"
        case Verdict.GONE:
            return "mismatch" if outcome.code == "SENDER_ID_MISMATCH" else "gone"
    return ""
