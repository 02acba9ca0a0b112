"""The verbs of templates: write one, change it, copy a global one, delete it. Console and API
call these; each writes its audit entry in the same transaction."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.channels import registry
from campaigns.channels.base import Channel
from campaigns.channels.given import read_message
from campaigns.imports.cells import COMMON, cell_errors, cell_of, columns, put_cell, tidy
from campaigns.models import Template
from pushpilot.lib.spelling import name_key
from tenants import audit
from tenants.models import User, Workspace

NAME_TAKEN = gettext_lazy(
    "Your workspace has a template with this name, language and channel. Choose another name."
)
_COPY_TRIES = 5


class GlobalTemplate(Exception):
    """A workspace may neither change nor delete a template of the global library; it may copy
    it."""


def create(workspace: Workspace, values: Mapping[str, Any], *, by: User | None) -> Template:
    """A new template. `values`: {column, field or option of the channel: value}; what is left out
    or None is empty, the language that of the workspace. Raises ValidationError by path."""
    template = Template(workspace=workspace)
    given = _standard(workspace, {**dict.fromkeys(COMMON), **values})
    channel = registry.CHANNELS.get(given["channel"])
    read, found = _read(given, channel)
    required = [field.name for field in channel.fields if field.is_required] if channel else []
    read = dict.fromkeys(required, "") | read
    _refuse({**faults(workspace, read, stored=template), **found})
    _put(template, read)
    with transaction.atomic():
        _save(template)
        changes = {name: (None, value) for name, value in _said(template).items() if value != ""}
        audit.record(workspace, "template created", template, by=by, changes=changes)
    return template


def hold(template: Template) -> Template:
    """The row as it is now, locked until the transaction ends. Raises GlobalTemplate or
    Template.DoesNotExist."""
    if template.is_global:  # row-level security hides what may not be written from a lock
        raise GlobalTemplate
    return Template.objects.select_for_update().get(pk=template.pk)


@transaction.atomic
def change(template: Template, values: Mapping[str, Any], *, by: User | None) -> Template:
    """The stored row with these values, and nothing else of it changed. Only what differs is
    judged, since older versions took what is refused today.

    Raises GlobalTemplate, Template.DoesNotExist, and ValidationError by path.
    """
    held = hold(template)
    workspace, before = _workspace_of(held), _said(held)
    given = _standard(workspace, values)
    channel = registry.CHANNELS.get(given.get("channel", held.channel))
    read, found = _read(given, channel)
    differing = {name: value for name, value in read.items() if value != before.get(name, "")}
    if channel and "channel" in differing:
        kept = {field.name: held.text(field.name) for field in channel.fields}
        differing = kept | differing
    _refuse({**faults(workspace, differing, stored=held), **found})
    _put(held, differing)
    after = _said(held)
    changes = {
        name: (before.get(name, ""), after.get(name, ""))
        for name in before | after
        if before.get(name, "") != after.get(name, "")
    }
    if changes:
        _save(held)
        audit.record(workspace, "template changed", held, by=by, changes=changes)
    return held


def copy(template: Template, workspace: Workspace, *, by: User | None) -> Template:
    """A copy of a global template in the workspace; where its name is taken it gets a number.
    Raises ValidationError for a template that is not global."""
    if not template.is_global:
        raise ValidationError(_("This template is yours already. Change it, or write a new one."))
    for attempt in range(_COPY_TRIES):
        made = Template(workspace=workspace, name=_free_name(template, workspace))
        for column in ("channel", "language", "category", "tone", "fields"):
            setattr(made, column, getattr(template, column))
        try:
            with transaction.atomic():
                _save(made)
                detail = {"source": template.name}
                audit.record(workspace, "template copied", made, by=by, detail=detail)
            return made
        except ValidationError:  # somebody took the name in this moment
            if attempt == _COPY_TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


@transaction.atomic
def remove(template: Template, *, by: User | None) -> None:
    """Delete it; the trail keeps what it said. Raises GlobalTemplate or
    Template.DoesNotExist."""
    held = hold(template)
    workspace = _workspace_of(held)
    changes = {name: (value, None) for name, value in _said(held).items() if value != ""}
    audit.record(workspace, "template deleted", held, by=by, changes=changes)
    held.delete()


# --- rules ----------------------------------------------------------------------------------------
def faults(
    workspace: Workspace | None, values: Mapping[str, str], *, stored: Template
) -> dict[str, ValidationError]:
    """{column: what is wrong} of tidied texts over a template; columns that `values` lacks are
    not looked at."""
    chosen = values.get("channel") or stored.channel
    texts = {name: value for name, value in values.items() if name in columns()}
    found: dict[str, ValidationError] = {**cell_errors(texts, chosen)}
    parts = ("name", "language", "channel")
    key = [str(values.get(column, getattr(stored, column)) or "") for column in parts]
    is_asked = any(column in values for column in parts) and not any(p in found for p in parts)
    if is_asked and all(key) and named(workspace, *key).exclude(pk=stored.pk).exists():
        found["name"] = ValidationError(NAME_TAKEN)
    return found


def named(
    workspace: Workspace | None, name: str, language: str, channel: str
) -> models.QuerySet[Template]:
    """The workspace's template with this key, if there is one."""
    return Template.objects.filter(
        workspace=workspace, name_key=name_key(name), language=language, channel=channel
    )


def _refuse(found: Mapping[str, ValidationError]) -> None:
    if found:
        raise ValidationError(dict(found))


def _workspace_of(template: Template) -> Workspace:
    if template.workspace is None:
        raise GlobalTemplate
    return template.workspace


def _standard(workspace: Workspace, values: Mapping[str, Any]) -> dict[str, Any]:
    """With the workspace's language and the standard channel for empty ones."""
    standard = {"language": workspace.default_language, "channel": registry.DEFAULT}
    return {name: value or standard.get(name, value) for name, value in values.items()}


def _read(
    values: Mapping[str, Any], channel: Channel | None
) -> tuple[dict[str, Any], dict[str, ValidationError]]:
    """(the values tidied, under the channel's names, "" for what is empty; {path: what is wrong}
    with names, types and options)."""
    read: dict[str, Any] = {
        name: tidy(name, values[name] or "") for name in COMMON if name in values
    }
    if channel is None:
        return read, {}
    given = {name: value for name, value in values.items() if name not in COMMON}
    message, remarks = read_message(channel, given)
    texts = {field.name for field in channel.fields}
    for name in given:
        name = channel.other_names.get(name, name)
        value = message.get(name, "")
        read[name] = tidy(name, value) if name in texts else value
    # `faults` judges the texts, if they are texts at all.
    found = {
        path: ValidationError(sentence)
        for path, sentence in remarks
        if path not in texts or path not in message
    }
    return {name: value for name, value in read.items() if name not in found}, found


def _put(template: Template, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name in columns():
            put_cell(template, name, value)
        else:
            kept = {key: said for key, said in template.fields.items() if key != name}
            template.fields = kept | ({name: value} if value != "" else {})


def _said(template: Template) -> dict[str, Any]:
    """{column, field or option: value}."""
    cells = {column: cell_of(template, column) for column in columns()}
    return {**template.fields, **cells}


def _save(template: Template) -> None:
    """Raises ValidationError if somebody took the name in this moment."""
    try:
        with transaction.atomic():
            template.save()
    except IntegrityError as error:
        raise ValidationError({"name": str(NAME_TAKEN)}) from error


def _free_name(template: Template, workspace: Workspace) -> str:
    numbered = (f"{template.name[:90]} ({number})" for number in itertools.count(2))
    for name in itertools.chain([template.name], numbered):
        if not named(workspace, name, template.language, template.channel).exists():
            return name
    raise AssertionError("numbers do not end")
