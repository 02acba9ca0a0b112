"""Bells: hints that there is work. A lost bell costs seconds (the sweep finds the work), never correctness."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django_q.brokers.orm import ORM
from django_q.tasks import async_task

logger = logging.getLogger(__name__)


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
    """Wake what `settings.BELLS[bell]` names, after the current transaction commits, not before `at`.

    Queue payloads are pickles, so only integers and strings travel.
    """
    options: dict[str, Any] = {"save": False}
    if at is not None:
        options["broker"] = _At(at)

    def enqueue() -> None:
        try:
            async_task(settings.BELLS[bell], *args, q_options=options)
        except DatabaseError:
            logger.warning("the bell %r could not be rung; the next sweep finds the work", bell, exc_info=True)

    transaction.on_commit(enqueue)
