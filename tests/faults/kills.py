"""kill -9, SIGSTOP and SIGTERM: what happens to processes."""

from __future__ import annotations

import signal
import subprocess
import time

from tests.faults.checker import Report
from tests.faults.laboratory import LEASE_SECS, Plain, Scene
from tests.faults.processes import STOP_MOST_SECS, all_end, freeze, kill, senders


class KillSenders(Plain):
    title = "kill -9 of a worker that sends"

    def strike(self, scene: Scene) -> bool:
        return any(kill(pid) for pid in senders(scene.run.pk, scene.world.dice)[:1])


class KillAnything(Plain):
    title = "kill -9 of any q2 process"
    per_run = 5

    def strike(self, scene: Scene) -> bool:
        pids = scene.world.workers.of_clusters()
        return bool(pids) and kill(scene.world.dice.choice(pids))


class Zombies(Plain):
    """A process that sends stands still for longer than its lease and goes on: it must notice
    before it sends. One time in four all of them at once."""

    title = "SIGSTOP for longer than the lease"
    per_run = 5

    def strike(self, scene: Scene) -> bool:
        dice = scene.world.dice
        pids = senders(scene.run.pk, dice)
        return freeze(pids if dice.random() < 0.25 else pids[:1], LEASE_SECS + dice.uniform(0.5, 3))


class _Endings(Plain):
    """A worker ends, and another one comes in its place: in order, so nothing is ambiguous and
    nothing taken over."""

    per_run = 2
    pause_secs = (1.0, 3.0)
    is_orderly = True

    def strike(self, scene: Scene) -> bool:
        workers = scene.world.workers
        watchdog = scene.world.dice.choice(workers.watchdogs)
        pids = workers.of_clusters(watchdog)
        if not pids:
            return False
        started = time.monotonic()
        self.end(scene, watchdog, pids)
        scene.notes.append(f"ended after {time.monotonic() - started:.1f} s")
        workers.replace(watchdog)
        return True

    def end(self, scene: Scene, watchdog: subprocess.Popen[bytes], pids: list[int]) -> None:
        """`pids`: of its cluster."""
        scene.found.append(f"{self.title}: nobody says how")

    def judge(self, scene: Scene, report: Report) -> None:
        if report.takeovers:
            report.found.append(f"{report.takeovers} shards had to be taken over")


class KillWatchdogs(_Endings):
    """A kill -9 of `manage.py worker` itself: its cluster ends by itself."""

    title = "kill -9 of the watchdog"

    def end(self, scene: Scene, watchdog: subprocess.Popen[bytes], pids: list[int]) -> None:
        watchdog.kill()
        watchdog.wait()
        if not all_end(pids, STOP_MOST_SECS):
            scene.found.append(
                f"processes of a killed watchdog lived for more than {STOP_MOST_SECS} s"
            )


class Drills(Plain):
    """The product's own crash drill, asked for as the run page does, done by the watchdog."""

    title = "crash drill of the console"
    per_run = 3
    pause_secs = (0.5, 2.0)

    def strike(self, scene: Scene) -> bool:
        from django.utils import timezone

        from delivery.engine import drill
        from tenants.scope import scope

        with scope(scene.run.workspace):
            return drill.ask(scene.refresh(), by=scene.world.owner, now=timezone.now())

    def judge(self, scene: Scene, report: Report) -> None:
        from tenants.scope import scope

        with scope(scene.run.workspace):
            drills = list(scene.run.drills.values_list("killed_at", flat=True))
        report.notes.append(f"{sum(at is not None for at in drills)} of {len(drills)} killed")


class Restarts(_Endings):
    """SIGTERM, as at every deployment: the worker ends within 30 s."""

    title = "SIGTERM of a worker"

    def end(self, scene: Scene, watchdog: subprocess.Popen[bytes], pids: list[int]) -> None:
        watchdog.send_signal(signal.SIGTERM)
        try:
            code = watchdog.wait(STOP_MOST_SECS)
        except subprocess.TimeoutExpired:
            scene.found.append(f"a worker did not end within {STOP_MOST_SECS} s")
            watchdog.kill()
            code = watchdog.wait()
        if code:
            scene.found.append(f"a worker ended with {code}")
