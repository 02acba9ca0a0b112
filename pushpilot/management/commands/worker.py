"""`manage.py worker`: a django-q2 cluster and the watchdog that restarts it when it hangs.

A cluster of which the process holding the queue's lock is killed (kill -9, OOM) hangs for good and ignores SIGTERM,
and a dead sentinel leaves orphans behind (both reproduced). So the cluster runs in a process group of its own; when its
heartbeat, a row that only a q2 task writes, stops, the whole group is killed and started again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from delivery.heartbeat import WORKER_VARIABLE
from delivery.models import Heartbeat
from pushpilot import schedules
from pushpilot.lib import wake

logger = logging.getLogger(__name__)

# Clusters share one queue, so which of them runs a heartbeat is chance: of 20 bells in this time none reaches a living,
# idle cluster with a probability of 2e-9. Busy clusters beat from inside their slices.
STALE = timedelta(seconds=40)
STOP_SECS = 40  # a slice of 20 s and the answers to its last window


class Command(BaseCommand):
    help = "Runs the background work: sending, schedules, digesting events. Start as many as you like."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stale-secs", type=float, default=STALE.total_seconds(), help="silence that means hung")

    def handle(self, *args: Any, **options: Any) -> None:
        schedules.register()
        Watchdog(timedelta(seconds=options["stale_secs"])).run()


class Watchdog:
    def __init__(self, stale: timedelta) -> None:
        self.name = f"{socket.gethostname()[:60]}:{os.getpid()}"
        self.stale = stale
        self.cluster: subprocess.Popen[bytes] | None = None
        self.started = timezone.now()
        self.is_stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT: keep a cluster alive, ring the heartbeat and the sweep."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        next_sweep = time.monotonic()
        next_beat = time.monotonic()
        while not self.is_stopping:
            now = time.monotonic()
            if self.cluster is None or self.cluster.poll() is not None or self._is_hung():
                self._restart()
            try:
                if now >= next_beat:
                    next_beat = now + schedules.BEAT.total_seconds()
                    wake.ring("heartbeat")
                if now >= next_sweep:
                    next_sweep = now + schedules.SWEEP.total_seconds()
                    wake.ring("sweep")
            except DatabaseError:
                logger.warning("the database does not answer; the bells wait", exc_info=True)
            close_old_connections()
            time.sleep(0.5)
        self._end_cluster()
        # Without a row: who still has one an hour later has died.
        with contextlib.suppress(DatabaseError):
            Heartbeat.objects.filter(worker=self.name).delete()

    def _stop(self, number: int, frame: Any) -> None:
        self.is_stopping = True

    def _is_hung(self) -> bool:
        """No heartbeat for `stale`, counted from the start of the cluster at the earliest."""
        try:
            beat = Heartbeat.objects.filter(worker=self.name).values_list("beat_at", flat=True).first()
        except DatabaseError:
            return False
        return timezone.now() - max(beat or self.started, self.started) > self.stale

    def _restart(self) -> None:
        if self.cluster is not None:
            logger.error("worker %s: the cluster is dead or hangs; starting it again", self.name)
            self._kill_group()
        self.cluster = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"],
            start_new_session=True,
            env={**os.environ, WORKER_VARIABLE: self.name},
        )
        self.started = timezone.now()

    def _kill_group(self) -> None:
        """Also the orphans that a dead parent left: they are in its process group."""
        if self.cluster is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.cluster.pid, signal.SIGKILL)
        self.cluster.wait()

    def _end_cluster(self) -> None:
        """Let the workers finish their slice; kill what does not end."""
        if self.cluster is None:
            return
        self.cluster.terminate()
        try:
            self.cluster.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            logger.warning("worker %s: the cluster did not end within %s s", self.name, STOP_SECS)
        self._kill_group()
