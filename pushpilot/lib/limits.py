"""How often somebody may call: a counter per minute in the shared cache.

ninja's own throttles keep their state on one instance that all threads share, so a client's hit
was booked on another client (reproduced with 1.7).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import NamedTuple
from weakref import WeakSet

from django.core.cache import cache
from django.http import HttpRequest
from django.utils.translation import ngettext

from pushpilot.lib.display import format_number
from pushpilot.lib.problems import Problem

logger = logging.getLogger(__name__)

PERIOD_SECS = 60
# A process buys hits from the shared counter in blocks of this part of the limit, so that the cache
# is asked a few hundred times a minute at most: one look-up in the file cache costs as much as the
# rest of a small request.
_BLOCKS = 200
_KEYS_KEPT = 10_000


_limiters: WeakSet[Limiter] = WeakSet()


def forget_all() -> None:
    """What this process has bought. Clear the cache too, and everybody begins anew."""
    for limiter in _limiters:
        limiter._bought.clear()


class Standing(NamedTuple):
    """What a caller may still do in this minute. `remaining` is below zero for a refused hit, and
    never higher than the truth."""

    limit: int
    remaining: int
    reset_secs: int

    @property
    def is_refused(self) -> bool:
        return self.remaining < 0

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.remaining)),
            "RateLimit-Reset": str(self.reset_secs),
        }


class Limiter:
    """At most `per_minute` hits per key and clock minute, over all processes that share the cache.

    What a process bought and did not use is lost at the end of the minute: the limit errs on the
    strict side by at most one block (0.5 %) a process.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        # key → (window, hits left of the block, hits that others can still buy)
        self._bought: dict[str, tuple[int, int, int]] = {}
        self._lock = threading.Lock()
        _limiters.add(self)

    def spend(self, request: HttpRequest, key: str, per_minute: int) -> None:
        """Count one hit of the request; the API puts the standing into the headers of its answer.
        Raises Problem 429."""
        standing = self.hit(key, per_minute)
        request.standing = standing  # type: ignore[attr-defined]
        if standing.is_refused:
            detail = ngettext(
                "More than %(count)s request in a minute. Try again later.",
                "More than %(count)s requests in a minute. Try again later.",
                per_minute,
            ) % {"count": format_number(per_minute)}
            headers = {"Retry-After": str(standing.reset_secs)}
            raise Problem(429, "too_many_requests", detail, headers=headers)

    def hit(self, key: str, per_minute: int) -> Standing:
        """Count one hit."""
        now = time.time()
        window = int(now // PERIOD_SECS)
        reset_secs = max(1, math.ceil((window + 1) * PERIOD_SECS - now))
        with self._lock:
            bought_in, left, others = self._bought.get(key, (window, 0, 0))
            if bought_in == window and left > 0:
                self._bought[key] = (window, left - 1, others)
                return Standing(per_minute, left - 1 + others, reset_secs)
            refused = bought_in == window and left < 0
        block = max(1, per_minute // _BLOCKS)
        if not refused:
            sold = self._buy(f"limit:{self.name}:{key}:{window}", block)
            if sold <= per_minute:
                self._remember(key, window, block - 1, per_minute - sold)
                return Standing(per_minute, block - 1 + per_minute - sold, reset_secs)
        self._remember(key, window, -1, 0)
        return Standing(per_minute, -1, reset_secs)

    def _remember(self, key: str, window: int, left: int, others: int) -> None:
        with self._lock:
            if len(self._bought) >= _KEYS_KEPT:
                self._bought.clear()
            self._bought[key] = (window, left, others)

    @staticmethod
    def _buy(counter: str, block: int) -> int:
        """The counter after adding a block to it; 0, which lets the caller in, while the cache
        is out of reach."""
        try:
            if cache.add(counter, block, timeout=2 * PERIOD_SECS):
                return block
            return int(cache.incr(counter, block))
        # each cache has errors of its own; a limiter that fails must not refuse real events
        except Exception:
            logger.warning("the cache does not answer; calls are not limited", exc_info=True)
            return 0
