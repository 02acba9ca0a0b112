"""The crash drill: kill -9 for a process in the middle of a send, asked for from the run page,
on the sandbox only.

The web server and the worker may be different machines, so the request is a row; the watchdog of
the process that is named in it finds it and kills. What happens then is what happens after every
crash.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from campaigns.models import Run
from delivery.models import Drill, Shard
from tenants import audit
from tenants.models import User
from tenants.scope import every_workspace

# a watchdog looks twice a second; what it has not found by then is gone
PATIENCE = timedelta(seconds=15)


@transaction.atomic
def ask(run: Run, *, by: User, now: datetime) -> bool:
    """Ask for the death of one process that sends this run. False if there is none, if the run
    does not go to a sandbox, or if a drill is under way."""
    if (
        not can_drill(run)
        or Drill.objects.filter(run=run, killed_at=None, asked_at__gt=now - PATIENCE).exists()
    ):
        return False
    leased = Shard.objects.filter(run=run, state=Shard.State.LEASED, lease_until__gt=now)
    # Best one with messages in flight, so that there is something to account for.
    working = [
        shard.worker for shard in leased.order_by(F("window_from").asc(nulls_last=True), "pk")
    ]
    dead = set(
        Drill.objects.filter(run=run, worker__in=working)
        .exclude(killed_at=None)
        .values_list("worker", flat=True)
    )
    worker = next((name for name in working if name not in dead), None)
    if worker is None:
        return False
    Drill.objects.create(workspace=run.workspace, run=run, worker=worker, asked_at=now)
    audit.record(
        run.workspace,
        "crash drill started",
        run.campaign,
        by=by,
        detail={"run": run.pk, "worker": worker},
    )
    return True


def can_drill(run: Run) -> bool:
    return (
        run.state == Run.State.RUNNING and run.connection is not None and run.connection.is_sandbox
    )


def perform(group: int, now: datetime) -> list[int]:
    """Kill the processes of this process group that drills ask for; the watchdog of the group
    calls it. Returns the pids of the killed processes."""
    killed = []
    with every_workspace():
        waiting = Drill.objects.filter(killed_at=None, asked_at__gt=now - PATIENCE)
        for drill in waiting.select_related("run", "run__connection").defer(
            "run__connection__sealed"
        ):
            host, _, pid = drill.worker.rpartition(":")
            if (
                host == socket.gethostname()[:40]
                and pid.isdecimal()
                and _kill(drill, int(pid), group)
            ):
                Drill.objects.filter(pk=drill.pk).update(killed_at=now)
                killed.append(int(pid))
    return killed


def _kill(drill: Drill, pid: int, group: int) -> bool:
    """Kill the process if it works on the drill's run. It is stopped while we look: a moment
    later it may send another run to real phones. What it has not committed by then never
    happens."""
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(pid) != group:
            return False
        os.kill(pid, signal.SIGSTOP)
        try:
            leased = Shard.objects.filter(
                run=drill.run, state=Shard.State.LEASED, owner__startswith=f"{drill.worker}:"
            )
            is_ours = can_drill(drill.run) and leased.exists()
            os.kill(pid, signal.SIGKILL if is_ours else signal.SIGCONT)
        except BaseException:
            os.kill(pid, signal.SIGCONT)
            raise
        return is_ours
    return False
