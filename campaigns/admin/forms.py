"""The one form of a campaign: message, audience and schedule. Drafts may be unfinished; lint says what is missing."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from campaigns.admin import builders
from campaigns.admin.attributes import Attribute, known_attributes
from campaigns.lint import SENDABLE
from campaigns.models import BODY_LIMIT, TITLE_LIMIT, Campaign, Channel, Content, Template, Tone
from campaigns.render import TEXT_FIELDS, RenderError, compile_text, is_dynamic
from campaigns.segments import OPERATORS, Rule, RuleError
from pushpilot.lib import clock
from tenants.models import Workspace

TTLS = {
    "": "As long as the provider allows (4 weeks)",
    "0": "Now or never",
    "3600": "1 hour",
    "21600": "6 hours",
    "86400": "1 day",
    "259200": "3 days",
    "604800": "1 week",
}
PRIORITIES = {"": "Standard", "high": "High: wakes a sleeping phone", "normal": "Normal: may wait to save battery"}
OPTIONS = ("ttl_secs", "priority", "collapse_key", "android_channel", "sound", "badge", "silent", "data")
MONTH_DAYS = [*((str(day), str(day)) for day in range(1, 32)), ("-1", "last day")]
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_https = URLValidator(schemes=["https"])


class WallClockField(forms.DateTimeField):
    """A date and time on the clocks of `zone`; cleaned to UTC."""

    zone: ZoneInfo = ZoneInfo("UTC")

    def prepare_value(self, value: Any) -> Any:
        return f"{value.astimezone(self.zone):%Y-%m-%dT%H:%M}" if isinstance(value, datetime) else value

    def to_python(self, value: Any) -> datetime | None:
        if not value:
            return None
        try:
            wall = datetime.fromisoformat(str(value)).replace(tzinfo=None)
        except ValueError:
            raise ValidationError("Write a date and a time, for example 2027-01-31 18:00.") from None
        if not 2000 <= wall.year < 2100:
            raise ValidationError("Choose a date between the years 2000 and 2099.")
        return clock.resolve(wall, self.zone)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial) != self.prepare_value(data))


class _DateTimeInput(UnfoldAdminTextInputWidget):
    input_type = "datetime-local"


class _NumberInput(UnfoldAdminTextInputWidget):
    input_type = "number"


def _text(label: str, limit: int, placeholder: str = "", help_text: str = "") -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder})
    return forms.CharField(label=label, max_length=limit, required=False, widget=widget, help_text=help_text)


def _select(label: str, choices: Any, **options: Any) -> forms.ChoiceField:
    widget = UnfoldAdminSelectWidget()
    return forms.ChoiceField(label=label, choices=choices, required=False, widget=widget, **options)


class CampaignForm(forms.ModelForm):
    """`workspace` is set on a subclass made per request. `snapshot()` is the message as it stands, saved or not."""

    workspace: ClassVar[Workspace]

    name = forms.CharField(
        label="Name",
        max_length=100,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Weekend sale", "autofocus": True}),
        help_text="Only your team sees this.",
    )
    channel = forms.ChoiceField(label="Channel", choices=Channel.choices, widget=forms.RadioSelect)
    template_used = forms.IntegerField(required=False, widget=forms.HiddenInput)
    tone = _select("Tone", [("", "No particular tone"), *Tone.choices])
    title = _text("Title", TITLE_LIMIT, "20% off this weekend")
    body = forms.CharField(
        label="Text",
        max_length=BODY_LIMIT,
        required=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 4, "placeholder": "Hi {{ first_name | default: 'there' }}, free delivery until Sunday."}
        ),
    )
    image_url = _text("Image", 500, "https://…/picture.jpg", "Optional. An https address of a JPEG or PNG under 1 MB.")
    deep_link = _text("Link", 500, "https://… or yourapp://offers", "Optional. Where a tap leads.")
    ttl_secs = _select("Keep trying for", list(TTLS.items()), help_text="If the phone is off, how long to keep trying.")
    priority = _select("Priority", list(PRIORITIES.items()))
    collapse_key = _text("Collapse key", 64, "sale", "A newer message with the same key replaces the older one.")
    android_channel = _text("Android channel", 64, "offers", "The notification channel in your Android app.")
    sound = _text("Sound", 64, "default")
    badge = forms.IntegerField(
        label="Badge", required=False, min_value=0, max_value=9999, widget=_NumberInput(),
        help_text="The number on the app's icon.",
    )  # fmt: skip
    silent = forms.BooleanField(
        label="Silent", required=False, widget=UnfoldBooleanSwitchWidget(),
        help_text="Delivers data to the app and shows nothing.",
    )  # fmt: skip
    data_lines = forms.CharField(
        label="Data for the app", required=False, max_length=4000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "screen=offers\nsale_id=42"}),
        help_text="One key=value per line.",
    )  # fmt: skip

    audience = forms.ChoiceField(
        label="Audience",
        choices=[("everyone", "Everyone"), ("rule", "People who match"), ("custom", "Saved rule")],
        widget=forms.RadioSelect,
    )
    audience_field = forms.CharField(label="Field", required=False, max_length=100, widget=UnfoldAdminSelectWidget())
    audience_op = _select("Comparison", [(key, op.words) for key, op in OPERATORS.items()])
    audience_value = _text("Value", 2000)

    schedule_type = forms.ChoiceField(label="When", choices=Campaign.Schedule.choices, widget=forms.RadioSelect)
    scheduled_at = WallClockField(label="Date and time", required=False, widget=_DateTimeInput())
    repeat = _select("Repeat", list(builders.REPEATS.items()))
    interval = forms.IntegerField(
        label="Every", required=False, min_value=1, max_value=99,
        widget=_NumberInput(),
    )  # fmt: skip
    weekdays = forms.MultipleChoiceField(
        label="On", required=False, choices=list(builders.WEEKDAYS.items()), widget=forms.CheckboxSelectMultiple
    )
    month_day = _select("On day", MONTH_DAYS)
    recurrence_rule = _text("Rule", 512, "FREQ=WEEKLY;BYDAY=MO,FR", "An RFC 5545 recurrence rule.")

    class Meta:
        model = Campaign
        fields = ("name", "channel", "tone", "schedule_type", "scheduled_at", "recurrence_rule")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance: Campaign | None = kwargs.get("instance")
        self.content = _main_content(instance, self.workspace)
        self.attributes: dict[str, Attribute] = known_attributes(self.workspace)
        kwargs["initial"] = {**self._stored(instance), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        self.fields["scheduled_at"].zone = self.workspace.zone  # type: ignore[attr-defined]
        self.fields["audience_field"].widget.choices = self._field_choices()

    def _stored(self, instance: Campaign | None) -> dict[str, Any]:
        """What the stored campaign says, in the words of the form's own fields."""
        rule = instance.audience_rule if instance else {}
        simple = builders.read_rule(rule) if rule else None
        options = self.content.options
        start = {"channel": Channel.APP_PUSH, "schedule_type": Campaign.Schedule.NOW, "month_day": "1"}
        return {
            **({} if instance and instance.pk else start),
            **{name: getattr(self.content, name) for name in TEXT_FIELDS},
            **{name: options.get(name) for name in OPTIONS if name != "data"},
            "data_lines": builders.data_lines(options.get("data") or {}),
            "template_used": instance.template_id if instance else None,
            "audience": "everyone" if not rule else "rule" if simple else "custom",
            **dict(zip(("audience_field", "audience_op", "audience_value"), simple or ("", "is", ""), strict=True)),
            **builders.read_recurrence(instance.recurrence_rule if instance else ""),
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
    def clean_channel(self) -> str:
        channel = self.cleaned_data["channel"]
        if channel not in SENDABLE and channel != self.instance.channel:
            raise ValidationError(f"{Channel(channel).label} comes soon; choose app push or web push.")
        return str(channel)

    def clean_template_used(self) -> int | None:
        """Only a hint where the text came from: one that is gone or foreign is dropped."""
        pk = self.cleaned_data["template_used"]
        return pk if pk and Template.objects.filter(pk=pk).exists() else None

    def _clean_liquid(self, field: str) -> str:
        source = str(self.cleaned_data[field])
        try:
            compile_text(source)
        except RenderError as error:
            raise ValidationError(f"The personalisation cannot be read: {error}.") from error
        return source

    def clean_title(self) -> str:
        return self._clean_liquid("title")

    def clean_body(self) -> str:
        return self._clean_liquid("body")

    def clean_image_url(self) -> str:
        url = self._clean_liquid("image_url")
        if url and not is_dynamic(url):
            try:
                _https(url)
            except ValidationError:
                raise ValidationError("Write the whole address of the image; it starts with https://.") from None
        return url

    def clean_deep_link(self) -> str:
        link = self._clean_liquid("deep_link")
        if link and not is_dynamic(link) and not _SCHEME.fullmatch(link):
            raise ValidationError("Write the whole link, for example https://shop.example/sale or yourapp://offers.")
        return link

    def clean_collapse_key(self) -> str:
        key = str(self.cleaned_data["collapse_key"])
        if is_dynamic(key):  # a device holds four keys at a time; one per recipient would drop messages
            raise ValidationError("The collapse key is the same for everybody; leave personalisation out.")
        return key

    def clean_data_lines(self) -> dict[str, str]:
        try:
            return builders.build_data(self.cleaned_data["data_lines"])
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        try:
            cleaned["rule"] = self.audience_rule()
        except RuleError as error:
            self.add_error("audience_value" if "value" in str(error) else "audience", str(error))
        if cleaned.get("schedule_type") == Campaign.Schedule.RECURRING:
            try:
                cleaned["recurrence_rule"] = self.recurrence()
            except clock.RecurrenceError as error:
                field = {"weekly": "weekdays", "monthly": "month_day", "daily": "interval"}
                self.add_error(field.get(cleaned.get("repeat", ""), "recurrence_rule"), str(error))
        else:
            cleaned["recurrence_rule"] = ""
        return cleaned

    def audience_rule(self) -> Rule:
        """The rule as it stands in the form. Raises RuleError."""
        chosen = self.cleaned_data.get("audience")
        if chosen == "everyone":
            return {}
        if chosen == "custom":
            return dict(self.instance.audience_rule)
        field, op, value = (self.cleaned_data.get(f"audience_{part}") or "" for part in ("field", "op", "value"))
        known = self.attributes.get(field)
        return builders.build_rule(field, op, value, known.kind if known else "")

    def recurrence(self) -> str:
        """The repetition as it stands in the form. Raises RecurrenceError."""
        given = self.cleaned_data.get
        return builders.build_recurrence(
            given("repeat") or "weekly", given("interval") or 1, given("weekdays") or [],
            int(given("month_day") or 1), given("recurrence_rule") or "",
        )  # fmt: skip

    # --- results --------------------------------------------------------------------------------------------
    def options(self) -> dict[str, Any]:
        """What goes into Content.options: filled options only."""
        options: dict[str, Any] = {name: self.cleaned_data.get(name) for name in OPTIONS}
        options["data"] = self.cleaned_data.get("data_lines")
        if ttl := options["ttl_secs"]:
            options["ttl_secs"] = int(ttl)
        kept = {name: value for name, value in self.content.options.items() if name not in OPTIONS}
        filled = {name: value for name, value in options.items() if value or (value == 0 and value is not False)}
        return {**kept, **filled}

    def snapshot(self) -> dict[str, Any]:
        """The message with whatever of the bound form is valid, as Content.snapshot would give it."""
        texts = {name: self.cleaned_data.get(name, self.data.get(name, "")) for name in TEXT_FIELDS}
        return {**self.options(), **texts, "language": self.content.language, "variant": self.content.variant}

    def save(self, commit: bool = True) -> Campaign:
        self.instance.audience_rule = self.cleaned_data["rule"]
        self.instance.template_id = self.cleaned_data["template_used"]
        saved: Campaign = super().save(commit)
        return saved

    def save_content(self, campaign: Campaign) -> None:
        for name in TEXT_FIELDS:
            setattr(self.content, name, self.cleaned_data[name])
        self.content.campaign, self.content.workspace = campaign, campaign.workspace
        self.content.tone, self.content.options = self.cleaned_data["tone"], self.options()
        self.content.save()


def _main_content(campaign: Campaign | None, workspace: Workspace) -> Content:
    """The content that the form edits: the one in the workspace's language, else the first, else a new one."""
    contents = list(campaign.contents.order_by("variant", "id")) if campaign and campaign.pk else []
    in_default = [content for content in contents if content.language == workspace.default_language]
    return next(iter([*in_default, *contents]), None) or Content(language=workspace.default_language)
