"""What a form changed, for the audit trail: before and after, without secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.db import models

from pushpilot.lib.compat.django import is_marked_for_deletion
from tenants import audit
from tenants.secrets import SealedTextField

Changes = dict[str, tuple[Any, Any]]


def of_forms(form: forms.ModelForm[Any], formsets: Iterable[Any], *, add: bool) -> Changes:
    """{field: (before, after)} of a form and its inlines; an inline's fields carry the name of
    their row."""
    changes = _of_form(form, add=add)
    for formset in formsets:
        for row in formset.forms:
            with audit.in_english():
                noun = str(row.instance._meta.verbose_name)
            if is_marked_for_deletion(formset, row):
                changes[f"{noun} {row.instance}"] = (str(row.instance), None)
            elif row.has_changed():
                found = _of_form(
                    row, add=row.initial.get("id") is None and row.instance._state.adding
                )
                changes |= {
                    f"{noun} {row.instance}: {field}": values for field, values in found.items()
                }
    return changes


def of_deletion(row: models.Model) -> Changes:
    """{field: (value, None)} of what a person had written into the row."""
    fields = [
        f for f in row._meta.concrete_fields if f.editable and not f.primary_key and _may_show(f)
    ]
    return {
        f.name: (f.value_from_object(row), None)
        for f in fields
        if f.value_from_object(row) not in ("", None)
    }


def _of_form(form: forms.ModelForm[Any], *, add: bool) -> Changes:
    """A form names in `audited` those of its fields that are parts of a column."""
    fields = {field.name: field for field in form.instance._meta.concrete_fields}
    parts = getattr(form, "audited", ())
    found = {name: form.cleaned_data[name] for name in form.changed_data if name in parts}
    for name in form.changed_data:
        if name not in parts and name in fields and _may_show(fields[name]):
            found[name] = _value(form, fields[name])
    changes = {
        name: (None if add else form.initial.get(name), value) for name, value in found.items()
    }
    return {name: (before, after) for name, (before, after) in changes.items() if before != after}


def _value(form: forms.ModelForm[Any], field: models.Field[Any, Any]) -> Any:
    return field.value_from_object(form.instance)


def _may_show(field: models.Field[Any, Any]) -> bool:
    """Neither secrets nor their fingerprints."""
    return not isinstance(field, SealedTextField | models.BinaryField) and field.name != "digest"
