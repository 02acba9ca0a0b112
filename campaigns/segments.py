"""Rule trees: which contacts belong. One JSON tree compiles to one query; there is no raw SQL.

{}                                                     everyone
{"field": "country", "op": "is", "value": "IN"}        one rule on a column or on `attributes.<name>`
{"all": [rule, …]}  {"any": [rule, …]}  {"not": rule}  nested up to MAX_DEPTH
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.db.models import F, Q
from django.db.models.fields.json import KeyTransform

MAX_DEPTH = 8
MAX_RULES = 100

COLUMNS = {"external_id": "External id", "language": "Language", "country": "Country", "time_zone": "Time zone"}
_ATTRIBUTE = re.compile(r"^attributes\.([^\x00-\x1f.\"\\]{1,64})$")

Rule = dict[str, Any]


class RuleError(ValueError):
    """The rule tree is malformed; the message says where and what to do."""


class Operator:
    """One comparison: its words, what value it takes and the lookup it compiles to."""

    def __init__(self, words: str, takes: type | tuple[type, ...] | None, lookup: str, negated: bool = False) -> None:
        self.words, self.takes, self.lookup, self.negated = words, takes, lookup, negated


_TEXT, _NUMBER = (str,), (int, float)
OPERATORS: dict[str, Operator] = {
    "is": Operator("is", (str, int, float, bool), "exact"),
    "is_not": Operator("is not", (str, int, float, bool), "exact", negated=True),
    "contains": Operator("contains", _TEXT, "icontains"),
    "starts_with": Operator("starts with", _TEXT, "istartswith"),
    "in": Operator("is one of", (list,), "in"),
    "gt": Operator("is more than", _NUMBER, "gt"),
    "gte": Operator("is at least", _NUMBER, "gte"),
    "lt": Operator("is less than", _NUMBER, "lt"),
    "lte": Operator("is at most", _NUMBER, "lte"),
    "is_set": Operator("is known", None, "isnull", negated=True),
    "is_not_set": Operator("is not known", None, "isnull"),
}


def compile_rule(rule: Rule) -> Q:
    """The rule as a filter on Contact. Raises RuleError."""
    validate(rule)
    return _compile(rule)


def validate(rule: Any) -> None:
    """Raises RuleError unless the tree is well formed, at most MAX_DEPTH deep and MAX_RULES large."""
    count = _validate(rule, depth=1) if rule != {} else 0
    if count > MAX_RULES:
        raise RuleError(f"The audience has {count} rules; {MAX_RULES} are allowed.")


def describe(rule: Rule) -> str:
    """The rule as one sentence: "people whose country is IN and orders is more than 2"."""
    return "everyone" if not rule else f"people whose {_describe(rule)}"


def _validate(rule: Any, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise RuleError(f"The audience is nested deeper than {MAX_DEPTH} levels.")
    if not isinstance(rule, dict):
        raise RuleError("An audience rule must be an object.")
    for word in ("all", "any"):
        if word in rule:
            if set(rule) != {word} or not isinstance(rule[word], list) or not rule[word]:
                raise RuleError(f"“{word}” needs a list with at least one rule and nothing beside it.")
            return sum(_validate(part, depth + 1) for part in rule[word])
    if "not" in rule:
        if set(rule) != {"not"}:
            raise RuleError("“not” takes one rule and nothing beside it.")
        return _validate(rule["not"], depth + 1)
    _validate_leaf(rule)
    return 1


def _validate_leaf(rule: Rule) -> None:
    field, op = rule.get("field"), rule.get("op")
    if not isinstance(field, str) or not (field in COLUMNS or _ATTRIBUTE.match(field)):
        raise RuleError(f"“{field}” is no field. Use {', '.join(COLUMNS)} or attributes.<name>.")
    if not isinstance(op, str) or op not in OPERATORS:
        raise RuleError(f"“{op}” is no comparison. Use one of {', '.join(OPERATORS)}.")
    takes, value = OPERATORS[op].takes, rule.get("value")
    if takes is None:
        return
    if not isinstance(value, takes) or (isinstance(value, bool) and bool not in takes):  # type: ignore[operator]
        raise RuleError(f"“{_name(field)} {OPERATORS[op].words}” does not take the value {value!r}.")
    if isinstance(value, list) and not (
        0 < len(value) <= 1000 and all(isinstance(v, str | int | float) for v in value)
    ):
        raise RuleError(f"“{_name(field)} is one of” needs 1 to 1,000 plain values.")
    if isinstance(value, str) and (len(value) > 500 or "\x00" in value):
        raise RuleError(f"The value of “{_name(field)}” is longer than 500 characters or holds a NUL.")


def _compile(rule: Rule) -> Q:
    if not rule:
        return Q()
    if "all" in rule:
        return _fold(rule["all"], lambda left, right: left & right)
    if "any" in rule:
        return _fold(rule["any"], lambda left, right: left | right)
    if "not" in rule:
        return ~_compile(rule["not"])
    field, op, value = rule["field"], OPERATORS[rule["op"]], rule.get("value")
    attribute = _ATTRIBUTE.match(field)
    return _on_attribute(attribute[1], op, value) if attribute else _on_column(field, op, value)


def _fold(rules: list[Rule], join: Callable[[Q, Q], Q]) -> Q:
    found = _compile(rules[0])
    for rule in rules[1:]:
        found = join(found, _compile(rule))
    return found


def _on_column(column: str, op: Operator, value: Any) -> Q:
    if op.lookup == "isnull":
        empty = Q(**{column: ""})
        return ~empty if op.negated else empty
    value = [str(v) for v in value] if isinstance(value, list) else str(value)
    found = Q(**{f"{column}__{op.lookup}": value})
    return ~found if op.negated else found


def _on_attribute(name: str, op: Operator, value: Any) -> Q:
    # Built by hand: in `attributes__<name>` a double underscore in a workspace's own name would become a lookup.
    key = KeyTransform(name, F("attributes"))
    if op.lookup == "isnull":
        missing = Q(key.get_lookup("isnull")(key, True))
        return ~missing if op.negated else missing
    found = Q(key.get_lookup(op.lookup)(key, value))
    if op.negated:  # NOT of an unknown is unknown in SQL; who has no city does not live in Pune either
        return ~found | Q(key.get_lookup("isnull")(key, True))
    return found


def _name(field: str) -> str:
    return COLUMNS.get(field, field.removeprefix("attributes.")).lower()


def _describe(rule: Rule) -> str:
    if "all" in rule:
        return " and ".join(f"({_describe(r)})" if "any" in r else _describe(r) for r in rule["all"])
    if "any" in rule:
        return " or ".join(f"({_describe(r)})" if "all" in r else _describe(r) for r in rule["any"])
    if "not" in rule:
        return f"not ({_describe(rule['not'])})"
    op = OPERATORS[rule["op"]]
    if op.takes is None:
        return f"{_name(rule['field'])} {op.words}"
    value = rule["value"]
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{_name(rule['field'])} {op.words} {shown}"
