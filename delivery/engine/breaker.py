"""The circuit breaker: pauses a run when too many of its last messages go wrong."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from delivery.providers.base import Outcome, Verdict

OF_LAST = 200
# so many messages of a cause are borne, whatever their share: a run to three people never trips
LEAST = 10
HANDFUL = 5  # answers that speak against our own account, before it has ever been taken
# answers 500 and 503 of OF_LAST: the provider needs a break, no person needs to decide
TROUBLE_MOST = 40
# Cause: (share of the last messages that is still borne beyond LEAST, what the owner reads). A run
# keeps the words, so they are English. Old lists lose a third of their addresses between two sends,
# so gone addresses alone are no alarm: with these limits a third of them trips one run in twenty
# thousand, and 19 of 19 trip at once.
CAUSES = {
    "ambiguous": (
        0.15,
        "the provider may have received them or not: the network or the provider is in trouble",
    ),
    "refused": (0.15, "the provider refused them for good"),
    "mismatch": (
        0.45,
        "the addresses belong to another sender than this connection. No address was retired. "
        "Connect the right account under Connections, then resume, and send again to the rejected "
        "recipients",
    ),
    "gone": (0.45, "the addresses are gone; is this the right account?"),
}
_CAUSE_OF = {
    Verdict.MAYBE_LATER: "trouble",
    Verdict.AMBIGUOUS: "ambiguous",
    Verdict.REFUSED: "refused",
    Verdict.PLATFORM_BROKEN: "refused",  # a row alone; where its platform is held, nothing is noted
    Verdict.WRONG_SENDER: "mismatch",
    Verdict.GONE: "gone",
}


class Breaker:
    """Watches one worker's outcomes of a run. `waived`: causes that a person has resumed the run
    in spite of; `last`: the `memory` of the worker that handed a shard of the run back before,
    because a slow run changes hands every few messages. `words`: the provider's own for a cause.
    `is_proven`: the provider has taken messages of this account for single addresses; until then
    a HANDFUL of addresses that belong to another sender trips."""

    def __init__(
        self,
        waived: Iterable[str],
        last: str = "",
        words: Mapping[str, str] | None = None,
        *,
        is_proven: bool = True,
    ) -> None:
        self._words = {**{cause: said for cause, (_, said) in CAUSES.items()}, **(words or {})}
        self._causes = CAUSES.keys() - set(waived)
        self._last = deque(last, maxlen=OF_LAST)
        self._counts = Counter(last)
        self.is_proven = is_proven

    def note(self, outcome: Outcome) -> str:
        """Count an outcome; return the cause that is over its limit now, or ""."""
        if len(self._last) == OF_LAST:
            self._counts[self._last[0]] -= 1
        cause = _CAUSE_OF.get(outcome.verdict, "")
        letter = _letter(cause)
        self._last.append(letter)
        self._counts[letter] += 1
        if cause in self._causes and self._counts[letter] > self._most(cause):
            return cause
        return ""

    def _most(self, cause: str) -> float:
        if cause == "mismatch" and not self.is_proven:
            return HANDFUL - 1
        return LEAST + CAUSES[cause][0] * len(self._last)

    @property
    def is_in_trouble(self) -> bool:
        return self._counts[_letter("trouble")] > TROUBLE_MOST

    @property
    def memory(self) -> str:
        """The last outcomes, a letter each."""
        return "".join(self._last)

    def sentence(self, cause: str) -> str:
        return (
            f"{self._counts[_letter(cause)]} of the last {len(self._last)} messages: "
            f"{self._words[cause]}."
        )


def _letter(cause: str) -> str:
    return cause[:1] or "."
