"""A shard's waiting rows on their way into groups: composed just ahead of the window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from campaigns.models import Run
from delivery.engine import dispatch
from delivery.engine.compose import Composes
from delivery.engine.dispatch import Group
from delivery.engine.outcomes import LONG_AGO
from delivery.engine.record import Result
from delivery.models import Reach

FRESH = timedelta(seconds=5)


class Supply:
    """`ids`: the rows to send, in order. `held`: platforms that nothing is sent to now;
    OutcomeReader changes it."""

    def __init__(
        self, run: Run, composer: Composes, ids: list[int], held: Mapping[str, Reach]
    ) -> None:
        self.run, self.composer, self.held = run, composer, held
        self.todo = ids[::-1]  # the next one last
        self.ready: Group = []  # in no window yet
        self.ready_at = LONG_AGO
        self.skipped: list[Result] = []  # rows that cannot get this text; another text may do

    @property
    def left(self) -> int:
        """How many rows are in no window yet."""
        return len(self.ready) + len(self.todo)

    def make_ready(self, room: int, now: datetime) -> None:
        """Compose messages until `room` are ready. Call outside of any transaction: a heavy
        template must not hold locks."""
        if self.ready and now - self.ready_at > FRESH:  # consent may have changed since
            self.todo += [recipient.message_id for recipient, _ in reversed(self.ready)]
            self.ready = []
        if len(self.ready) >= room:
            return
        self.ready_at = self.ready_at if self.ready else now
        taken = self.todo[-(room - len(self.ready)) :][::-1]
        group, skipped, left = dispatch.compose(self.run, self.composer, taken, self.held)
        self.todo = self.todo[: -len(taken)] + left[::-1]
        self.ready += group
        self.skipped += skipped
