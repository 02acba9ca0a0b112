"""When a campaign goes out, in a form. Part of the campaign form, and all of the form that
changes the schedule of a campaign on its way."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from campaigns.admin.campaign import builders
from campaigns.channels.inputs import CheckedForm, NumberInput, select_field, text_field
from campaigns.models import Campaign
from campaigns.schedule.entered import wall_clock_problem
from pushpilot.lib import clock
from tenants.models import Workspace

SCHEDULE_FIELDS = (
    "scheduled_at",
    "time_zone",
    "repeat",
    "interval",
    "weekdays",
    "month_day",
    "recurrence_rule",
    "ends",
    "end_date",
    "count",
    "skipped",
)
MONTH_DAYS = [*((str(day), str(day)) for day in range(1, 32)), ("-1", gettext_lazy("last day"))]


class WallClockField(forms.DateTimeField):
    """A date and time as a clock shows it; cleaned to a naive datetime."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return f"{value:%Y-%m-%dT%H:%M}"
        return value

    def to_python(self, value: Any) -> datetime | None:
        if not value:
            return None
        try:
            wall = datetime.fromisoformat(str(value)).replace(tzinfo=None)
        except ValueError:
            raise ValidationError(
                _("Enter a date and a time, for example 2027-01-31 18:00.")
            ) from None
        if problem := wall_clock_problem(wall):
            raise ValidationError(problem)
        return wall

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial) != self.prepare_value(data))


class _DateTimeInput(UnfoldAdminTextInputWidget):
    input_type = "datetime-local"


class _DateInput(forms.DateInput, UnfoldAdminTextInputWidget):
    input_type = "date"


class ScheduleFields(CheckedForm):
    """Date, time, zone, and the repetition of a series with its end and the dates that it skips."""

    scheduled_at = WallClockField(
        label=gettext_lazy("Date and time"), required=False, widget=_DateTimeInput()
    )
    # The zone that the page was opened with, so that what it showed is what is kept.
    time_zone = select_field(gettext_lazy("Time zone"), [])
    repeat = select_field(gettext_lazy("Frequency"), list(builders.REPEATS.items()))
    interval = forms.IntegerField(
        label=gettext_lazy("Interval"),
        required=False,
        min_value=1,
        max_value=99,
        widget=NumberInput(),
        help_text=gettext_lazy("2 means every second day, week or month."),
    )
    weekdays = forms.MultipleChoiceField(
        label=gettext_lazy("Days of the week"),
        required=False,
        choices=list(builders.WEEKDAYS.items()),
        widget=forms.CheckboxSelectMultiple,
    )
    month_day = select_field(gettext_lazy("Day of the month"), MONTH_DAYS)
    recurrence_rule = text_field(
        gettext_lazy("Recurrence rule"),
        512,
        "FREQ=WEEKLY;BYDAY=MO,FR",
        gettext_lazy("A recurrence rule of RFC 5545."),
    )
    ends = select_field(gettext_lazy("End of the series"), list(builders.ENDS.items()))
    end_date = forms.DateField(
        label=gettext_lazy("Last day"),
        required=False,
        widget=_DateInput(format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": gettext_lazy("Enter year, month and day: 2027-01-31.")},
    )
    count = forms.IntegerField(
        label=gettext_lazy("Number of sends"),
        required=False,
        min_value=1,
        max_value=9999,
        widget=NumberInput(),
        help_text=gettext_lazy("The number includes skipped dates."),
    )
    skipped = text_field(
        gettext_lazy("Skipped dates"),
        5000,
        "2026-12-25, 2027-01-01",
        gettext_lazy("Dates in the time zone of the series."),
    )

    def __init__(self, workspace: Workspace, stored: Campaign, data: Any = None) -> None:
        super().__init__(data, initial={"month_day": "1", **stored_schedule(stored, workspace)})
        # The zone of the schedule, that of the workspace, and a valid one that was posted.
        names = [self.initial["time_zone"], workspace.time_zone]
        posted = ""
        if self.is_bound:
            posted = str(self.data.get("time_zone", ""))
        if posted in zoneinfo.available_timezones():
            names.append(posted)
        choices = [(name, name.replace("_", " ")) for name in dict.fromkeys(names)]
        self.fields["time_zone"].choices = choices  # type: ignore[attr-defined]

    # --- cleaning ---------------------------------------------------------------------------------
    def clean_time_zone(self) -> str:
        return self.cleaned_data["time_zone"] or str(self.initial["time_zone"])

    def check_schedule(self, *, is_series: bool) -> None:
        """Part of clean(): the inputs of the repetition become a rule and a list of dates."""
        cleaned = self.cleaned_data
        if is_series and not self.has_any_error(SCHEDULE_FIELDS):
            self._clean_series(cleaned)
        else:
            cleaned["recurrence_rule"], cleaned["skips"] = "", []

    def _clean_series(self, cleaned: dict[str, Any]) -> None:
        field = {"weekly": "weekdays", "monthly": "month_day", "daily": "interval"}
        at = field.get(cleaned.get("repeat", ""), "recurrence_rule")
        try:
            rule = self.repetition()
            at = {"date": "end_date", "count": "count"}.get(cleaned.get("ends") or "", "ends")
            cleaned["recurrence_rule"] = self.with_end(rule)
            at = "skipped"
            cleaned["skips"] = self.skips()
        except clock.RecurrenceError as error:
            self.add_error(at, str(error))

    def has_any_error(self, fields: Sequence[str]) -> bool:
        return any(self.has_error(name) for name in fields)

    def recurrence(self) -> str:
        """The rule of the series as it stands in the form. Raises RecurrenceError."""
        return self.with_end(self.repetition())

    def with_end(self, rule: str) -> str:
        given, zone = self.cleaned_data.get, zoneinfo.ZoneInfo(self.cleaned_data["time_zone"])
        return builders.build_end(
            rule, given("ends") or "", given("end_date"), given("count"), zone
        )

    def skips(self) -> list[str]:
        return builders.build_skips(self.cleaned_data.get("skipped") or "")

    def repetition(self) -> str:
        """How often, without an end. Raises RecurrenceError."""
        given = self.cleaned_data.get
        return builders.build_recurrence(
            given("repeat") or "weekly",
            given("interval") or 1,
            given("weekdays") or [],
            int(given("month_day") or 1),
            given("recurrence_rule") or "",
        )

    # --- results ----------------------------------------------------------------------------------
    def put_into(self, campaign: Campaign) -> None:
        """What the valid form says, into the campaign, which is not saved."""
        given = self.cleaned_data
        campaign.time_zone, campaign.recurrence_rule = given["time_zone"], given["recurrence_rule"]
        campaign.starts, campaign.skip_dates = given["scheduled_at"], given["skips"]


class SchedulePart(ScheduleFields):
    """The schedule in the form of a campaign that is not on its way: whether it repeats is
    chosen too."""

    schedule_type = forms.ChoiceField(
        label=gettext_lazy("When"), choices=Campaign.Schedule.choices, widget=forms.RadioSelect
    )

    def __init__(self, workspace: Workspace, stored: Campaign, data: Any = None) -> None:
        super().__init__(workspace, stored, data)
        self.initial["schedule_type"] = stored.schedule_type

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.check_schedule(is_series=cleaned.get("schedule_type") == Campaign.Schedule.RECURRING)
        return cleaned

    def put_into(self, campaign: Campaign) -> None:
        campaign.schedule_type = self.cleaned_data["schedule_type"]
        super().put_into(campaign)


class ScheduleForm(ScheduleFields):
    """The schedule of a campaign on its way, and nothing else of it."""

    def __init__(self, campaign: Campaign, data: Any = None) -> None:
        self.campaign = campaign
        super().__init__(campaign.workspace, campaign, data)
        self.fields["scheduled_at"].required = True
        self.fields["scheduled_at"].error_messages["required"] = _(
            "Choose the date and time of the send."
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.check_schedule(is_series=self.campaign.is_series)
        return cleaned

    def rescheduled(self) -> Campaign:
        """A copy of the campaign with the schedule that the valid form says, not saved."""
        changed = copy(self.campaign)
        self.put_into(changed)
        return changed


def stored_schedule(campaign: Campaign, workspace: Workspace) -> dict[str, Any]:
    """A campaign's schedule as the inputs show it."""
    shown = {
        "scheduled_at": campaign.starts,
        "time_zone": campaign.time_zone or workspace.time_zone,
    }
    rule, end = builders.read_end(campaign.recurrence_rule, campaign.zone)
    return {
        **shown,
        **builders.read_recurrence(rule),
        **end,
        "skipped": ", ".join(campaign.skip_dates),
    }
