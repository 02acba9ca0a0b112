"""Forms made of forms: each part knows one subject, and the whole is posted, judged and saved as
one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django import forms

from campaigns.channels import registry
from campaigns.channels.base import Broadcast, Channel
from campaigns.channels.editor import form_of
from campaigns.channels.inputs import CheckedForm

SWITCH = "_channel"
"""What the page posts when a channel is chosen whose part has other inputs: message.js."""


def channel_choices(shown: Channel) -> list[dict[str, Any]]:
    """The radios of the channels. `reloads`: the page with the part of `shown` has to be made
    anew for that channel."""
    return [
        {
            "value": one.key,
            "label": one.label,
            "icon": one.icon,
            "reloads": _part_of(one) != _part_of(shown),
        }
        for one in registry.CHANNELS.values()
    ]


def _keys(broadcasts: Iterable[Broadcast]) -> list[str]:
    return [broadcast.key for broadcast in broadcasts]


def _part_of(channel: Channel) -> tuple[Any, ...]:
    return channel.content_form, channel.fields, channel.broadcasts, channel.preview_template


class FormOfParts(CheckedForm):
    """Errors, values, changes and initial values are those of the form and of all its parts,
    whose inputs have different names. A subclass sets `parts` once they are made, with the same
    data."""

    parts: tuple[forms.Form, ...] = ()

    @property
    def is_switching(self) -> bool:
        """Whether another channel was chosen, whose part has other inputs: the page is shown
        again with all that was entered, neither judged nor saved."""
        return self.is_bound and SWITCH in self.data

    @property
    def carried(self) -> list[tuple[str, str]]:
        """(input, value) of what was entered for another channel, so that going back finds it."""
        channels = registry.CHANNELS.values()
        known = {
            name
            for one in channels
            for name in (*form_of(one, stored={}).fields, *_keys(one.broadcasts))
        }
        return [
            (name, str(self.data[name]))
            for name in sorted(known - self.input_names)
            if self.data.get(name)
        ]

    def is_valid(self) -> bool:
        return not self.is_switching and super().is_valid()

    def hold(self, *parts: forms.Form) -> None:
        """Part of __init__."""
        self.parts = (*self.parts, *parts)
        for part in parts:
            self.initial = {**part.initial, **self.initial}

    def full_clean(self) -> None:
        super().full_clean()
        for part in self.parts if self.is_bound else ():
            self.errors.update(part.errors)
            self.cleaned_data.update(part.cleaned_data)
        if self.is_switching:
            for form in (self, *self.parts):
                form.errors.clear()

    @cached_property
    def changed_data(self) -> list[str]:
        return [*super().changed_data, *(name for part in self.parts for name in part.changed_data)]

    @property
    def input_names(self) -> set[str]:
        return {name for part in (self, *self.parts) for name in part.fields}

    def add_error(self, field: str | None, error: Any) -> None:
        """At the input, whichever part has it."""
        part = next((part for part in self.parts if field in part.fields), None)
        if part is None:
            super().add_error(field, error)
        else:
            part.add_error(field, error)
            self.errors.update(part.errors)

    def put(self, name: str, value: str) -> None:
        """The bound form shows this value of a field of its own instead of the one that was
        sent."""
        data: Any = self.data
        self.data = data = data.copy()
        data[name] = value
