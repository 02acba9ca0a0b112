"""django-q2."""

from __future__ import annotations

import multiprocessing
from typing import Any


def free_results(sentinel: Any) -> None:
    """Give the queue of results a new lock. A monitor that is killed while it waits for results
    takes the lock with it: the next one would save and acknowledge nothing, and never end. It is
    the only reader, so it may have its own."""
    sentinel.result_queue._rlock = multiprocessing.Lock()
