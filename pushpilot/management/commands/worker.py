"""`manage.py worker`: a django-q2 cluster and the watchdog that restarts it when it hangs.

If the process that holds the queue's lock is killed (kill -9, OOM), its cluster hangs for good
and ignores SIGTERM (reproduced). So the cluster runs in a process group of its own; when its
heartbeat, a row that only a q2 task writes, stops, the whole group is killed and started again.
It ends when the watchdog closes its shutdown pipe or dies.
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
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from delivery.engine import drill
from delivery.engine.heartbeat import PIPE_VARIABLE, WORKER_VARIABLE
from delivery.models import Heartbeat
from pushpilot import cluster, health, schedules
from pushpilot.lib import wake

logger = logging.getLogger(__name__)

# Clusters share one queue, so which of them runs a heartbeat is chance: of 20 bells in this time
# none reaches a living, idle cluster with a probability of 2e-9. Busy clusters beat from inside
# their slices.
STALE = timedelta(seconds=40)
# A cluster that dies before it did anything will mostly do so again. "Sending resumes within 60 s"
# needs the bound.
LONGEST_WAIT_SECS = 30


class Command(BaseCommand):
    help = (
        "Runs the background work: sending, schedules, digesting events. Start as many as you like."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--stale-secs",
            type=float,
            default=STALE.total_seconds(),
            help="silence that means hung",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ends with 0 when everything was handed back, with 1 when it had to be killed (the
        account still balances)."""
        with contextlib.suppress(DatabaseError):  # one that is away is waited for
            if left := health.unapplied():
                raise CommandError(f"{left} {health.MIGRATE}")
        if not Watchdog(timedelta(seconds=options["stale_secs"])).run():
            raise CommandError(
                "The work did not end in time and was killed; what was in flight is settled later."
            )


class Watchdog:
    def __init__(self, stale: timedelta) -> None:
        self.name = f"{socket.gethostname()[:60]}:{os.getpid()}"
        self.stale = stale
        self.cluster: subprocess.Popen[bytes] | None = None
        self.started = timezone.now()
        self.is_stopping = False
        self.is_registered = False
        self.failures = 0  # clusters in a row that ended before their first heartbeat
        self.start_at = 0.0  # monotonic
        self._shutdown_pipe: int | None = None

    def run(self) -> bool:
        """Keep a cluster alive and ring, until SIGTERM or SIGINT. Whether it ended in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        next_sweep = next_beat = time.monotonic()
        is_away = False
        while not self.is_stopping:
            now = time.monotonic()
            if self.cluster is not None and (self.cluster.poll() is not None or self._is_hung()):
                self._kill_remains(now)
            if self.cluster is None and now >= self.start_at:
                self._start()
                next_sweep = now  # whatever the one before it has lost
            try:
                if not self.is_registered:
                    schedules.register()
                    self.is_registered = True
                if now >= next_beat:
                    next_beat = now + schedules.BEAT.total_seconds()
                    # a busy cluster beats from inside its slices and takes no bell
                    if not self._is_fresh():
                        wake.ring("heartbeat")
                if now >= next_sweep:
                    next_sweep = now + schedules.SWEEP.total_seconds()
                    wake.ring("sweep")
                if self.cluster is not None and drill.perform(self.cluster.pid, timezone.now()):
                    logger.warning("worker %s: a process was killed: crash drill", self.name)
                is_away = False
            except DatabaseError as error:
                if not is_away:  # once for each outage, not twice a second
                    logger.warning(
                        "the database does not answer; the bells wait: %s",
                        str(error).partition("\n")[0],
                    )
                is_away = True
            close_old_connections()
            time.sleep(0.5)
        is_in_order = self._end_cluster()
        # Without a row: who still has one an hour later has died.
        with contextlib.suppress(DatabaseError):
            Heartbeat.objects.filter(worker=self.name).delete()
        return is_in_order

    def _stop(self, number: int, frame: Any) -> None:
        self.is_stopping = True

    def _last_beat(self) -> datetime | None:
        """Of the cluster that runs now. Raises DatabaseError."""
        rows = Heartbeat.objects.filter(worker=self.name, beat_at__gt=self.started)
        return rows.values_list("beat_at", flat=True).first()

    def _is_fresh(self) -> bool:
        beat = self._last_beat()
        return beat is not None and timezone.now() - beat < 2 * schedules.BEAT

    def _is_hung(self) -> bool:
        """No heartbeat for `stale`, counted from the start of the cluster at the earliest."""
        try:
            return timezone.now() - (self._last_beat() or self.started) > self.stale
        except DatabaseError:
            return False

    def _start(self) -> None:
        # neither is inherited unless we say so: our end must be the only one
        theirs, ours = os.pipe()
        try:
            self.cluster = subprocess.Popen(
                [sys.executable, "-m", cluster.__name__],
                cwd=settings.BASE_DIR,
                start_new_session=True,
                pass_fds=(theirs,),
                env={**os.environ, WORKER_VARIABLE: self.name, PIPE_VARIABLE: str(theirs)},
            )
        finally:
            os.close(theirs)
        self._shutdown_pipe = ours
        self.started = timezone.now()

    def _kill_remains(self, now: float) -> None:
        """Kill what is left of a cluster that died or hangs, and decide when the next one
        starts."""
        has_worked = False
        with contextlib.suppress(DatabaseError):
            has_worked = self._last_beat() is not None
        self._kill_group()
        self.failures = 0 if has_worked else self.failures + 1
        wait_secs = 0
        if self.failures:
            wait_secs = min(LONGEST_WAIT_SECS, 2 ** (self.failures - 1))
        self.start_at = now + wait_secs
        code = None
        if self.cluster:
            code = self.cluster.returncode
        logger.error(
            "worker %s: the cluster ended (%s); the next one starts in %s s",
            self.name,
            code,
            wait_secs,
        )
        self.cluster = None

    def _kill_group(self) -> None:
        """Also the orphans that a dead parent left: they are in its process group."""
        self._close_shutdown_pipe()
        if self.cluster is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.cluster.pid, signal.SIGKILL)
        self.cluster.wait()

    def _close_shutdown_pipe(self) -> None:
        if self._shutdown_pipe is not None:
            os.close(self._shutdown_pipe)
            self._shutdown_pipe = None

    def _end_cluster(self) -> bool:
        """The workers write down what is in flight and hand back their shards; kill what does
        not end. Whether it ended by itself."""
        self._close_shutdown_pipe()
        if self.cluster is None:
            return True
        try:
            is_in_order = self.cluster.wait(cluster.STOP_SECS) == 0
        except subprocess.TimeoutExpired:
            is_in_order = False
        self._kill_group()
        return is_in_order
