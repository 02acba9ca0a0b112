"""Proof that a worker's cluster takes and runs tasks: a row that only code inside a q2 task writes."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import timedelta

from django.db import DatabaseError
from django.utils import timezone

from delivery.models import Heartbeat

WORKER_VARIABLE = "PUSHPILOT_WORKER"
LEAST_SECS = 2.0
SILENT = timedelta(seconds=60)  # a worker that lives beats every few seconds
_last = 0.0


def beat() -> None:
    """Write this cluster's heartbeat, at most every LEAST_SECS. Does nothing outside of `manage.py worker`.

    It names the cluster that runs the task, not the one that asked for it: clusters share one queue.
    """
    global _last
    worker, now = os.environ.get(WORKER_VARIABLE), time.monotonic()
    if worker and now - _last >= LEAST_SECS:
        _last = now
        # A busy database must not cost the caller, who has answers to write down, more than a heartbeat.
        with contextlib.suppress(DatabaseError):
            Heartbeat.objects.update_or_create(worker=worker, defaults={"beat_at": timezone.now()})
