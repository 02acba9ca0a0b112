"""What the bells wake: django-q2 runs these. They hold no state; the rows do."""

from __future__ import annotations

from django.utils import timezone

from delivery.engine import heartbeat, pipeline


def beat() -> None:
    heartbeat.beat()


def tick() -> None:
    heartbeat.beat()
    pipeline.tick(timezone.now())


def work() -> None:
    heartbeat.beat()
    pipeline.work(timezone.now())
