"""How often somebody may call: a counter per minute in the shared cache.

ninja's own throttles keep their state on one instance that all threads share, so a client's hit
was booked on another client (reproduced with 1.7).
"""

from __future__ import annotations

import logging
import math
import threading
import time

from django.core.cache import cache

logger = logging.getLogger(__name__)

PERIOD_SECS = 60
# A process buys hits from the shared counter in blocks of this part of the limit, so that the cache
# is asked a few hundred times a minute at most: one look-up in the file cache costs as much as the
# rest of a small request.
_BLOCKS = 200
_KEYS_KEPT = 10_000


class Limiter:
    """At most `per_minute` hits per key and clock minute, over all processes that share the cache.

    What a process bought and did not use is lost at the end of the minute: the limit errs on the
    strict side by at most one block (0.5 %) a process.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._bought: dict[str, tuple[int, int]] = {}  # key → (window, hits left)
        self._lock = threading.Lock()

    def hit(self, key: str, per_minute: int) -> int:
        """Count one hit. 0 if it is allowed, else the seconds after which to try again."""
        now = time.time()
        window = int(now // PERIOD_SECS)
        with self._lock:
            bought_in, left = self._bought.get(key, (window, 0))
            if bought_in == window and left > 0:
                self._bought[key] = (window, left - 1)
                return 0
            refused = bought_in == window and left < 0
        block = max(1, per_minute // _BLOCKS)
        if not refused and self._buy(f"limit:{self.name}:{key}:{window}", block) <= per_minute:
            self._remember(key, window, block - 1)
            return 0
        self._remember(key, window, -1)
        return max(1, math.ceil((window + 1) * PERIOD_SECS - now))

    def _remember(self, key: str, window: int, left: int) -> None:
        with self._lock:
            if len(self._bought) >= _KEYS_KEPT:
                self._bought.clear()
            self._bought[key] = (window, left)

    @staticmethod
    def _buy(counter: str, block: int) -> int:
        """The counter after adding a block to it; 0, which lets the caller in, while the cache
        is out of reach."""
        try:
            if cache.add(counter, block, timeout=2 * PERIOD_SECS):
                return block
            return cache.incr(counter, block)
        # each cache has errors of its own; a limiter that fails must not refuse real events
        except Exception:
            logger.warning("the cache does not answer; calls are not limited", exc_info=True)
            return 0
