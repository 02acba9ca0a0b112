"""Signs between a task and the watchdog of its cluster. Alive: the task writes a row, which only
code inside a q2 task does. Stop: the watchdog closes its end of the shutdown pipe, and every
task sees the end of file."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import time
from datetime import timedelta

from django.db import DatabaseError
from django.utils import timezone

from delivery.models import Heartbeat

WORKER_VARIABLE = "PUSHPILOT_WORKER"
PIPE_VARIABLE = "PUSHPILOT_SHUTDOWN_PIPE"  # the number of the end that the cluster inherits
LEAST_SECS = 2.0
SILENT = timedelta(seconds=60)  # a worker that lives beats every few seconds
_last = 0.0


def beat() -> None:
    """Write this cluster's heartbeat, at most every LEAST_SECS. Does nothing outside of
    `manage.py worker`.

    It names the cluster that runs the task, not the one that asked for it: clusters share one
    queue.
    """
    global _last
    worker, now = os.environ.get(WORKER_VARIABLE), time.monotonic()
    if worker and now - _last >= LEAST_SECS:
        _last = now
        # A busy database must not cost the caller, who has answers to write down, more than a
        # heartbeat.
        with contextlib.suppress(DatabaseError):
            at = timezone.now()
            first = {"started_at": at, "beat_at": at}
            Heartbeat.objects.update_or_create(
                worker=worker, defaults={"beat_at": at}, create_defaults=first
            )


def is_stopping() -> bool:
    """Whether the worker is being stopped, or its watchdog died: start nothing new, write down
    what is in flight.

    About a microsecond, so ask in every loop that may last; never True outside of `manage.py
    worker`. Nothing is ever written into the pipe: its end of file, which a kill -9 of the
    watchdog brings too, is seen by all processes of the cluster for good. A lock or a q2 event
    would not do: a process that is killed while it holds one stops all others.
    """
    pipe = _shutdown_pipe(os.environ.get(PIPE_VARIABLE, ""))
    return pipe is not None and bool(pipe.poll(0))


@functools.cache
def _shutdown_pipe(number: str) -> select.poll | None:
    if not number:
        return None
    pipe = select.poll()
    pipe.register(int(number), select.POLLIN | select.POLLHUP)
    return pipe
