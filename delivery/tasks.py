"""What the bells wake: django-q2 runs these. They hold no state; the rows do."""

from __future__ import annotations

from django.utils import timezone

from delivery.engine import direct, heartbeat, pipeline
from tenants.scope import every_workspace


def beat() -> None:
    heartbeat.beat()


def tick() -> None:
    heartbeat.beat()
    pipeline.tick(timezone.now())


def forget() -> None:
    """What direct messages said."""
    with every_workspace():
        direct.forget(timezone.now())


def work() -> None:
    heartbeat.beat()
    pipeline.work(timezone.now())
