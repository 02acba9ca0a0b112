"""How a campaign is sent, in its form: how fast, how late, how long."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget

from campaigns.channels.inputs import CheckedForm, Choice, NumberInput, switch
from campaigns.models import AmbiguityPolicy, Campaign
from pushpilot.lib.display import exact_span

SENDING_FIELDS = (
    "per_second",
    "avoid_quarter_hours",
    "start_within_mins",
    "expires_after_mins",
    "ambiguity_policy",
)
PER_SECOND_LIMIT = 10_000
STARTS_WITHIN_MINS = (15, 60, 180, 720, 1440)
EXPIRES_AFTER_MINS = (60, 180, 360, 720, 1440, 2880, 10080)


class SendingPart(CheckedForm):
    """Each input is a column of Campaign."""

    per_second = forms.IntegerField(
        label="At most … messages per second",
        required=False,
        min_value=1,
        max_value=PER_SECOND_LIMIT,
        widget=NumberInput(attrs={"placeholder": "as fast as the connection allows"}),
        help_text="Slow down if your site could not take everybody at once.",
    )
    avoid_quarter_hours = switch(
        "Avoid the quarter hours",
        "Rests two minutes around :00, :15, :30 and :45, when all the world is sending.",
    )
    start_within_mins = Choice(
        "Latest start",
        STARTS_WITHIN_MINS,
        lambda mins: f"{exact_span(60 * mins)} late",
        help_text="If a server was down: later than that the send is held, and you are asked.",
    )
    expires_after_mins = Choice(
        "Stop sending after",
        EXPIRES_AFTER_MINS,
        lambda mins: exact_span(60 * mins),
        "Never: everybody gets it",
        help_text="Who was not reached by then does not get it any more.",
    )
    ambiguity_policy = forms.ChoiceField(
        label="If a server dies while sending",
        choices=AmbiguityPolicy.choices,
        widget=UnfoldAdminSelectWidget(),
        required=False,
        help_text="A few messages then have no answer: nobody knows whether they arrived.",
    )

    def __init__(self, stored: Campaign, data: Any = None) -> None:
        self.stored = stored
        super().__init__(data, initial={name: getattr(stored, name) for name in SENDING_FIELDS})
        for name in ("start_within_mins", "expires_after_mins"):
            self.fields[name].offer(self.initial[name])  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """What was left out stays as it is stored."""
        cleaned = super().clean()
        for name in ("start_within_mins", "ambiguity_policy"):
            if not cleaned.get(name) and name not in self.errors:
                cleaned[name] = getattr(self.stored, name)
        starts, ends = cleaned.get("start_within_mins"), cleaned.get("expires_after_mins")
        if starts and ends and ends < starts:
            late = exact_span(60 * starts)
            self.add_error(
                "expires_after_mins", f"The send may start {late} late; it cannot end before that."
            )
        return cleaned

    def put_into(self, campaign: Campaign) -> None:
        """What the valid form says, into the campaign, which is not saved."""
        for name in SENDING_FIELDS:
            setattr(campaign, name, self.cleaned_data[name])


def changed_sending(campaign: Campaign) -> bool:
    """True if any column of SendingPart differs from its default."""
    untouched = Campaign()
    return any(getattr(campaign, name) != getattr(untouched, name) for name in SENDING_FIELDS)
