"""Inputs of the console's forms: texts, selects, switches and counted texts in Unfold's looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from campaigns.channels.base import control_problem
from pushpilot.lib.display import Words
from pushpilot.lib.spelling import unix_lines


class CheckedForm(forms.Form):
    """Takes no text with a control character, in any of its fields."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name, value in list(cleaned.items()):
            if isinstance(value, str) and (
                problem := control_problem(str(self.fields[name].label), value)
            ):
                self.add_error(name, problem)
        return cleaned


class NumberInput(UnfoldAdminTextInputWidget):
    input_type = "number"


class CountedField(forms.CharField):
    """A text with a counter, which counts as this does: characters, and one for a new line. (A
    browser's maxlength counts an emoji twice and stops the typing; it posts a new line as two.)"""

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {
            name: value
            for name, value in super().widget_attrs(widget).items()
            if name != "maxlength"
        }

    def to_python(self, value: Any) -> str:
        return unix_lines(str(super().to_python(value)))


class Choice(forms.TypedChoiceField):
    """A select of numbers; a stored number that is none of the choices becomes one, so that
    saving keeps it."""

    def __init__(
        self,
        label: Words,
        values: Sequence[int],
        words: Callable[[int], str],
        empty: Words | None = None,
        **options: Any,
    ) -> None:
        self.words, self.values, self.empty = words, values, empty
        options = {"required": False, "coerce": int, "empty_value": None, **options}
        super().__init__(
            label=label,
            choices=lambda: self._pairs(None),  # in the reader's words
            widget=UnfoldAdminSelectWidget(),
            **options,
        )

    def _pairs(self, stored: int | None) -> list[tuple[str, Words]]:
        values = sorted({*self.values, *([] if stored is None else [stored])})
        blank = [] if self.empty is None else [("", self.empty)]
        return [*blank, *((str(value), self.words(value)) for value in values)]

    def offer(self, stored: object) -> None:
        if isinstance(stored, int) and not isinstance(stored, bool) and stored not in self.values:
            self.choices = lambda: self._pairs(stored)


def text_field(
    label: Words, limit: int, placeholder: Words = "", help_text: Words = ""
) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder})
    return forms.CharField(
        label=label, max_length=limit, required=False, widget=widget, help_text=help_text
    )


def select_field(label: Words, choices: Any, **options: Any) -> forms.ChoiceField:
    widget = UnfoldAdminSelectWidget()
    return forms.ChoiceField(label=label, choices=choices, required=False, widget=widget, **options)


def switch(label: Words, help_text: Words) -> forms.BooleanField:
    return forms.BooleanField(
        label=label, required=False, widget=UnfoldBooleanSwitchWidget(), help_text=help_text
    )
