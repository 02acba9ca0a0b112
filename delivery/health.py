"""What this layer can check of itself: workers beat, the queue drains, shards are worked on,
runs start in time. Lines are in the active language: see pushpilot/health.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_q.models import OrmQ

from campaigns.models import Run
from delivery.engine import installation
from delivery.engine.heartbeat import SILENT
from delivery.models import Heartbeat, Installation, Shard
from pushpilot.lib.display import age, format_number, how_long
from pushpilot.lib.health import Line, broken, ok, waited, warning
from tenants.scope import every_workspace

START_A_WORKER = gettext_lazy("Start a worker: manage.py worker.")
TOO_SLOW = gettext_lazy("The workers cannot keep up. Start another worker, or raise WORKERS.")
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
        lived = None
        if beat.started_at:
            lived = until - beat.started_at
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
    return Lag(found["n"], waited(found["oldest"], now))


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
    return Lag(found["n"], waited(found["oldest"], now), found["later"])


def leases(most: int) -> list[Shard]:
    """The shards that are being worked on, those of the silent first; each with its run and
    workspace, without any text."""
    with every_workspace():
        leased = Shard.objects.filter(state=Shard.State.LEASED).select_related("run", "workspace")
        return list(leased.order_by("lease_until", "pk")[:most])


def speed_up(now: datetime) -> str:
    """What to do about work that is not done in time."""
    is_alive = Heartbeat.objects.filter(beat_at__gte=now - SILENT).exists()
    nobody = _("No worker is running.")
    if is_alive:
        return str(TOO_SLOW)
    return f"{nobody} {START_A_WORKER}"


def workers(now: datetime) -> Line:
    title, seen = _("Workers"), workers_seen(now)
    alive = [worker for worker in seen if worker.is_alive]
    if not alive:
        says = _("No worker is running, and none has ever run. Nothing is sent.")
        if seen:
            words = _("No worker is running. The last heartbeat was %(ago)s. Nothing is sent.")
            says = words % {"ago": age(seen[0].age)}
        return broken(title, says, START_A_WORKER)
    words = ngettext(
        "%(count)s worker running, last heartbeat %(ago)s.",
        "%(count)s workers running, last heartbeat %(ago)s.",
        len(alive),
    )
    running = words % {"count": format_number(len(alive)), "ago": age(alive[0].age)}
    lost = [worker for worker in seen if not worker.is_alive and worker.age <= MISSED]
    if lost:
        words = _("%(worker)s went silent %(ago)s without stopping in order.")
        silent = words % {"worker": lost[0].name, "ago": age(lost[0].age)}
        todo = _("Look at the log of the worker. Start it again unless another worker replaces it.")
        return warning(title, f"{running} {silent}", todo)
    return ok(title, running)


def may_send(now: datetime) -> Line:
    """Does the database belong to this machine, and do their clocks agree?"""
    title, row = _("Installation"), Installation.objects.first()
    if locked := installation.locked_because():
        return broken(
            title,
            locked.partition(": ")[2] or locked,
            _("Nothing is sent until you have settled this."),
        )
    if row is None:
        return ok(title, _("New: the first worker gives the database a name."))
    return ok(title, _("The database belongs to %(installation)s.") % {"installation": row.name})


def queue(now: datetime) -> Line:
    title, lag = _("Queue"), queue_lag(now)
    if not lag.waiting:
        return ok(title, _("Empty: workers took every task at once."))
    words = ngettext(
        "%(count)s task waiting, the oldest for %(span)s.",
        "%(count)s tasks waiting, the oldest for %(span)s.",
        lag.waiting,
    )
    says = words % {"count": format_number(lag.waiting), "span": how_long(lag.age)}
    if lag.age >= QUEUE_STUCK:
        nobody = _("No worker takes tasks.")
        return broken(title, says, f"{nobody} {START_A_WORKER}")
    if lag.age >= QUEUE_SLOW:
        return warning(title, says, speed_up(now))
    return ok(title, says)


def shards(now: datetime) -> Line:
    """Slices of runs that send now: how many are at work, how long the others have waited."""
    title, state = _("Sending"), Shard.State
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
        return ok(title, _("No message is being sent."))
    lag = waited(found["oldest"], now)
    lapsed = now - found["lapsed"] if found["lost"] else timedelta()
    words = ngettext(
        "%(count)s shard in progress; waiting: %(open)s; lag: %(span)s.",
        "%(count)s shards in progress; waiting: %(open)s; lag: %(span)s.",
        found["working"],
    )
    says = words % {
        "count": format_number(found["working"]),
        "open": format_number(found["open"]),
        "span": how_long(max(lag, lapsed)),
    }
    if not found["working"] and max(lag, lapsed) >= SHARDS_STUCK:
        nobody = _("No worker takes shards.")
        return broken(title, f"{says} {nobody}", START_A_WORKER)
    if lapsed >= SHARDS_STUCK:
        words = ngettext(
            "%(count)s shard of a silent worker waits for another worker.",
            "%(count)s shards of a silent worker wait for another worker.",
            found["lost"],
        )
        waits = words % {"count": format_number(found["lost"])}
        todo = _("Start another worker: the running workers are busy.")
        return warning(title, f"{says} {waits}", todo)
    return ok(title, says)


def runs(now: datetime) -> Line:
    """Planned runs start within seconds; one that is late shows that nobody ticks."""
    title, states = _("Runs"), Run.State
    with every_workspace():
        late = Q(state=states.PLANNED, intended_at__lte=now - QUEUE_SLOW, not_after__gte=now)
        found = Run.objects.filter(state__in=(states.PLANNED, *Run.ACTIVE_STATES)).aggregate(
            active=Count("pk", filter=~Q(state=states.PLANNED)),
            paused=Count("pk", filter=Q(state=states.PAUSED)),
            ahead=Count("pk", filter=Q(state=states.PLANNED)),
            late=Count("pk", filter=late),
            oldest=Min("intended_at", filter=late),
        )
    words = _("In progress: %(active)s, %(paused)s of them paused. Planned: %(ahead)s.")
    says = words % {name: format_number(found[name]) for name in ("active", "paused", "ahead")}
    if found["late"]:
        words = ngettext(
            "%(count)s run should have started %(ago)s.",
            "%(count)s runs should have started, the first %(ago)s.",
            found["late"],
        )
        about = {"count": format_number(found["late"]), "ago": age(now - found["oldest"])}
        return broken(title, f"{says} {words % about}", START_A_WORKER)
    return ok(title, says)
