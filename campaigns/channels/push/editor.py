"""The editor of a push: its texts, its buttons, and the folded options."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.channels.base import Channel, Message
from campaigns.channels.editor import ContentForm
from campaigns.channels.given import is_filled
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

OPTIONS = tuple(option.name for option in schema.OPTIONS)
BUTTON_NUMBERS = range(1, schema.BUTTON_LIMIT + 1)
_BUTTON_FIELD = re.compile(r"button_(\d)_(\w+)")
BUTTON_FIELDS = tuple(
    f"button_{number}_{part}" for number in BUTTON_NUMBERS for part in schema.BUTTON_PARTS
)
_HOUR, _DAY = 3600, 24 * 3600
# Of no use to a message that shows nothing.
_SHOWN = frozenset({"image_url", "sound", "badge", "android_channel", "icon_url", "data_only"})
TTLS = (0, _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY)  # the standard is the longest
PRIORITIES = {
    "": gettext_lazy("Standard"),
    "high": gettext_lazy("High: wakes a sleeping phone"),
    "normal": gettext_lazy("Normal: may wait to save battery"),
}
_LIMITS = {one.name: one.limit_characters for one in (*schema.FIELDS, *schema.OPTIONS)}


def _ttl_words(secs: int) -> str:
    if secs:
        return exact_span(secs)
    return _("No waiting: now or never")


class PushForm(ContentForm):
    """The texts, the buttons and the folded options. `data_lines` is the data as key=value
    lines."""

    template = "push/editor.html"
    folded = frozenset(name for name in OPTIONS if name not in ("data", "buttons")) | {
        "data_lines",
        *BUTTON_FIELDS,
    }

    title = CountedField(
        label=gettext_lazy("Title"),
        max_length=_LIMITS["title"],
        required=False,
        widget=UnfoldAdminTextInputWidget(
            attrs={"placeholder": gettext_lazy("Free delivery this weekend")}
        ),
    )
    body = CountedField(
        label=gettext_lazy("Text"),
        max_length=_LIMITS["body"],
        required=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={
                "rows": 4,
                "placeholder": gettext_lazy(
                    "Hi {{ first_name | default: 'there' }}, free delivery until Sunday."
                ),
            }
        ),
    )
    image_url = text_field(
        gettext_lazy("Image"),
        _LIMITS["image_url"],
        "https://…/image.jpg",
        gettext_lazy("Optional. A JPEG or PNG under 1 MB, at an https address."),
    )
    deep_link = text_field(
        gettext_lazy("Link"),
        _LIMITS["deep_link"],
        "https://… or yourapp://offers",
        gettext_lazy("Optional. The address that a tap opens."),
    )
    button_1_text = text_field(
        gettext_lazy("Button 1 text"), schema.BUTTON_TEXT_LIMIT, gettext_lazy("Shop now")
    )
    button_1_url = text_field(
        gettext_lazy("Button 1 link"), schema.BUTTON_LINK_LIMIT, "https://… or yourapp://sale"
    )
    button_2_text = text_field(
        gettext_lazy("Button 2 text"), schema.BUTTON_TEXT_LIMIT, gettext_lazy("Remind me later")
    )
    button_2_url = text_field(gettext_lazy("Button 2 link"), schema.BUTTON_LINK_LIMIT)
    button_3_text = text_field(gettext_lazy("Button 3 text"), schema.BUTTON_TEXT_LIMIT)
    button_3_url = text_field(gettext_lazy("Button 3 link"), schema.BUTTON_LINK_LIMIT)
    ttl_secs = Choice(
        gettext_lazy("Time to live"),
        TTLS,
        _ttl_words,
        gettext_lazy("4 weeks (standard)"),
        help_text=gettext_lazy("How long the provider keeps trying while a device is off."),
    )
    priority = select_field(gettext_lazy("Priority"), list(PRIORITIES.items()))
    collapse_key = text_field(
        gettext_lazy("Collapse key"),
        _LIMITS["collapse_key"],
        "sale",
        gettext_lazy("A newer message with the same key replaces the older message."),
    )
    android_channel = text_field(
        gettext_lazy("Android channel"),
        _LIMITS["android_channel"],
        "offers",
        gettext_lazy("The notification channel in your Android app."),
    )
    sound = text_field(
        gettext_lazy("Sound"),
        _LIMITS["sound"],
        "default",
        gettext_lazy("“default”, or the name of a sound in your app."),
    )
    badge = forms.IntegerField(
        label=gettext_lazy("Badge"),
        required=False,
        min_value=0,
        max_value=schema.BADGE_LIMIT,
        widget=NumberInput(),
        help_text=gettext_lazy("The number on the icon of the app. 0 removes the number."),
    )
    icon_url = text_field(
        gettext_lazy("Icon"),
        _LIMITS["icon_url"],
        "https://…/icon.png",
        gettext_lazy("The small image beside the text in a browser."),
    )
    silent = switch(
        gettext_lazy("Silent"), gettext_lazy("Delivers data to the app and shows nothing.")
    )
    data_only = switch(
        gettext_lazy("Data-only message"),
        gettext_lazy(
            "Android passes the message to your app, and the app shows it. Nothing appears "
            "if the app has no code for such messages."
        ),
    )
    data_lines = forms.CharField(
        label=gettext_lazy("Data for the app"),
        required=False,
        max_length=4000,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 3, "placeholder": "screen=offers\nsale_id=42"}
        ),
        help_text=gettext_lazy(
            "One key=value per line. Ask your developers for the keys that the app understands."
        ),
    )

    def __init__(self, channel: Channel, data: Any = None, *, stored: Message) -> None:
        super().__init__(channel, data, stored=stored)
        self.fields["ttl_secs"].offer(self.initial.get("ttl_secs"))  # type: ignore[attr-defined]

    def shown(self, message: Message) -> dict[str, Any]:
        shown = {name: message.get(name) for name in OPTIONS if name not in ("data", "buttons")}
        shown["data_lines"] = data_lines(message.get("data") or {})
        for number, button in zip(BUTTON_NUMBERS, message.get("buttons") or [], strict=False):
            shown |= {
                f"button_{number}_{part}": button.get(part, "") for part in schema.BUTTON_PARTS
            }
        return {**super().shown(message), **shown}

    # --- cleaning ---------------------------------------------------------------------------------
    def input_of(self, field: str) -> str:
        """A message lists the buttons that are filled in; an input keeps its number."""
        begun = [number for number in BUTTON_NUMBERS if self._button(number)]
        button = _BUTTON_FIELD.fullmatch(field)
        if button:
            return f"button_{begun[int(button[1]) - 1]}_{button[2]}"
        return field

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
        return {**kept, **{name: value for name, value in options.items() if is_filled(value)}}

    def _button(self, number: int) -> dict[str, str]:
        parts = {
            part: str(self.cleaned_data.get(f"button_{number}_{part}") or "").strip()
            for part in schema.BUTTON_PARTS
        }
        return {part: text for part, text in parts.items() if text}

    def button_rows(self) -> list[tuple[Any, Any]]:
        """(text, link) inputs of each button, for the page."""
        return [
            (self[f"button_{number}_text"], self[f"button_{number}_url"])
            for number in BUTTON_NUMBERS
        ]


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
    words: dict[str, Any] = {
        "silent": "",
        "image_url": shown.get("image_url"),
        "ttl_secs": "",
        "priority": "",
        "collapse_key": shown.get("collapse_key"),
        "android_channel": shown.get("android_channel"),
        "sound": shown.get("sound"),
        "badge": shown.get("badge"),
        "icon_url": shown.get("icon_url"),
        "data_only": "",
        "data_lines": ", ".join(data_lines(data).splitlines()),
    }
    if shown.get("silent"):
        words["silent"] = _("Delivers data to the app and shows nothing.")
    if ttl is not None:
        words["ttl_secs"] = _ttl_words(ttl)
    if shown.get("priority"):
        words["priority"] = PRIORITIES.get(str(shown["priority"]))
    if shown.get("data_only"):
        words["data_only"] = _("Android passes the message to your app, and the app shows it.")
    labels = {name: str(field.label) for name, field in PushForm.base_fields.items()}
    without = _("no link")
    buttons = [
        (
            _("Button %(number)s") % {"number": number},
            f"{button.get('text', '')} → {button.get('url') or without}",
        )
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
            raise ValueError(
                _("Line %(number)s: write key=value, for example screen=offers.")
                % {"number": number}
            )
        if problem := schema.data_problem({key: value.strip()}):
            raise ValueError(
                _("Line %(number)s: %(problem)s") % {"number": number, "problem": problem}
            )
        if key in data:
            raise ValueError(
                _("Line %(number)s: “%(key)s” appears twice. Delete one of the lines.")
                % {"number": number, "key": key}
            )
        data[key] = value.strip()
    return data


def data_lines(data: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in data.items())
