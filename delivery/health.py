"""What this layer can check of itself: workers beat, the queue drains, shards are worked on,
runs start in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django_q.models import OrmQ

from campaigns.models import Run
from delivery.engine import installation
from delivery.engine.heartbeat import SILENT
from delivery.models import Heartbeat, Installation, Shard
from pushpilot.lib.display import counted, format_number, how_long
from pushpilot.lib.health import Line, broken, ok, warning
from tenants.scope import every_workspace

START_A_WORKER = "Start a worker: manage.py worker."
TOO_SLOW = "The workers cannot keep up: start another one, or raise WORKERS."
# A worker that stops in order takes its heartbeat along; one that died leaves it. Said for this
# long.
MISSED = timedelta(hours=1)
QUEUE_SLOW, QUEUE_STUCK = timedelta(seconds=60), timedelta(minutes=5)
# Longer than the sweep that finds expired leases and lost bells takes to come by, twice.
SHARDS_STUCK = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Worker:
    """`age`: since its last beat; `lived`: from its first beat to now, or to its last one if it
    is silent."""

    name: str
    age: timedelta
    is_alive: bool
    lived: timedelta | None


def workers_seen(now: datetime) -> list[Worker]:
    """Every worker with a heartbeat row, the freshest first."""
    found = []
    for beat in Heartbeat.objects.order_by("-beat_at"):
        is_alive = now - beat.beat_at <= SILENT
        until = now if is_alive else beat.beat_at
        lived = until - beat.started_at if beat.started_at else None
        found.append(Worker(beat.worker, now - beat.beat_at, is_alive, lived))
    return found


@dataclass(frozen=True, slots=True)
class Lag:
    """What could be taken now and is not, for how long the oldest has waited, and how much is
    for later."""

    waiting: int
    age: timedelta
    later: int = 0


def queue_lag(now: datetime) -> Lag:
    """Bells. One that is at work is locked into the future, one for later too."""
    found = OrmQ.objects.filter(lock__lte=now).aggregate(n=Count("pk"), oldest=Min("lock"))
    return Lag(found["n"], now - found["oldest"] if found["n"] else timedelta())


def shard_lag(now: datetime) -> Lag:
    """Shards of running runs; those for later wait for a retry or for their pace."""
    ready = Q(not_before__lte=now)
    with every_workspace():
        found = Shard.objects.filter(
            state=Shard.State.OPEN, run__state=Run.State.RUNNING
        ).aggregate(
            n=Count("pk", filter=ready),
            oldest=Min("not_before", filter=ready),
            later=Count("pk", filter=~ready),
        )
    return Lag(found["n"], now - found["oldest"] if found["n"] else timedelta(), found["later"])


def leases(most: int) -> list[Shard]:
    """The shards that are being worked on, those of the silent first; each with its run and
    workspace, without any text."""
    with every_workspace():
        leased = Shard.objects.filter(state=Shard.State.LEASED).select_related("run", "workspace")
        return list(leased.order_by("lease_until", "pk")[:most])


def speed_up(now: datetime) -> str:
    """What to do about work that is not done in time."""
    is_alive = Heartbeat.objects.filter(beat_at__gte=now - SILENT).exists()
    return TOO_SLOW if is_alive else f"No worker is running. {START_A_WORKER}"


def workers(now: datetime) -> Line:
    title, seen = "Workers", workers_seen(now)
    alive = [worker for worker in seen if worker.is_alive]
    if not alive:
        last = (
            f"the last one was heard {how_long(seen[0].age)} ago" if seen else "none was ever heard"
        )
        return broken(title, f"No worker is running: {last}. Nothing is sent.", START_A_WORKER)
    running = (
        f"{counted(len(alive), 'worker')} running, last heartbeat {how_long(alive[0].age)} ago."
    )
    lost = [worker for worker in seen if not worker.is_alive and worker.age <= MISSED]
    if lost:
        return warning(
            title,
            f"{running} {lost[0].name} went silent {how_long(lost[0].age)} ago without stopping in "
            "order.",
            "Look at its log, and start it again unless another took its place.",
        )
    return ok(title, running)


def may_send(now: datetime) -> Line:
    """Does the database belong to this machine, and do their clocks agree?"""
    title, row = "Installation", Installation.objects.first()
    if locked := installation.locked_because():
        return broken(
            title, locked.partition(": ")[2] or locked, "Nothing is sent until this is settled."
        )
    if row is None:
        return ok(title, "New: the first worker gives it a name.")
    return ok(title, f"The database belongs to {row.name}.")


def queue(now: datetime) -> Line:
    title, lag = "Queue", queue_lag(now)
    if not lag.waiting:
        return ok(title, "Empty: every task was taken at once.")
    says = f"{counted(lag.waiting, 'task')} waiting, the oldest for {how_long(lag.age)}."
    if lag.age >= QUEUE_STUCK:
        return broken(title, says, f"Nothing takes them. {START_A_WORKER}")
    if lag.age >= QUEUE_SLOW:
        return warning(title, says, speed_up(now))
    return ok(title, says)


def shards(now: datetime) -> Line:
    """Slices of runs that send now: how many are at work, how long the others have waited."""
    title, state = "Sending", Shard.State
    ready = Q(state=state.OPEN, not_before__lte=now)
    with every_workspace():
        found = Shard.objects.filter(
            run__state=Run.State.RUNNING, state__in=(state.OPEN, state.LEASED)
        ).aggregate(
            open=Count("pk", filter=Q(state=state.OPEN)),
            working=Count("pk", filter=Q(state=state.LEASED, lease_until__gte=now)),
            lost=Count("pk", filter=Q(state=state.LEASED, lease_until__lt=now)),
            oldest=Min("not_before", filter=ready),
            lapsed=Min("lease_until", filter=Q(state=state.LEASED)),
        )
    if not found["open"] and not found["working"] and not found["lost"]:
        return ok(title, "Nothing is being sent.")
    lag = now - found["oldest"] if found["oldest"] else timedelta()
    lapsed = now - found["lapsed"] if found["lost"] else timedelta()
    says = (
        f"{counted(found['working'], 'shard')} at work, {format_number(found['open'])} waiting, "
        f"lag {how_long(max(lag, lapsed))}."
    )
    if not found["working"] and max(lag, lapsed) >= SHARDS_STUCK:
        return broken(title, f"{says} Nobody works on them.", START_A_WORKER)
    if lapsed >= SHARDS_STUCK:
        return warning(
            title,
            f"{says} {counted(found['lost'], 'shard')} of a silent worker wait to be taken over.",
            "Start another worker; those running are busy.",
        )
    return ok(title, says)


def runs(now: datetime) -> Line:
    """Planned runs start within seconds; one that is late shows that nobody ticks."""
    title, states = "Runs", Run.State
    with every_workspace():
        late = Q(state=states.PLANNED, intended_at__lte=now - QUEUE_SLOW, not_after__gte=now)
        found = Run.objects.filter(state__in=(states.PLANNED, *Run.ACTIVE_STATES)).aggregate(
            active=Count("pk", filter=~Q(state=states.PLANNED)),
            paused=Count("pk", filter=Q(state=states.PAUSED)),
            ahead=Count("pk", filter=Q(state=states.PLANNED)),
            late=Count("pk", filter=late),
            oldest=Min("intended_at", filter=late),
        )
    paused = f" ({format_number(found['paused'])} paused)" if found["paused"] else ""
    says = (
        f"{format_number(found['active'])} under way{paused}, {format_number(found['ahead'])} "
        "planned."
    )
    if found["late"]:
        late_words = (
            f"{counted(found['late'], 'run')} should have started, the first "
            f"{how_long(now - found['oldest'])}"
        )
        return broken(title, f"{says} {late_words} ago.", START_A_WORKER)
    return ok(title, says)
