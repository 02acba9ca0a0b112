"""A channel's part of the editor: the form of its message, with a template of its own where one
input for each field is not enough."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.channels.base import Channel, Message, overwritten
from campaigns.channels.given import liquid_problem
from campaigns.channels.inputs import CheckedForm, CountedField


class ContentForm(CheckedForm):
    """One input for each field of the channel, unless a subclass declares its own. `stored` is
    what is edited."""

    template: ClassVar[str] = "editor.html"
    folded: ClassVar[frozenset[str]] = frozenset()
    """Inputs in a part that is closed as long as they are empty and right."""

    def __init__(self, channel: Channel, data: Any = None, *, stored: Message) -> None:
        self.channel, self.stored = channel, stored
        super().__init__(data, initial=self.shown(stored))
        for field in channel.fields:
            if field.name in self.fields:
                continue
            widget: forms.Widget = UnfoldAdminTextInputWidget()
            if field.has_lines:
                widget = UnfoldAdminTextareaWidget()
            self.fields[field.name] = CountedField(
                label=field.label,
                max_length=field.limit_characters,
                required=False,
                widget=widget,
            )

    def shown(self, message: Message) -> dict[str, Any]:
        """The fields of a message as the inputs show them."""
        return {field.name: message.get(field.name) or "" for field in self.channel.fields}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        for name in self.channel.personal:
            is_judged = name in cleaned and name not in self.errors
            if is_judged and (problem := liquid_problem(str(cleaned[name]))):
                self.add_error(name, problem)
        # An input that gets an error is no part of the message any more, so all are placed before.
        found = [
            (self.input_of(field), text) for field, text in self.channel.problems(self.message())
        ]
        for name, text in found:
            if name in self.fields and name not in self.errors:
                self.add_error(name, text)
        return cleaned

    def input_of(self, field: str) -> str:
        """The input that cures a problem of this field of the message."""
        return field

    def message(self) -> dict[str, Any]:
        """The message with whatever of the bound form is valid. Fields that only another channel
        knows are kept."""
        return overwritten(
            self.stored, {field.name: self._text(field.name) for field in self.channel.fields}
        )

    def _text(self, name: str) -> str:
        return str(self.cleaned_data.get(name, self.data.get(name, "")))

    @property
    def is_open(self) -> bool:
        """Whether the folded part holds something to look at."""
        return any(
            self.errors.get(name) or self.initial.get(name) not in (None, "", False)
            for name in self.folded
        )

    @property
    def plain_inputs(self) -> list[tuple[Any, Any]]:
        """(field of the channel, its input) for the standard template."""
        return [(field, self[field.name]) for field in self.channel.fields]


def form_of(channel: Channel, data: Any = None, *, stored: Message) -> ContentForm:
    """The channel's form over a stored message, and over `data` if it is given."""
    return (channel.content_form or ContentForm)(channel, data, stored=stored)
