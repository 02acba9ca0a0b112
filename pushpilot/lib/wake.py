"""Bells: hints that there is work. A lost bell costs seconds (the sweep finds the work), never
correctness."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.signing import BadSignature
from django.db import DatabaseError, transaction
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.tasks import async_task

logger = logging.getLogger(__name__)

# One queued task does the work of all of its kind: it looks for everything there is, and rings
# again for what is left. A run at 60 a second rang 1.2 times a second, two busy processes took 0.1,
# and every tick waited behind them.
MERGED = ("work",)
CROWD = 2 * settings.WORKERS
_READ = 50  # of the newest bells; each costs 0.05 ms


class _At(ORM):
    """The ORM broker, for one task that nobody may take before a moment.

    A queue row locked until its due second starts 0.05-0.2 s late; a django-q Schedule 2-30 s.
    """

    def __init__(self, moment: datetime) -> None:
        super().__init__()
        self.moment = moment

    def enqueue(self, task: str) -> Any:
        return self.get_connection().create(key=self.list_key, payload=task, lock=self.moment).pk


def ring(bell: str, *args: int | str, at: datetime | None = None) -> None:
    """Queue the task that `settings.BELLS[bell]` names, after the current transaction commits,
    for `at` or now.

    A task of MERGED is not queued while CROWD of its kind are due, nor for later if an earlier
    one is queued.

    Queue payloads are pickles, so only integers and strings travel.
    """
    options: dict[str, Any] = {"save": False}
    if at is not None:
        options["broker"] = _At(at)

    def enqueue() -> None:
        try:
            if bell in MERGED and _is_needless(settings.BELLS[bell], at):
                return
            async_task(settings.BELLS[bell], *args, q_options=options)
        except DatabaseError:
            logger.warning(
                "the bell %r could not be rung; the next sweep finds the work", bell, exc_info=True
            )

    transaction.on_commit(enqueue)


def _is_needless(func: str, at: datetime | None) -> bool:
    """Counts only queued tasks of this kind: others do not do this work."""
    now = timezone.now()
    due = OrmQ.objects.filter(lock__lte=now).order_by("-pk")[:_READ]
    if sum(_func(bell) == func for bell in due) >= CROWD:
        return True
    if at is None:
        return False
    sooner = OrmQ.objects.filter(lock__gt=now, lock__lte=at).order_by("-pk")[:_READ]
    return any(_func(bell) == func for bell in sooner)


def _func(bell: OrmQ) -> str | None:
    try:
        return str(bell.func())
    except BadSignature:  # of another SECRET_KEY; django-q2 throws it away
        return None


def is_awaited() -> bool:
    """Whether a queued task is due: other work waits for a process."""
    return bool(OrmQ.objects.filter(lock__lte=timezone.now()).exists())
