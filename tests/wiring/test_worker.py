"""The watchdog around the q2 cluster, and the bells. `python -m tests.faults` attacks the real thing."""

import os
import subprocess
import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from delivery import heartbeat
from delivery.models import Heartbeat
from pushpilot import schedules
from pushpilot.lib import wake
from pushpilot.management.commands.worker import Watchdog
from pushpilot.processes import only_one


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
        ["sh", "-c", "sleep 300 & echo $!; exec sleep 300"], start_new_session=True, stdout=subprocess.PIPE
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
    assert set(Schedule.objects.values_list("name", flat=True)) == {job.name for job in schedules.JOBS}


def test_a_second_demo_on_the_same_folder_is_refused_until_the_first_has_ended(tmp_path):
    with only_one(tmp_path / "demo.lock") as first, only_one(tmp_path / "demo.lock") as second:
        assert (first, second) == (True, False)
    with only_one(tmp_path / "demo.lock") as again:
        assert again
