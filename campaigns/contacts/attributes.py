"""Which attributes the workspace's contacts have, learned from the newest of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from campaigns.audience.segments import COLUMNS, RuleError, validate
from campaigns.models import Contact
from tenants.models import Workspace

SAMPLE_SIZE = 300
MOST_NAMES = 60
MOST_EXAMPLES = 8
_VARIABLE = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`field` as audience rules name it; `kind` is text, number or boolean, whichever most
    contacts have."""

    field: str
    label: str
    kind: str
    examples: tuple[str, ...]

    @property
    def variable(self) -> str:
        """The name in a text, or "" if Liquid cannot write it."""
        name = self.field.removeprefix("attributes.")
        if _VARIABLE.fullmatch(name):
            return name
        return ""


def known_attributes(workspace: Workspace) -> dict[str, Attribute]:
    """{field: Attribute}: the system columns, then the workspace's own names, the most frequent
    first."""
    rows = Contact.objects.filter(workspace=workspace).order_by("-id")[:SAMPLE_SIZE]
    columns: dict[str, Counter[str]] = {name: Counter() for name in COLUMNS}
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows.values("attributes", *COLUMNS):
        attributes = row.pop("attributes")
        for name, value in row.items():
            columns[name].update([value] if value and name != "external_id" else [])
        for name, value in attributes.items() if isinstance(attributes, dict) else ():
            kind = _kind(value)
            if kind:
                kinds[name][kind] += 1
                values[name][_example(value)] += 1
    found = {
        name: Attribute(name, str(label), "text", _examples(columns[name]))
        for name, label in COLUMNS.items()
    }
    for name, counter in sorted(kinds.items(), key=lambda item: (-item[1].total(), item[0]))[
        :MOST_NAMES
    ]:
        field = f"attributes.{name}"
        if _is_usable(field):
            found[field] = Attribute(
                field, name, counter.most_common(1)[0][0], _examples(values[name])
            )
    return found


def for_page(known: dict[str, Attribute]) -> list[dict[str, Any]]:
    """What the editor's scripts have to know of them, as JSON."""
    return [
        {"field": one.field, "label": one.label, "examples": one.examples, "variable": one.variable}
        for one in known.values()
    ]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return ""


def _example(value: Any) -> str:
    if isinstance(value, bool):
        if value:
            return "yes"
        return "no"
    return str(value)[:60]


def _examples(counter: Counter[str]) -> tuple[str, ...]:
    return tuple(value for value, _count in counter.most_common(MOST_EXAMPLES) if value)


def _is_usable(field: str) -> bool:
    try:
        validate({"field": field, "op": "is_set"})
    except RuleError:
        return False
    return True
