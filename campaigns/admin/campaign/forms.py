"""The one form of a campaign: message, audience and schedule. Drafts may be unfinished; lint says what is missing."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from campaigns.admin.campaign import builders
from campaigns.admin.campaign.message import MessagePart, main_content
from campaigns.admin.campaign.options import SENDING_FIELDS, SendingOptions, TargetOptions
from campaigns.admin.campaign.schedule import ScheduleFields, stored_schedule
from campaigns.admin.contact.attributes import Attribute, known_attributes
from campaigns.audience.segments import OPERATORS, Rule, RuleError
from campaigns.channels import registry
from campaigns.channels.base import control_problem
from campaigns.channels.inputs import select_field, text_field
from campaigns.models import Campaign, Template
from tenants.models import Workspace

AUDIENCE_FIELDS = ("audience", "audience_field", "audience_op", "audience_value")


class CampaignForm(MessagePart, TargetOptions, SendingOptions, ScheduleFields, forms.ModelForm):
    """`workspace` is set on a subclass made per request. `snapshot()` is the message as it stands, saved or not.

    `seen`: when the campaign that the page was opened with had been saved; `meanwhile`: the sentence that the form is
    shown again with, because somebody saved it after that. `form_key`: of one opened add page, so that it makes one
    draft however often it is posted.
    """

    workspace: Workspace
    meanwhile: ClassVar[str] = ""

    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    form_key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    name = forms.CharField(
        label="Name",
        max_length=100,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Weekend sale", "autofocus": True}),
        help_text="Only your team sees this.",
    )
    channel = forms.ChoiceField(label="Channel", choices=registry.choices, widget=forms.RadioSelect)
    template_used = forms.IntegerField(required=False, widget=forms.HiddenInput)
    audience = forms.ChoiceField(
        label="Audience",
        choices=[
            ("everyone", "Everyone"), ("rule", "People who match"), ("custom", "Saved rule"),
            *registry.broadcasts(),
        ],
        widget=forms.RadioSelect,
    )  # fmt: skip
    audience_field = forms.CharField(label="Field", required=False, max_length=100, widget=UnfoldAdminSelectWidget())
    audience_op = select_field("Comparison", [(key, op.words) for key, op in OPERATORS.items()])
    audience_value = text_field("Value", 2000)

    schedule_type = forms.ChoiceField(label="When", choices=Campaign.Schedule.choices, widget=forms.RadioSelect)

    class Meta:
        model = Campaign
        fields = ("name", "channel", "tone", "schedule_type", "time_zone", "recurrence_rule", *SENDING_FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance: Campaign | None = kwargs.get("instance")
        self.content = main_content(instance, self.workspace)
        self.attributes: dict[str, Attribute] = known_attributes(self.workspace)
        given = {**(kwargs.get("initial") or {})}
        message = given.pop("message", None)
        kwargs["initial"] = {**self._stored(instance), **given}
        super().__init__(*args, **kwargs)
        self.hold_message(str((self.data if self.is_bound else self.initial).get("channel") or ""), message)
        self.offer_zones()
        self.fields["audience_field"].widget.choices = self._field_choices()
        for name in ("start_within_mins", "expires_after_mins"):
            self.fields[name].offer(self.initial.get(name))  # type: ignore[attr-defined]

    def _stored(self, instance: Campaign | None) -> dict[str, Any]:
        """What the stored campaign says, in the words of the form's own fields."""
        rule = instance.audience_rule if instance else {}
        simple = builders.read_rule(rule) if rule else None
        start = {"channel": registry.DEFAULT, "schedule_type": Campaign.Schedule.NOW, "month_day": "1"}
        start |= {name: getattr(Campaign(), name) for name in SENDING_FIELDS}
        to = instance.target_kind if instance and instance.is_broadcast else ""
        return {
            **({"channel": instance.channel} if instance and instance.pk else start),
            "tone": self.content.tone,
            "template_used": instance.template_id if instance else None,
            "form_key": "" if instance and instance.pk else secrets.token_urlsafe(12),
            "seen": instance.updated_at.isoformat() if instance and instance.pk else "",
            "audience": to or ("everyone" if not rule else "rule" if simple else "custom"),
            **({to: instance.target} if instance and to else {}),
            **dict(zip(("audience_field", "audience_op", "audience_value"), simple or ("", "is", ""), strict=True)),
            **stored_schedule(instance, self.workspace),
        }

    def _field_choices(self) -> list[tuple[str, Any]]:
        chosen = self.initial.get("audience_field") if not self.is_bound else self.data.get("audience_field")
        fields = {field: attribute.label for field, attribute in self.attributes.items()}
        if chosen and chosen not in fields:
            fields[chosen] = str(chosen).removeprefix("attributes.")
        own = [(field, label) for field, label in fields.items() if field.startswith("attributes.")]
        system = [(field, label) for field, label in fields.items() if not field.startswith("attributes.")]
        return [("", "Choose…"), ("About the person", system), *([("Your attributes", own)] if own else [])]

    # --- cleaning -------------------------------------------------------------------------------------------
    def clean_template_used(self) -> int | None:
        """Only a hint where the text came from: one that is gone or foreign is dropped."""
        pk = self.cleaned_data["template_used"]
        return pk if pk and Template.objects.filter(pk=pk).exists() else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.meanwhile:
            self.put("seen", self.initial["seen"])
            self.add_error(None, self.meanwhile)
        for name, value in list(cleaned.items()):
            if isinstance(value, str) and (problem := control_problem(str(self.fields[name].label), value)):
                self.add_error(name, problem)
        self.check_sending(self.instance)
        self._clean_target(cleaned)
        try:
            if not self.has_any_error(AUDIENCE_FIELDS):  # one sentence for one mistake
                cleaned["rule"] = self.audience_rule()
        except RuleError as error:
            self.add_error("audience_value" if "value" in str(error) else "audience", str(error))
        self.check_schedule(is_series=cleaned.get("schedule_type") == Campaign.Schedule.RECURRING)
        return cleaned

    def _clean_target(self, cleaned: dict[str, Any]) -> None:
        kind = str(cleaned.get("audience") or "")
        try:
            cleaned["target_kind"], cleaned["target"] = self.chosen_target(kind)
        except ValueError as error:
            self.add_error(kind, str(error))

    def audience_rule(self) -> Rule:
        """The rule as it stands in the form; a broadcast has none. Raises RuleError."""
        chosen = self.cleaned_data.get("audience")
        if chosen in ("everyone", *dict(registry.broadcasts())):
            return {}
        if chosen == "custom":
            return dict(self.instance.audience_rule)
        field, op, value = (self.cleaned_data.get(f"audience_{part}") or "" for part in ("field", "op", "value"))
        known = self.attributes.get(field)
        return builders.build_rule(field, op, value, known.kind if known else "")

    def would_undo(self, stored: Campaign) -> bool:
        """Whether saving would put an older state over `stored`. Not if the form says what is stored already: a second
        click on “Save”. A form without `seen` is not asked."""
        now, seen = stored.updated_at.isoformat(), self.cleaned_data["seen"]
        says_the_same = self.initial["seen"] == now and set(self.changed_data) <= {"seen", "form_key"}
        return seen not in ("", now) and not says_the_same

    # --- results --------------------------------------------------------------------------------------------
    def save(self, commit: bool = True) -> Campaign:
        self.instance.audience_rule = self.cleaned_data["rule"]
        self.instance.target_kind = self.cleaned_data["target_kind"]
        self.instance.target = self.cleaned_data["target"]
        self.instance.template_id = self.cleaned_data["template_used"]
        self.put_schedule(self.instance)
        saved: Campaign = super().save(commit)
        return saved

    def save_content(self, campaign: Campaign) -> None:
        content = self.written()
        content.campaign, content.workspace = campaign, campaign.workspace
        content.save()
        if "channel" in self.changed_data:  # the other languages go with it
            campaign.contents.update(channel=campaign.channel)
