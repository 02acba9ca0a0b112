"""How a campaign is sent, in its form: how fast, how late, how long."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from campaigns.channels.inputs import CheckedForm, Choice, NumberInput, switch
from campaigns.models import AmbiguityPolicy, Campaign
from campaigns.sending import (
    EXPIRES_AFTER_MINS,
    PER_SECOND_LIMIT,
    SENDING_FIELDS,
    STARTS_WITHIN_MINS,
    problem_of_end,
)
from pushpilot.lib.display import exact_span


class SendingPart(CheckedForm):
    """Each input is a column of Campaign."""

    per_second = forms.IntegerField(
        label=gettext_lazy("Messages per second"),
        required=False,
        min_value=1,
        max_value=PER_SECOND_LIMIT,
        widget=NumberInput(attrs={"placeholder": gettext_lazy("No limit")}),
        help_text=gettext_lazy(
            "Limit the speed if your site cannot take all visitors at the same time."
        ),
    )
    avoid_quarter_hours = switch(
        gettext_lazy("Avoid the quarter hours"),
        gettext_lazy(
            "Pauses for two minutes around :00, :15, :30 and :45, when most platforms send."
        ),
    )
    start_within_mins = Choice(
        gettext_lazy("Latest start"),
        STARTS_WITHIN_MINS,
        lambda mins: _("%(span)s late") % {"span": exact_span(60 * mins)},
        help_text=gettext_lazy(
            "A later start waits for your decision, for example after a server failure."
        ),
    )
    expires_after_mins = Choice(
        gettext_lazy("Stop sending after"),
        EXPIRES_AFTER_MINS,
        lambda mins: exact_span(60 * mins),
        gettext_lazy("Never"),
        help_text=gettext_lazy("Recipients who wait longer do not get the message."),
    )
    ambiguity_policy = forms.ChoiceField(
        label=gettext_lazy("After a server failure"),
        choices=AmbiguityPolicy.choices,
        widget=UnfoldAdminSelectWidget(),
        required=False,
        help_text=gettext_lazy(
            "Applies to messages without an answer from the provider: they may or may not arrive."
        ),
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
        if problem := problem_of_end(starts, ends):
            self.add_error("expires_after_mins", problem)
        return cleaned

    def put_into(self, campaign: Campaign) -> None:
        """What the valid form says, into the campaign, which is not saved."""
        for name in SENDING_FIELDS:
            setattr(campaign, name, self.cleaned_data[name])


def changed_sending(campaign: Campaign) -> bool:
    """True if any column of SendingPart differs from its default."""
    untouched = Campaign()
    return any(getattr(campaign, name) != getattr(untouched, name) for name in SENDING_FIELDS)
