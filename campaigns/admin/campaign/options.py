"""Parts of the campaign form: the topic that it goes to, and how it is sent."""

from __future__ import annotations

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget

from campaigns.channels.inputs import Choice, NumberInput, switch, text_field
from campaigns.channels.push import topics
from campaigns.models import PEOPLE, AmbiguityPolicy, Campaign
from pushpilot.lib.display import exact_span

SENDING_FIELDS = ("per_second", "avoid_quarter_hours", "start_within_mins", "expires_after_mins", "ambiguity_policy")
PER_SECOND_LIMIT = 10_000
STARTS_WITHIN_MINS = (15, 60, 180, 720, 1440)
EXPIRES_AFTER_MINS = (60, 180, 360, 720, 1440, 2880, 10080)

_BROADCASTS = {one.key: one for one in topics.BROADCASTS}


class TargetOptions(forms.Form):
    """Where a broadcast goes."""

    topic = text_field("Topic", topics.TOPIC_LIMIT, "news", "The name that your app subscribes its devices to.")
    condition = text_field("Condition", 500, "'news' in topics && ('pune' in topics || 'mumbai' in topics)",
                           "Up to five topics, joined by && (and), || (or) and brackets.")  # fmt: skip

    def chosen_target(self, kind: str) -> tuple[str, str]:
        """(target kind, target) for the audience radio's value. Raises ValueError with a sentence."""
        broadcast = _BROADCASTS.get(kind)
        if broadcast is None:
            return PEOPLE, ""
        return kind, broadcast.check(str(self.cleaned_data.get(kind) or ""))


class SendingOptions(forms.Form):
    """How fast and how long; each is a column of Campaign."""

    per_second = forms.IntegerField(
        label="At most … messages per second", required=False, min_value=1, max_value=PER_SECOND_LIMIT,
        widget=NumberInput(attrs={"placeholder": "as fast as the connection allows"}),
        help_text="Slow down if your site could not take everybody at once.",
    )  # fmt: skip
    avoid_quarter_hours = switch(
        "Avoid the quarter hours", "Rests two minutes around :00, :15, :30 and :45, when all the world is sending."
    )
    start_within_mins = Choice(
        "Latest start", STARTS_WITHIN_MINS, lambda mins: f"{exact_span(60 * mins)} late",
        help_text="If a server was down: later than that the send is held, and you are asked.",
    )  # fmt: skip
    expires_after_mins = Choice(
        "Stop sending after", EXPIRES_AFTER_MINS, lambda mins: exact_span(60 * mins), "Never: everybody gets it",
        help_text="Who was not reached by then does not get it any more.",
    )  # fmt: skip
    ambiguity_policy = forms.ChoiceField(
        label="If a server dies while sending", choices=AmbiguityPolicy.choices, widget=UnfoldAdminSelectWidget(),
        required=False, help_text="A few messages then have no answer: nobody knows whether they arrived.",
    )  # fmt: skip

    def check_sending(self, stored: Campaign) -> None:
        """Part of clean(): what was left out stays as it is stored."""
        for name in ("start_within_mins", "ambiguity_policy"):
            if not self.cleaned_data.get(name) and name not in self.errors:
                self.cleaned_data[name] = getattr(stored, name)
        starts, ends = self.cleaned_data.get("start_within_mins"), self.cleaned_data.get("expires_after_mins")
        if starts and ends and ends < starts:
            late = exact_span(60 * starts)
            self.add_error("expires_after_mins", f"The send may start {late} late; it cannot end before that.")


def changed_sending(campaign: Campaign) -> bool:
    """True if any column of SendingOptions differs from its default."""
    untouched = Campaign()
    return any(getattr(campaign, name) != getattr(untouched, name) for name in SENDING_FIELDS)
