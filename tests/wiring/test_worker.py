"""The watchdog around the q2 cluster, and the bells. `python -m tests.faults` attacks the real
thing."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from campaigns.models import Run
from delivery.engine import heartbeat, leases, pipeline
from delivery.models import Heartbeat, Shard
from pushpilot import schedules
from pushpilot.lib import wake
from pushpilot.management.commands.worker import STALE, Watchdog
from pushpilot.processes import only_one
from tenants.scope import every_workspace, scope
from tests.house.rows import rows_of


@pytest.fixture
def watchdog(db):
    dog = Watchdog(timedelta(seconds=30))
    dog.started = timezone.now() - timedelta(minutes=5)
    return dog


def test_a_cluster_without_a_fresh_heartbeat_hangs(watchdog):
    Heartbeat.objects.create(worker=watchdog.name, beat_at=timezone.now() - timedelta(seconds=40))
    assert watchdog._is_hung()


def test_a_cluster_with_a_fresh_heartbeat_lives(watchdog):
    Heartbeat.objects.create(worker=watchdog.name, beat_at=timezone.now() - timedelta(seconds=5))
    assert not watchdog._is_hung()


def test_another_workers_heartbeat_does_not_count(watchdog):
    Heartbeat.objects.create(worker="elsewhere:1", beat_at=timezone.now())
    assert watchdog._is_hung()


def test_a_cluster_that_has_just_started_gets_its_time(watchdog):
    watchdog.started = timezone.now()
    assert not watchdog._is_hung()


def test_a_kill_takes_the_orphans_of_a_dead_parent_too(watchdog):
    watchdog.cluster = subprocess.Popen(
        ["sh", "-c", "sleep 300 & echo $!; exec sleep 300"],
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    orphan = int(watchdog.cluster.stdout.readline())
    watchdog._kill_group()
    for _ in range(50):
        state = _state(orphan)
        if state in ("", "Z"):
            break
        time.sleep(0.05)
    assert state in ("", "Z")
    watchdog.cluster.stdout.close()


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_the_heartbeat_names_the_cluster_that_runs_the_task(db, monkeypatch):
    monkeypatch.setattr(heartbeat, "_last", 0.0)
    monkeypatch.setitem(os.environ, heartbeat.WORKER_VARIABLE, "this:1")
    heartbeat.beat()
    assert Heartbeat.objects.get().worker == "this:1"


def test_a_busy_database_costs_a_heartbeat_or_a_bell_and_not_the_work(
    db, monkeypatch, django_capture_on_commit_callbacks
):
    def busy(*args, **kwargs):
        raise OperationalError("database is locked")

    monkeypatch.setattr(heartbeat, "_last", 0.0)
    monkeypatch.setitem(os.environ, heartbeat.WORKER_VARIABLE, "this:1")
    monkeypatch.setattr(Heartbeat.objects, "update_or_create", busy)
    heartbeat.beat()
    monkeypatch.setattr(wake, "async_task", busy)
    with django_capture_on_commit_callbacks(execute=True):
        wake.ring("tick")


def test_a_bell_rings_after_the_commit_and_not_before(db, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        wake.ring("tick")
        assert not OrmQ.objects.exists()
    assert OrmQ.objects.count() == 1


def test_a_bell_for_later_cannot_be_taken_before_its_moment(db, django_capture_on_commit_callbacks):
    moment = timezone.now() + timedelta(minutes=3)
    with django_capture_on_commit_callbacks(execute=True):
        wake.ring("tick", at=moment)
        wake.ring("work")
    locked = OrmQ.objects.get(lock__gt=timezone.now() + timedelta(minutes=2))
    assert locked.lock == moment
    assert locked.func() == "delivery.tasks.tick"
    assert OrmQ.objects.exclude(pk=locked.pk).get().func() == "delivery.tasks.work"


def test_schedules_are_those_of_the_table_and_nothing_else(db):
    Schedule.objects.create(name="somebody's own", func="os.system")
    schedules.register()
    schedules.register()
    assert set(Schedule.objects.values_list("name", flat=True)) == {
        job.name for job in schedules.JOBS
    }


def test_a_second_demo_on_the_same_folder_is_refused_until_the_first_has_ended(tmp_path):
    with only_one(tmp_path / "demo.lock") as first, only_one(tmp_path / "demo.lock") as second:
        assert (first, second) == (True, False)
    with only_one(tmp_path / "demo.lock") as again:
        assert again


@pytest.fixture
def pipe(monkeypatch):
    """Our end of a cluster's shutdown pipe, in a process that believes to be in the cluster."""
    theirs, ours = os.pipe()
    monkeypatch.setitem(os.environ, heartbeat.PIPE_VARIABLE, str(theirs))
    yield ours
    for end in (theirs, ours):
        with contextlib.suppress(OSError):
            os.close(end)
    heartbeat._shutdown_pipe.cache_clear()


def test_work_stops_when_the_watchdog_closes_the_pipe_or_dies(pipe):
    assert not heartbeat.is_stopping()
    os.close(pipe)
    assert heartbeat.is_stopping()
    assert heartbeat.is_stopping(), "for good, and for every process that asks"


def test_nothing_stops_outside_of_a_worker(monkeypatch):
    monkeypatch.delitem(os.environ, heartbeat.PIPE_VARIABLE, raising=False)
    assert not heartbeat.is_stopping()


@pytest.fixture
def sending(cast) -> None:
    """A run that sends, of which one shard waits."""
    run = rows_of(cast.workspace)[Run]
    with scope(cast.workspace):
        Run.objects.filter(pk=run.pk).update(state=Run.State.RUNNING, finished_at=None)
        Shard.objects.all().delete()
        Shard.objects.create(workspace=cast.workspace, run=run, first_id=0, last_id=9)


def test_a_stopping_worker_takes_no_shard_and_rings_for_the_others(
    sending, pipe, django_capture_on_commit_callbacks
):
    os.close(pipe)
    OrmQ.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        pipeline.work(timezone.now())
    with every_workspace():
        assert set(Shard.objects.values_list("state", flat=True)) == {Shard.State.OPEN}
    assert [bell.func() for bell in OrmQ.objects.all()] == ["delivery.tasks.work"]


def _ended(dog: Watchdog, code: str) -> None:
    dog.cluster = subprocess.Popen(["sh", "-c", f"exit {code}"], start_new_session=True)
    dog.cluster.wait()
    dog._kill_remains(now=100.0)


def test_a_cluster_that_dies_again_and_again_is_started_more_and_more_slowly(watchdog):
    watchdog.started = timezone.now()
    waits = []
    for _ in range(7):
        _ended(watchdog, "1")
        waits.append(watchdog.start_at - 100.0)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    Heartbeat.objects.create(worker=watchdog.name, beat_at=timezone.now())
    _ended(watchdog, "1")
    assert watchdog.start_at == 100.0, "one that has worked is started again at once"


def test_a_worker_that_had_to_be_killed_says_so_with_its_exit_code(watchdog, monkeypatch):
    monkeypatch.setattr("pushpilot.cluster.STOP_SECS", 0.2)
    for script, is_in_order in (("exit 0", True), ("exit 3", False), ("sleep 300", False)):
        watchdog.cluster = subprocess.Popen(["sh", "-c", script], start_new_session=True)
        assert watchdog._end_cluster() == is_in_order
    monkeypatch.setattr(Watchdog, "run", lambda dog: False)
    with pytest.raises(CommandError, match="was killed"):
        call_command("worker")


def _processes_of_group(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == leader and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def _wait_until(condition, within_secs=20.0):
    deadline = time.monotonic() + within_secs
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def real_cluster(tmp_path, migrated, django_db_setup):
    """A cluster of its own on an empty SQLite database, and our end of its shutdown pipe."""
    shutil.copy(migrated.file, tmp_path / "q.sqlite3")
    theirs, ours = os.pipe()
    environment = {
        **os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'q.sqlite3'}", "DATA_DIR": str(tmp_path),
        "LOG_LEVEL": "CRITICAL", heartbeat.PIPE_VARIABLE: str(theirs), "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    environment.pop("ROW_SECURITY", None)
    cluster = subprocess.Popen(
        [sys.executable, "-m", "pushpilot.cluster"], cwd=settings.BASE_DIR, env=environment, pass_fds=(theirs,),
        start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    # The parent, the sentinel, two workers, the monitor and the pusher.
    assert _wait_until(lambda: len(_processes_of_group(cluster.pid)) == 6)
    yield cluster, ours
    with contextlib.suppress(ProcessLookupError):
        os.killpg(cluster.pid, signal.SIGKILL)
    cluster.wait()
    with contextlib.suppress(OSError):
        os.close(ours)


@pytest.mark.once
def test_a_cluster_ends_in_order_when_its_watchdog_is_gone(real_cluster):
    cluster, pipe = real_cluster
    os.close(pipe)
    assert cluster.wait(20) == 0
    assert not _processes_of_group(cluster.pid)


@pytest.mark.once
def test_a_killed_sentinel_leaves_no_orphan_that_takes_tasks(real_cluster):
    cluster, _ = real_cluster
    sentinel = int(Path(f"/proc/{cluster.pid}/task/{cluster.pid}/children").read_text().split()[0])
    os.kill(sentinel, signal.SIGKILL)
    assert cluster.wait(20) == 1
    assert _wait_until(lambda: not _processes_of_group(cluster.pid))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.once
@pytest.mark.parametrize("killed", ["monitor", "pusher"])
def test_a_cluster_ends_in_order_though_a_helper_of_its_was_killed(real_cluster, killed):
    cluster, pipe = real_cluster
    (sentinel,) = _children(cluster.pid)
    *_, monitor, pusher = before = _children(sentinel)
    os.kill(monitor if killed == "monitor" else pusher, signal.SIGKILL)
    assert _wait_until(lambda: len(_children(sentinel)) == 4 and _children(sentinel) != before), (
        "q2 starts another"
    )
    os.close(pipe)
    assert cluster.wait(20) == 0
    assert not _processes_of_group(cluster.pid)


def test_a_worker_does_not_start_on_a_database_without_its_migrations(db, monkeypatch):
    monkeypatch.setattr(
        "pushpilot.health.unapplied",
        lambda: "2 migrations are not applied: delivery 0005, tenants 0009.",
    )
    with pytest.raises(CommandError, match=r"2 migrations are not applied.*Run manage\.py migrate"):
        call_command("worker")


def test_a_worker_waits_for_a_database_that_is_away(watchdog, monkeypatch):
    """It registers its schedules when the database is there, and ends in order all the same."""
    answers = iter([OperationalError("away"), OperationalError("away"), None])

    def register() -> None:
        answer = next(answers)
        if answer is not None:
            raise answer
        watchdog.is_stopping = True

    monkeypatch.setattr(schedules, "register", register)
    monkeypatch.setattr(Watchdog, "_start", lambda dog: None)
    monkeypatch.setattr("pushpilot.management.commands.worker.time.sleep", lambda secs: None)
    monkeypatch.setattr(
        "pushpilot.management.commands.worker.signal.signal", lambda number, handler: None
    )
    assert watchdog.run()
    assert watchdog.is_registered


def test_sending_resumes_within_a_minute_after_a_crash():
    """The lease of the dead process runs out, then the sweep comes by; a cluster that hangs is
    replaced, and sweeps."""
    slack = timedelta(seconds=5)
    assert leases.LEASE + schedules.SWEEP + slack < timedelta(seconds=60)
    assert STALE + slack < timedelta(seconds=60)


def test_a_new_cluster_sweeps_at_once(watchdog, monkeypatch):
    rung = []
    monkeypatch.setattr(wake, "ring", lambda bell, **options: rung.append((bell, watchdog.started)))
    monkeypatch.setattr(schedules, "register", lambda: None)
    monkeypatch.setattr(
        "pushpilot.management.commands.worker.signal.signal", lambda number, handler: None
    )
    monkeypatch.setattr("pushpilot.management.commands.worker.LONGEST_WAIT_SECS", 0)
    rounds = iter([None, None, None])

    def start() -> None:
        watchdog.cluster = subprocess.Popen(["sh", "-c", "exit 0"], start_new_session=True)
        watchdog.cluster.wait()
        watchdog.started = timezone.now()

    def sleep(secs: float) -> None:
        watchdog.is_stopping = next(rounds, "over") == "over"

    monkeypatch.setattr(watchdog, "_start", start)
    monkeypatch.setattr("pushpilot.management.commands.worker.time.sleep", sleep)
    watchdog.run()
    sweeps = [at for bell, at in rung if bell == "sweep"]
    assert len(sweeps) == 4, "one for each cluster, though none was due"
    assert len(set(sweeps)) == 4


def test_bells_for_work_do_not_pile_up_while_everybody_is_busy(
    db, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(wake.CROWD + 5):
            wake.ring("work")
    assert OrmQ.objects.count() == wake.CROWD
    with django_capture_on_commit_callbacks(execute=True):
        wake.ring("work", at=timezone.now() + timedelta(minutes=1))
        wake.ring("tick")
    assert [bell.func() for bell in OrmQ.objects.order_by("-pk")[:1]] == ["delivery.tasks.tick"], (
        "others always come in"
    )
    assert OrmQ.objects.count() == wake.CROWD + 1


def test_bells_of_others_or_for_later_or_of_another_key_are_no_crowd(
    db, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(wake.CROWD):
            wake.ring("digest")
            wake.ring("work", at=timezone.now() + timedelta(minutes=1))
    OrmQ.objects.bulk_create(
        OrmQ(key="pushpilot", payload="of another key", lock=timezone.now())
        for _ in range(wake.CROWD)
    )
    before = OrmQ.objects.count()
    with django_capture_on_commit_callbacks(execute=True):
        wake.ring("work")
    assert OrmQ.objects.count() == before + 1


def test_a_cluster_that_beats_by_itself_is_asked_for_no_heartbeat(watchdog):
    watchdog.started = timezone.now() - timedelta(minutes=5)
    assert not watchdog._is_fresh()
    Heartbeat.objects.create(worker=watchdog.name, beat_at=timezone.now() - timedelta(seconds=1))
    assert watchdog._is_fresh()
    Heartbeat.objects.update(beat_at=timezone.now() - 2 * schedules.BEAT)
    assert not watchdog._is_fresh()


def test_work_lets_others_have_their_turn(sending, monkeypatch, django_capture_on_commit_callbacks):
    """A run at 60 a second kept both processes busy for slices of 20 s, and a tick stood behind
    eleven of them."""
    claimed = []
    monkeypatch.setattr("delivery.engine.leases.claim", lambda now, **asked: claimed.append(now))
    for waits, expected in ((True, 0), (False, 1)):
        claimed.clear()
        OrmQ.objects.all().delete()
        if waits:
            OrmQ.objects.create(
                key="pushpilot", payload="x", lock=timezone.now() - timedelta(seconds=1)
            )
        with django_capture_on_commit_callbacks(execute=True):
            pipeline.work(timezone.now() - timedelta(seconds=3))
        assert len(claimed) == expected
        rung = [bell.func() for bell in OrmQ.objects.exclude(payload="x")]
        assert rung == ["delivery.tasks.work"], "what is left goes to the end of the queue"


def test_a_shard_is_held_for_the_slice_only_while_nobody_waits(db):
    until = timezone.now() + pipeline.SLICE
    assert pipeline._end_of_turn(until) == until
    OrmQ.objects.create(key="pushpilot", payload="x", lock=timezone.now() - timedelta(seconds=1))
    assert pipeline._end_of_turn(until) <= timezone.now() + pipeline.TURN
    assert pipeline._end_of_turn(until - pipeline.SLICE) == until - pipeline.SLICE


def test_a_database_that_is_away_is_told_once_in_one_line(watchdog, monkeypatch, caplog):
    monkeypatch.setattr(
        "pushpilot.management.commands.worker.signal.signal", lambda number, handler: None
    )
    monkeypatch.setattr(watchdog, "_start", lambda: None)
    monkeypatch.setattr(watchdog, "_end_cluster", lambda: True)
    monkeypatch.setattr(watchdog, "_is_fresh", lambda: True)
    monkeypatch.setattr("pushpilot.management.commands.worker.close_old_connections", lambda: None)
    rounds = iter(["away", "away", "away", "back", "away", "over"])
    state = ["away"]

    def register() -> None:
        if state[0] == "away":
            raise OperationalError("connection refused\nIs the server running?")
        watchdog.is_registered = False

    def sleep(secs: float) -> None:
        state[0] = next(rounds)
        watchdog.is_registered = False
        watchdog.is_stopping = state[0] == "over"

    monkeypatch.setattr(schedules, "register", register)
    monkeypatch.setattr(wake, "ring", lambda bell, **options: None)
    monkeypatch.setattr("pushpilot.management.commands.worker.time.sleep", sleep)
    watchdog.run()
    said = [record for record in caplog.records if "does not answer" in record.message]
    assert len(said) == 2, "once for each outage"
    assert all(record.exc_info is None and "\n" not in record.message for record in said)
