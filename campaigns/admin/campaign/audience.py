"""The audience part of the campaign form: people that a rule matches, or the subscribers of a
broadcast."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from campaigns.admin.campaign import builders
from campaigns.admin.parts import SWITCH
from campaigns.audience.segments import OPERATORS, Rule, RuleError
from campaigns.channels.base import Channel
from campaigns.channels.inputs import CheckedForm, select_field, text_field
from campaigns.contacts.attributes import Attribute, known_attributes
from campaigns.models import PEOPLE, Campaign
from tenants.models import Workspace

AUDIENCE_FIELDS = ("audience", "audience_field", "audience_op", "audience_value")
_PEOPLE_CHOICES = (
    ("everyone", gettext_lazy("Everyone")),
    ("rule", gettext_lazy("Matching people")),
    ("custom", gettext_lazy("Saved rule")),
)


class AudiencePart(CheckedForm):
    """`audience` is one of these choices, or the key of a broadcast of the channel, whose input
    has the same name.

    Cleaned: `rule`, `target_kind` and `target`, the columns of the campaign.
    """

    audience = forms.ChoiceField(label=gettext_lazy("Audience"), widget=forms.RadioSelect)
    audience_field = forms.CharField(
        label=gettext_lazy("Attribute"),
        required=False,
        max_length=100,
        widget=UnfoldAdminSelectWidget(),
    )
    audience_op = select_field(
        gettext_lazy("Comparison"), [(key, op.words) for key, op in OPERATORS.items()]
    )
    audience_value = text_field(gettext_lazy("Value"), 2000)

    def __init__(
        self, workspace: Workspace, channel: Channel, stored: Campaign, data: Any = None
    ) -> None:
        self.channel, self.stored = channel, stored
        self.attributes: dict[str, Attribute] = known_attributes(workspace)
        broadcasts = [(one.key, one.label) for one in channel.broadcasts]
        choices = [*_PEOPLE_CHOICES, *broadcasts]
        if data is not None and SWITCH in data and data.get("audience") not in dict(choices):
            data = {**data.dict(), "audience": "everyone"}  # a broadcast of the channel before
        super().__init__(data, initial=_shown(stored))
        for broadcast in channel.broadcasts:
            self.fields[broadcast.key] = text_field(
                broadcast.input_label,
                broadcast.limit_characters,
                broadcast.example,
                broadcast.help_text,
            )
        self.fields["audience"].choices = choices  # type: ignore[attr-defined]
        self.fields["audience_field"].widget.choices = self._field_choices()

    def _field_choices(self) -> list[tuple[str, Any]]:
        chosen = (self.data if self.is_bound else self.initial).get("audience_field")
        fields = {field: attribute.label for field, attribute in self.attributes.items()}
        if chosen and chosen not in fields:
            fields[chosen] = str(chosen).removeprefix("attributes.")
        own = [(field, label) for field, label in fields.items() if field.startswith("attributes.")]
        system = [
            (field, label) for field, label in fields.items() if not field.startswith("attributes.")
        ]
        groups = [(_("About the person"), system), (_("Your attributes"), own)]
        return [("", _("Choose…")), *((title, found) for title, found in groups if found)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        broadcast = self.channel.broadcast(str(cleaned.get("audience") or ""))
        cleaned["target_kind"], cleaned["target"] = PEOPLE, ""
        if broadcast is not None:
            try:
                target = broadcast.check(str(cleaned.get(broadcast.key) or ""))
                cleaned["target_kind"], cleaned["target"] = broadcast.key, target
            except ValueError as error:
                self.add_error(broadcast.key, str(error))
        try:
            # one sentence for one mistake
            if not any(self.has_error(name) for name in AUDIENCE_FIELDS):
                cleaned["rule"] = self.rule()
        except RuleError as error:
            self.add_error("audience_value" if "value" in str(error) else "audience", str(error))
        return cleaned

    def rule(self) -> Rule:
        """The rule as it stands in the form; a broadcast has none. Raises RuleError."""
        chosen = str(self.cleaned_data.get("audience") or "")
        if chosen == "everyone" or self.channel.broadcast(chosen):
            return {}
        if chosen == "custom":
            return dict(self.stored.audience_rule)
        field, op, value = (
            self.cleaned_data.get(f"audience_{part}") or "" for part in ("field", "op", "value")
        )
        known = self.attributes.get(field)
        return builders.build_rule(field, op, value, known.kind if known else "")

    def put_into(self, campaign: Campaign) -> None:
        """What the valid form says, into the campaign, which is not saved."""
        given = self.cleaned_data
        campaign.audience_rule, campaign.target_kind, campaign.target = (
            given["rule"],
            given["target_kind"],
            given["target"],
        )

    @property
    def broadcast_inputs(self) -> list[tuple[Any, Any]]:
        """(broadcast of the channel, its input), for the page."""
        return [(broadcast, self[broadcast.key]) for broadcast in self.channel.broadcasts]


def _shown(stored: Campaign) -> dict[str, Any]:
    """A campaign's audience as the inputs show it."""
    rule, simple = stored.audience_rule, None
    to, target = "", {}
    if stored.is_broadcast:
        to, target = stored.target_kind, {stored.target_kind: stored.target}
    if rule:
        simple = builders.read_rule(rule)
    return {
        "audience": to or _kind_of(rule, is_simple=simple is not None),
        **target,
        **dict(
            zip(
                ("audience_field", "audience_op", "audience_value"),
                simple or ("", "is", ""),
                strict=True,
            )
        ),
    }


def _kind_of(rule: Rule, *, is_simple: bool) -> str:
    """The choice that shows this rule."""
    if not rule:
        return "everyone"
    if is_simple:
        return "rule"
    return "custom"
