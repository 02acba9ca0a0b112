"""A provider and a network on their bad days."""

from __future__ import annotations

from typing import Any

import requests

from tests.faults.checker import Report
from tests.faults.laboratory import Plain, Scene

STORMS: tuple[dict[str, Any], ...] = (
    {"what": "QUOTA_EXCEEDED", "secs": 1, "share": 0.5, "retry_after_secs": 1},
    {"what": "UNAVAILABLE", "secs": 1, "share": 0.05},
    {"what": "INTERNAL", "secs": 1, "share": 0.05, "accepts": True},
    {"what": "UNAVAILABLE", "secs": 0.5, "retry_after_secs": 10},
    {"what": "HANG", "secs": 0.3, "share": 0.2},
    {"what": "HANG", "secs": 0.3, "share": 0.2, "accepts": True},
)
NETWORK = ("reset", "swallow", "reset all", "goaway", "stall")


class Weather(Plain):
    """Each blow is a storm of the sandbox or a fault of the network."""

    title = "bad weather"
    per_run = 8
    pause_secs = (0.3, 1.5)

    def begin(self, scene: Scene) -> None:
        self._before = self._unanswered(scene)

    def strike(self, scene: Scene) -> bool:
        dice, proxy = scene.world.dice, scene.world.proxy
        blow = dice.choice([*STORMS, *NETWORK])
        if isinstance(blow, dict):
            scene.world.weather(storms=[blow])
            scene.notes.append(blow["what"].lower())
            return True
        scene.notes.append(blow)
        match blow:
            case "reset":
                scene.excused += proxy.reset(share=0.2, swallow=False, dice=dice)
            case "swallow":
                scene.excused += proxy.reset(share=0.2, swallow=True, dice=dice)
            case "reset all":
                scene.excused += proxy.reset(share=1, swallow=dice.random() < 0.5, dice=dice)
            case "goaway":
                proxy.go_away()
            case "stall":
                proxy.stall(dice.uniform(0.5, 3))
        return True

    def judge(self, scene: Scene, report: Report) -> None:
        report.most_unknown += self._unanswered(scene) - self._before
        report.may_send_twice = True  # a 500 that was accepted is tried again, with a flag

    def _unanswered(self, scene: Scene) -> int:
        """Messages that hang, and those that a GOAWAY refused: libcurl does not say that they
        were never taken."""
        counts = requests.get(f"{scene.world.sandbox.url}/sandbox/weather", timeout=10).json()[
            "counts"
        ]
        return (
            int(counts.get("HANG", 0))
            + int(counts.get("HANG+accepted", 0))
            + scene.world.proxy.refused
        )
