"""Pauses and cancels at random moments: what is sent after the commit?"""

from __future__ import annotations

import time

from tests.faults.checker import Report
from tests.faults.laboratory import Plain, Scene

QUIET_MOST_SECS = 40


class Stops(Plain):
    """Pause, wait until nobody works, resume; the last blow of a run is a cancel every other
    time."""

    title = "pause and cancel"
    pause_secs = (0.05, 0.6)
    is_orderly = True

    def begin(self, scene: Scene) -> None:
        # (committed, until, most that may be accepted between, what it was); in epoch seconds
        self.stops: list[tuple[float, float, int, str]] = []
        self.ends = frozenset()

    def strike(self, scene: Scene) -> bool:
        from campaigns import plan
        from delivery.engine.work import WINDOW
        from tenants.scope import scope

        is_cancel = scene.last and scene.world.dice.random() < 0.5
        with scope(scene.run.workspace):
            verb = plan.cancel if is_cancel else plan.pause
            if not verb(scene.run, by=scene.world.owner):
                return False
            committed = time.time()
            if is_cancel:
                self.ends = frozenset({"cancelled"})
            most = WINDOW * scene.leased()
            deadline = time.monotonic() + QUIET_MOST_SECS
            while scene.leased() and time.monotonic() < deadline:
                time.sleep(0.05)
            if time.monotonic() >= deadline:
                scene.found.append(f"workers went on for {QUIET_MOST_SECS} s after a stop")
            until = time.time() if not is_cancel else float("inf")
            if not is_cancel:
                plan.resume(scene.refresh(), by=scene.world.owner)
        self.stops.append((committed, until, most, "cancel" if is_cancel else "pause"))
        return True

    def judge(self, scene: Scene, report: Report) -> None:
        moments = scene.world.log.moments(scene.run.pk)
        beyond = [0]
        for committed, until, most, what in self.stops:
            late = sum(committed < at < until for at in moments)
            beyond.append(late)
            if late > most:
                report.found.append(f"{late} sent after a {what}, at most {most} allowed")
        report.notes.append(f"sent after a commit: at most {max(beyond)}")
