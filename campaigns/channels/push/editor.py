"""The editor of a push: its texts, its buttons, and the folded options."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.channels.base import Channel, Message
from campaigns.channels.editor import ContentForm
from campaigns.channels.inputs import (
    Choice,
    CountedField,
    NumberInput,
    select_field,
    switch,
    text_field,
)
from campaigns.channels.push import schema
from pushpilot.lib.display import exact_span

# What the inputs write beside the texts; other fields of a message are kept.
OPTIONS = (
    "ttl_secs",
    "priority",
    "collapse_key",
    "android_channel",
    "sound",
    "badge",
    "icon_url",
    "silent",
    "data_only",
    "data",
    "buttons",
)
BUTTON_NUMBERS = range(1, schema.BUTTON_LIMIT + 1)
_BUTTON_FIELD = re.compile(r"button_(\d)_(\w+)")
BUTTON_FIELDS = tuple(
    f"button_{number}_{part}" for number in BUTTON_NUMBERS for part in ("text", "url")
)
_HOUR, _DAY = 3600, 24 * 3600
# Of no use to a message that shows nothing.
_SHOWN = frozenset({"image_url", "sound", "badge", "android_channel", "icon_url", "data_only"})
TTLS = (0, _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY)  # the standard is the longest
PRIORITIES = {
    "": "Standard",
    "high": "High: wakes a sleeping phone",
    "normal": "Normal: may wait to save battery",
}
_LIMITS = {field.name: field.limit_characters for field in schema.FIELDS}


def _ttl_words(secs: int) -> str:
    return exact_span(secs) if secs else "Now or never"


class PushForm(ContentForm):
    """The texts, the buttons and the folded options. `data_lines` is the data as key=value
    lines."""

    template = "push/editor.html"
    folded = frozenset(name for name in OPTIONS if name not in ("data", "buttons")) | {
        "data_lines",
        *BUTTON_FIELDS,
    }

    title = CountedField(
        label="Title",
        max_length=_LIMITS["title"],
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "20% off this weekend"}),
    )
    body = CountedField(
        label="Text",
        max_length=_LIMITS["body"],
        required=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={
                "rows": 4,
                "placeholder": "Hi {{ first_name | default: 'there' }}, free "
                "delivery until Sunday.",
            }
        ),
    )
    image_url = text_field(
        "Image",
        _LIMITS["image_url"],
        "https://…/picture.jpg",
        "Optional. A JPEG or PNG under 1 MB, at an https address.",
    )
    deep_link = text_field(
        "Link",
        _LIMITS["deep_link"],
        "https://… or yourapp://offers",
        "Optional. Where a tap leads.",
    )
    button_1_text = text_field("First button", schema.BUTTON_TEXT_LIMIT, "Shop now")
    button_1_url = text_field("Its link", 500, "https://… or yourapp://sale")
    button_2_text = text_field("Second button", schema.BUTTON_TEXT_LIMIT, "Remind me later")
    button_2_url = text_field("Its link", 500)
    button_3_text = text_field("Third button", schema.BUTTON_TEXT_LIMIT)
    button_3_url = text_field("Its link", 500)
    ttl_secs = Choice(
        "Keep trying for",
        TTLS,
        _ttl_words,
        "4 weeks (standard)",
        help_text="If the phone is off, how long to keep trying.",
    )
    priority = select_field("Priority", list(PRIORITIES.items()))
    collapse_key = text_field(
        "Replaces", 64, "sale", "A newer message with the same key replaces the older one."
    )
    android_channel = text_field(
        "Android channel", 64, "offers", "The notification channel in your Android app."
    )
    sound = text_field("Sound", 64, "default", "“default”, or the name of a sound in your app.")
    badge = forms.IntegerField(
        label="Badge",
        required=False,
        min_value=0,
        max_value=schema.BADGE_LIMIT,
        widget=NumberInput(),
        help_text="The number on the app's icon; 0 removes it.",
    )
    icon_url = text_field(
        "Icon", 500, "https://…/icon.png", "The small picture beside the text in a browser."
    )
    silent = switch("Silent", "Delivers data to the app and shows nothing.")
    data_only = switch(
        "The app draws it",
        "Android hands the message to your app, which shows it itself. Without code for it in the "
        "app nothing appears.",
    )
    data_lines = forms.CharField(
        label="Data for the app",
        required=False,
        max_length=4000,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 3, "placeholder": "screen=offers\nsale_id=42"}
        ),
        help_text="One key=value per line. Your developers say which ones the app understands.",
    )

    def __init__(self, channel: Channel, data: Any = None, *, stored: Message) -> None:
        super().__init__(channel, data, stored=stored)
        self.fields["ttl_secs"].offer(self.initial.get("ttl_secs"))  # type: ignore[attr-defined]

    def shown(self, message: Message) -> dict[str, Any]:
        shown = {name: message.get(name) for name in OPTIONS if name not in ("data", "buttons")}
        shown["data_lines"] = data_lines(message.get("data") or {})
        for number, button in zip(BUTTON_NUMBERS, message.get("buttons") or [], strict=False):
            shown |= {f"button_{number}_{part}": button.get(part, "") for part in ("text", "url")}
        return {**super().shown(message), **shown}

    # --- cleaning ---------------------------------------------------------------------------------
    def input_of(self, field: str) -> str:
        """A message lists the buttons that are filled in; an input keeps its number."""
        begun = [number for number in BUTTON_NUMBERS if self._button(number)]
        button = _BUTTON_FIELD.fullmatch(field)
        return f"button_{begun[int(button[1]) - 1]}_{button[2]}" if button else field

    def clean_data_lines(self) -> dict[str, str]:
        try:
            return build_data(self.cleaned_data["data_lines"])
        except ValueError as error:
            raise ValidationError(str(error)) from error

    # --- results ----------------------------------------------------------------------------------
    def message(self) -> dict[str, Any]:
        options: dict[str, Any] = {name: self.cleaned_data.get(name) for name in OPTIONS}
        options["data"] = self.cleaned_data.get("data_lines")
        options["buttons"] = [
            button for number in BUTTON_NUMBERS if (button := self._button(number))
        ]
        kept = {name: value for name, value in super().message().items() if name not in OPTIONS}
        return {**kept, **{name: value for name, value in options.items() if _is_filled(value)}}

    def _button(self, number: int) -> dict[str, str]:
        parts = {
            part: str(self.cleaned_data.get(f"button_{number}_{part}") or "").strip()
            for part in ("text", "url")
        }
        return {part: text for part, text in parts.items() if text}

    def button_rows(self) -> list[tuple[Any, Any]]:
        """(text, link) inputs of each button, for the page."""
        return [
            (self[f"button_{number}_text"], self[f"button_{number}_url"])
            for number in BUTTON_NUMBERS
        ]


def _is_filled(value: object) -> bool:
    return bool(value) or (value == 0 and value is not False)


def option_words(message: Mapping[str, Any], hidden: Collection[str] = ()) -> list[tuple[str, str]]:
    """(label, words) of what a message (Content.snapshot) carries beside its texts, where it
    differs from the standard. A silent one shows nothing, so what is only shown is left out."""
    shown = {name: message.get(name) for name in OPTIONS if name not in hidden} | {
        "image_url": message.get("image_url")
    }
    if shown.get("silent"):
        shown = {name: value for name, value in shown.items() if name not in _SHOWN}
    # jsonb has its own order
    ttl, data = shown.get("ttl_secs"), dict(sorted((shown.get("data") or {}).items()))
    words = {
        "silent": "Delivers data to the app and shows nothing." if shown.get("silent") else "",
        "image_url": shown.get("image_url"),
        "ttl_secs": "" if ttl is None else _ttl_words(ttl),
        "priority": PRIORITIES.get(shown.get("priority") or "") if shown.get("priority") else "",
        "collapse_key": shown.get("collapse_key")
        and f"The last message with the key “{shown['collapse_key']}”",
        "android_channel": shown.get("android_channel"),
        "sound": shown.get("sound"),
        "badge": shown.get("badge"),
        "icon_url": shown.get("icon_url"),
        "data_only": "Android hands the message to your app." if shown.get("data_only") else "",
        "data_lines": ", ".join(data_lines(data).splitlines()),
    }
    labels = {name: str(field.label) for name, field in PushForm.base_fields.items()}
    buttons = [
        (f"Button {number}", f"{button.get('text', '')} → {button.get('url') or 'no link'}")
        for number, button in enumerate(shown.get("buttons") or (), start=1)
    ]
    found = [(labels[name], str(value)) for name, value in words.items() if value not in (None, "")]
    return [*found, *buttons]


def build_data(lines: str) -> dict[str, str]:
    """{key: value} from key=value lines. Raises ValueError with a sentence that names the line."""
    data: dict[str, str] = {}
    for number, line in enumerate(lines.splitlines(), start=1):
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        key = key.strip()
        if not equals:
            raise ValueError(f"Line {number}: write key=value, for example screen=offers.")
        if problem := schema.data_problem({key: value.strip()}):
            raise ValueError(f"Line {number}: {problem}")
        if key in data:
            raise ValueError(f"Line {number}: “{key}” is given twice.")
        data[key] = value.strip()
    return data


def data_lines(data: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in data.items())
