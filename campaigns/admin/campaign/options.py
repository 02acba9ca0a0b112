"""The folded parts of the campaign form: what else a message carries, to which topic it goes, how it is sent.

Each part is a form of its own that CampaignForm inherits. `TITLES` names their fields in findings and notes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from campaigns.admin.campaign import builders
from campaigns.channels.push import schema, topics
from campaigns.channels.push.channel import WEB_PUSH
from campaigns.models import PEOPLE, AmbiguityPolicy, Campaign
from pushpilot.lib.words import exact_span

# What these forms write into Content.options; other keys there are kept.
OPTIONS = (
    "ttl_secs", "priority", "collapse_key", "android_channel", "sound", "badge", "icon_url", "silent", "data_only",
    "data", "buttons",
)  # fmt: skip
BUTTON_NUMBERS = range(1, schema.BUTTON_LIMIT + 1)
BUTTON_FIELDS = tuple(f"button_{number}_{part}" for number in BUTTON_NUMBERS for part in ("text", "url"))
# Which inputs open the folded part when one of them has an error or a value.
OPTION_FIELDS = (*(name for name in OPTIONS if name not in ("data", "buttons")), "data_lines", *BUTTON_FIELDS, "tone")
SENDING_FIELDS = (
    "per_second", "avoid_quarter_hours", "start_within_mins", "expires_after_mins", "ambiguity_policy"
)  # fmt: skip
PER_SECOND_LIMIT = 10_000

_HOUR, _DAY = 3600, 24 * 3600
# Of no use to a message that shows nothing.
_SHOWN = frozenset({"image_url", "sound", "badge", "android_channel", "icon_url", "data_only"})
TTLS = (0, _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY)  # the standard is the longest
PRIORITIES = {"": "Standard", "high": "High: wakes a sleeping phone", "normal": "Normal: may wait to save battery"}
STARTS_WITHIN_MINS = (15, 60, 180, 720, 1440)
EXPIRES_AFTER_MINS = (60, 180, 360, 720, 1440, 2880, 10080)


class NumberInput(UnfoldAdminTextInputWidget):
    input_type = "number"


class Choice(forms.TypedChoiceField):
    """A select of numbers; a stored number that is none of the choices becomes one, so that saving keeps it."""

    def __init__(self, label: str, values: tuple[int, ...], words: Any, empty: str | None = None, **options: Any):
        self.words, self.values, self.empty = words, values, empty
        options = {"required": False, "coerce": int, "empty_value": None, **options}
        super().__init__(label=label, choices=self._pairs(None), widget=UnfoldAdminSelectWidget(), **options)

    def _pairs(self, stored: int | None) -> list[tuple[str, str]]:
        values = sorted({*self.values, *([] if stored is None else [stored])})
        blank = [] if self.empty is None else [("", self.empty)]
        return [*blank, *((str(value), self.words(value)) for value in values)]

    def offer(self, stored: object) -> None:
        if isinstance(stored, int) and not isinstance(stored, bool) and stored not in self.values:
            self.choices = self._pairs(stored)


def text_field(label: str, limit: int, placeholder: str = "", help_text: str = "") -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder})
    return forms.CharField(label=label, max_length=limit, required=False, widget=widget, help_text=help_text)


def select_field(label: str, choices: Any, **options: Any) -> forms.ChoiceField:
    widget = UnfoldAdminSelectWidget()
    return forms.ChoiceField(label=label, choices=choices, required=False, widget=widget, **options)


def _switch(label: str, help_text: str) -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, widget=UnfoldBooleanSwitchWidget(), help_text=help_text)


def _ttl_words(secs: int) -> str:
    return exact_span(secs) if secs else "Now or never"


class MessageOptions(forms.Form):
    """What a message carries beside its texts."""

    button_1_text = text_field("First button", schema.BUTTON_TEXT_LIMIT, "Shop now")
    button_1_url = text_field("Its link", 500, "https://… or yourapp://sale")
    button_2_text = text_field("Second button", schema.BUTTON_TEXT_LIMIT, "Remind me later")
    button_2_url = text_field("Its link", 500)
    button_3_text = text_field("Third button", schema.BUTTON_TEXT_LIMIT)
    button_3_url = text_field("Its link", 500)
    ttl_secs = Choice(
        "Keep trying for", TTLS, _ttl_words, "4 weeks (standard)",
        help_text="If the phone is off, how long to keep trying.",
    )  # fmt: skip
    priority = select_field("Priority", list(PRIORITIES.items()))
    collapse_key = text_field("Replaces", 64, "sale", "A newer message with the same key replaces the older one.")
    android_channel = text_field("Android channel", 64, "offers", "The notification channel in your Android app.")
    sound = text_field("Sound", 64, "default", "“default”, or the name of a sound in your app.")
    badge = forms.IntegerField(
        label="Badge", required=False, min_value=0, max_value=schema.BADGE_LIMIT, widget=NumberInput(),
        help_text="The number on the app's icon; 0 removes it.",
    )  # fmt: skip
    icon_url = text_field("Icon", 500, "https://…/icon.png", "The small picture beside the text in a browser.")
    silent = _switch("Silent", "Delivers data to the app and shows nothing.")
    data_only = _switch(
        "The app draws it",
        "Android hands the message to your app, which shows it itself. Without code for it in the app nothing appears.",
    )
    data_lines = forms.CharField(
        label="Data for the app", required=False, max_length=4000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "screen=offers\nsale_id=42"}),
        help_text="One key=value per line. Your developers say which ones the app understands.",
    )  # fmt: skip

    def clean_collapse_key(self) -> str:
        return _without(schema.collapse_key_problem, self.cleaned_data["collapse_key"])

    def clean_icon_url(self) -> str:
        return _without(schema.image_problem, self.cleaned_data["icon_url"])

    def clean_data_lines(self) -> dict[str, str]:
        try:
            return builders.build_data(self.cleaned_data["data_lines"])
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def button_rows(self) -> list[tuple[Any, Any]]:
        """(text, link) inputs of each button, for the page."""
        return [(self[f"button_{number}_text"], self[f"button_{number}_url"]) for number in BUTTON_NUMBERS]

    def check_buttons(self, channel: str) -> None:
        """Add the errors of the buttons; part of clean()."""
        for number in BUTTON_NUMBERS:
            button = self._button(number)
            if button and (problem := schema.button_problem(number, button, is_web=channel == WEB_PUSH)):
                self.add_error(*problem)

    def _button(self, number: int) -> dict[str, str]:
        parts = {part: str(self.cleaned_data.get(f"button_{number}_{part}") or "").strip() for part in ("text", "url")}
        return {part: text for part, text in parts.items() if text}

    def message_options(self) -> dict[str, Any]:
        """What the inputs say, filled options only."""
        options: dict[str, Any] = {name: self.cleaned_data.get(name) for name in OPTIONS}
        options["data"] = self.cleaned_data.get("data_lines")
        filled = (self._button(number) for number in BUTTON_NUMBERS)
        options["buttons"] = [button for button in filled if button.get("text")]
        return {name: value for name, value in options.items() if value or (value == 0 and value is not False)}


def stored_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """A content's options as the inputs show them."""
    shown = {name: options.get(name) for name in OPTIONS if name not in ("data", "buttons")}
    shown["data_lines"] = builders.data_lines(options.get("data") or {})
    for number, button in zip(BUTTON_NUMBERS, options.get("buttons") or [], strict=False):
        shown |= {f"button_{number}_{part}": button.get(part, "") for part in ("text", "url")}
    return shown


def option_words(message: Mapping[str, Any], hidden: Collection[str] = ()) -> list[tuple[str, str]]:
    """(label, words) of what a message (Content.snapshot) carries beside its texts, where it differs from the standard.
    A silent one shows nothing, so what is only shown is left out."""
    shown = {name: message.get(name) for name in OPTIONS if name not in hidden} | {
        "image_url": message.get("image_url")
    }
    if shown.get("silent"):
        shown = {name: value for name, value in shown.items() if name not in _SHOWN}
    ttl, data = shown.get("ttl_secs"), dict(sorted((shown.get("data") or {}).items()))  # jsonb has its own order
    words = {
        "silent": "Delivers data to the app and shows nothing." if shown.get("silent") else "",
        "image_url": shown.get("image_url"),
        "ttl_secs": "" if ttl is None else _ttl_words(ttl),
        "priority": PRIORITIES.get(shown.get("priority") or "") if shown.get("priority") else "",
        "collapse_key": shown.get("collapse_key") and f"The last message with the key “{shown['collapse_key']}”",
        "android_channel": shown.get("android_channel"),
        "sound": shown.get("sound"),
        "badge": shown.get("badge"),
        "icon_url": shown.get("icon_url"),
        "data_only": "Android hands the message to your app." if shown.get("data_only") else "",
        "data_lines": ", ".join(builders.data_lines(data).splitlines()),
    }
    labels = {"image_url": "Image", **{name: str(field.label) for name, field in MessageOptions.base_fields.items()}}
    buttons = [
        (f"Button {number}", f"{button.get('text', '')} → {button.get('url') or 'no link'}")
        for number, button in enumerate(shown.get("buttons") or (), start=1)
    ]
    found = [(labels[name], str(value)) for name, value in words.items() if value not in (None, "")]
    return [*found, *buttons]


_BROADCASTS = {one.key: one for one in topics.BROADCASTS}


class TargetOptions(forms.Form):
    """Where a message goes that FCM spreads by itself."""

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
    avoid_quarter_hours = _switch(
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


def _without(problem_of: Any, text: str) -> str:
    """The text, if there is no problem with it. Raises ValidationError."""
    if problem := problem_of(text):
        raise ValidationError(problem)
    return text
