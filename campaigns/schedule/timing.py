"""When a campaign goes out: the promise that was shown, as its person read it on a clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import models
from django.utils.translation import gettext_lazy

from pushpilot.lib import clock
from tenants.validators import validate_time_zone


class Timed(models.Model):
    """The schedule of a campaign. A series has its own zone and wall clock: nothing else moves
    it."""

    class Schedule(models.TextChoices):
        NOW = "send_now", gettext_lazy("Now")
        AT = "scheduled", gettext_lazy("At a time")
        RECURRING = "recurring", gettext_lazy("Recurring")

    workspace: Any

    schedule_type = models.CharField(
        gettext_lazy("send"), max_length=16, choices=Schedule.choices, default=Schedule.NOW
    )
    # What the clocks of `time_zone` show when it (first) goes out, "2026-12-07T09:00:00". Not a
    # moment in UTC: that moves with another zone of the workspace and with new DST rules, and out
    # of a start inside a gap.
    wall_clock = models.CharField(max_length=19, blank=True, editable=False)
    time_zone = models.CharField(max_length=64, blank=True, validators=[validate_time_zone])
    recurrence_rule = models.CharField(max_length=512, blank=True)
    # Days on the clock of the series on which nothing is sent, as "2026-12-25" (RFC 5545: EXDATE).
    skip_dates = models.JSONField(default=list, blank=True, editable=False)
    # Somebody ended the series: nothing of it is planned any more.
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_series(self) -> bool:
        return self.schedule_type == self.Schedule.RECURRING

    @property
    def zone(self) -> ZoneInfo:
        """On whose clocks it goes out: those that its schedule was written by, else the
        workspace's."""
        return ZoneInfo(self.time_zone or self.workspace.time_zone)

    @property
    def starts(self) -> datetime | None:
        """The wall clock (naive) at which it goes out, or begins to."""
        if self.wall_clock:
            return datetime.fromisoformat(self.wall_clock)
        return None

    @starts.setter
    def starts(self, wall: datetime | None) -> None:
        if wall is None:
            self.wall_clock, self.time_zone = "", ""
        else:
            self.wall_clock, self.time_zone = wall.isoformat(timespec="seconds"), self.zone.key

    @property
    def scheduled_at(self) -> datetime | None:
        """`starts` as a moment."""
        if self.starts is None:
            return None
        return clock.resolve(self.starts, self.zone)

    @scheduled_at.setter
    def scheduled_at(self, at: datetime | None) -> None:
        self.starts = None if at is None else at.astimezone(self.zone).replace(tzinfo=None)

    def dates(self, *, after: datetime) -> Iterator[datetime]:
        """The moments of the series later than `after`. Raises RecurrenceError."""
        rule = clock.parse_rrule(self.recurrence_rule)
        if self.starts is None:
            return iter(())
        skip = {date.fromisoformat(day) for day in self.skip_dates}
        return clock.occurrences(rule, self.starts, self.zone, after=after, skip=skip)

    def next_date(self, *, after: datetime) -> datetime | None:
        """None when the series has ended. Raises RecurrenceError."""
        return next(self.dates(after=after), None)
