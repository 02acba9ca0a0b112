"""Forms made of forms: each part knows one subject, and the whole is posted, judged and saved as one."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms

from campaigns.channels.inputs import CheckedForm


class FormOfParts(CheckedForm):
    """Errors, values, changes and initial values are those of the form and of all its parts, whose inputs have
    different names. A subclass sets `parts` once they are made, with the same data."""

    parts: tuple[forms.Form, ...] = ()

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
        """The bound form shows this value of a field of its own instead of the one that was sent."""
        data: Any = self.data
        self.data = data = data.copy()
        data[name] = value
