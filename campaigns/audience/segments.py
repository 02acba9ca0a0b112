"""Rule trees: which contacts belong. One JSON tree compiles to one query; there is no raw SQL.

{}                                                     everyone {"field": "country", "op": "is",
"value": "IN"}        one rule on a column or on `attributes.<name>` {"all": [rule, …]}  {"any":
[rule, …]}  {"not": rule}  nested up to MAX_DEPTH
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

from django.db.models import CharField, F, Q
from django.db.models.fields.json import KeyTransform, compile_json_path  # type: ignore[attr-defined]
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext, pgettext_lazy

from pushpilot.lib.display import Words, format_number
from pushpilot.lib.spelling import fold

MAX_DEPTH = 8
MAX_RULES = 100

COLUMNS: dict[str, Words] = {
    "external_id": gettext_lazy("External ID"),
    "language": gettext_lazy("Language"),
    "country": gettext_lazy("Country"),
    "time_zone": gettext_lazy("Time zone"),
}
# The same inside a sentence.
_NAMES: dict[str, Words] = {
    "external_id": gettext_lazy("external ID"),
    "language": gettext_lazy("language"),
    "country": gettext_lazy("country"),
    "time_zone": gettext_lazy("time zone"),
}
_ATTRIBUTE = re.compile(r"attributes\.([^\x00-\x1f.\"\\\ud800-\udfff]{1,64})")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL's JSON holds neither
_TEXT_LIMIT, _VALUES_LIMIT = 500, 1000
_NUMBER_LIMIT = 2**53  # beyond, JSON readers differ

Rule = dict[str, Any]


class RuleError(ValueError):
    """The rule tree is malformed; the message says where and what to do."""


class Operator:
    """One comparison: its words, a phrase of a field and a value, what value it takes and the
    lookup it compiles to. Neither holds a verb that must agree with the field, which may be
    "city" or "orders"."""

    def __init__(
        self,
        words: Words,
        phrase: Words,
        takes: type | tuple[type, ...] | None,
        lookup: str,
        *,
        negated: bool = False,
    ) -> None:
        self.words, self.phrase = words, phrase
        self.takes, self.lookup, self.negated = takes, lookup, negated

    @property
    def compares_numbers(self) -> bool:
        return self.takes == _NUMBER


_TEXT, _NUMBER = (str,), (int, float)
OPERATORS: dict[str, Operator] = {
    "is": Operator(
        gettext_lazy("is"),
        pgettext_lazy("a rule of an audience", "%(field)s %(value)s"),
        (str, int, float, bool),
        "exact",
    ),
    "is_not": Operator(
        gettext_lazy("is not"),
        gettext_lazy("%(field)s not %(value)s"),
        (str, int, float, bool),
        "exact",
        negated=True,
    ),
    "contains": Operator(
        gettext_lazy("contains"), gettext_lazy("%(field)s containing %(value)s"), _TEXT, "icontains"
    ),
    "starts_with": Operator(
        gettext_lazy("starts with"),
        gettext_lazy("%(field)s starting with %(value)s"),
        _TEXT,
        "istartswith",
    ),
    "in": Operator(
        gettext_lazy("one of"), gettext_lazy("%(field)s one of %(value)s"), (list,), "in"
    ),
    "gt": Operator(
        gettext_lazy("more than"),
        gettext_lazy("%(field)s more than %(value)s"),
        _NUMBER,
        "gt",
    ),
    "gte": Operator(
        gettext_lazy("at least"), gettext_lazy("%(field)s at least %(value)s"), _NUMBER, "gte"
    ),
    "lt": Operator(
        gettext_lazy("less than"),
        gettext_lazy("%(field)s less than %(value)s"),
        _NUMBER,
        "lt",
    ),
    "lte": Operator(
        gettext_lazy("at most"), gettext_lazy("%(field)s at most %(value)s"), _NUMBER, "lte"
    ),
    "is_set": Operator(
        gettext_lazy("known"), gettext_lazy("%(field)s known"), None, "isnull", negated=True
    ),
    "is_not_set": Operator(
        gettext_lazy("not known"), gettext_lazy("%(field)s not known"), None, "isnull"
    ),
}


def compile_rule(rule: Rule) -> Q:
    """The rule as a filter on Contact. Raises RuleError."""
    validate(rule)
    return _compile(rule)


def validate(rule: Any) -> None:
    """Raises RuleError unless the tree is well formed, at most MAX_DEPTH deep and MAX_RULES
    large."""
    count = 0
    if rule != {}:
        count = _validate(rule, depth=1)
    if count > MAX_RULES:
        raise RuleError(
            ngettext(
                "The audience has %(count)s rule. At most %(limit)s are allowed.",
                "The audience has %(count)s rules. At most %(limit)s are allowed.",
                count,
            )
            % {"count": format_number(count), "limit": MAX_RULES}
        )


def describe(rule: Rule) -> str:
    """The rule in words: "People with country IN and orders more than 2"."""
    if not rule:
        return _("Everyone")
    if rule.get("not"):
        return _("Everyone except people with %(rule)s") % {"rule": _describe(rule["not"])}
    return _("People with %(rule)s") % {"rule": _describe(rule)}


def _validate(rule: Any, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise RuleError(
            _("The audience rule is nested deeper than %(limit)s levels.") % {"limit": MAX_DEPTH}
        )
    if not isinstance(rule, dict):
        raise RuleError(_("An audience rule must be an object."))
    for word in ("all", "any"):
        if word in rule:
            if set(rule) != {word} or not isinstance(rule[word], list) or not rule[word]:
                raise RuleError(
                    _("“%(word)s” takes a list of at least one rule, and no other key.")
                    % {"word": word}
                )
            return sum(_validate(part, depth + 1) for part in rule[word])
    if "not" in rule:
        if set(rule) != {"not"}:
            raise RuleError(_("“not” takes one rule, and no other key."))
        return _validate(rule["not"], depth + 1)
    _validate_leaf(rule)
    return 1


def _validate_leaf(rule: Rule) -> None:
    field, op = rule.get("field"), rule.get("op")
    if not isinstance(field, str) or not (field in COLUMNS or _ATTRIBUTE.fullmatch(field)):
        raise RuleError(
            _("“%(field)s” is not a valid field. Use one of %(columns)s or attributes.<name>.")
            % {"field": str(field)[:100], "columns": ", ".join(COLUMNS)}
        )
    if not isinstance(op, str) or op not in OPERATORS:
        raise RuleError(
            _("“%(op)s” is not a valid comparison. Use one of %(operators)s.")
            % {"op": str(op)[:100], "operators": ", ".join(OPERATORS)}
        )
    if not set(rule) <= {"field", "op", "value"}:
        raise RuleError(_("A rule has only a field, an op and a value. Delete the other keys."))
    if field not in COLUMNS and _is_number(_name(field)):
        # Django reads such a key as the index of an array, on PostgreSQL then nothing ever matches.
        raise RuleError(
            _("An attribute whose name is a number (“%(field)s”) cannot be used in a rule.")
            % {"field": _name(field)}
        )
    operator, value = OPERATORS[op], rule.get("value")
    if operator.takes is not None:
        _validate_value(field, operator, value)
    elif value is not None:
        raise RuleError(
            _("The comparison “%(name)s %(operator)s” takes no value. Delete the value.")
            % {"name": _name(field), "operator": operator.words}
        )


def _validate_value(field: str, op: Operator, value: Any) -> None:
    takes, name = op.takes or (), _name(field)
    if not isinstance(value, takes) or (isinstance(value, bool) and bool not in takes):  # type: ignore[operator]
        raise RuleError(
            _("The comparison “%(name)s %(operator)s” does not take the value %(value)s.")
            % {"name": name, "operator": op.words, "value": repr(str(value)[:100])}
        )
    if op.compares_numbers and field in COLUMNS:
        raise RuleError(
            _("“%(name)s” is a text. The comparison “%(operator)s” takes numbers only.")
            % {"name": name, "operator": op.words}
        )
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= _VALUES_LIMIT or not all(
        isinstance(v, str | int | float) for v in values
    ):
        raise RuleError(
            _("The comparison “%(name)s %(operator)s” takes 1 to %(limit)s plain values.")
            % {"name": name, "operator": op.words, "limit": format_number(_VALUES_LIMIT)}
        )
    for one in values:
        if isinstance(one, str) and (len(one) > _TEXT_LIMIT or _UNSTORABLE.search(one)):
            raise RuleError(
                _(
                    "The value of “%(name)s” is longer than %(limit)s characters or contains a "
                    "broken character."
                )
                % {"name": name, "limit": _TEXT_LIMIT}
            )
        if isinstance(one, int | float) and not (math.isfinite(one) and abs(one) <= _NUMBER_LIMIT):
            raise RuleError(
                _("The value of “%(name)s” is not a number between ±%(limit)s.")
                % {"name": name, "limit": format_number(_NUMBER_LIMIT)}
            )


def _is_number(name: str) -> bool:
    try:
        int(name)
    except ValueError:
        return False
    return True


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
    attribute = _ATTRIBUTE.fullmatch(field)
    if attribute:
        return _on_attribute(attribute[1], op, value)
    return _on_column(field, op, value)


def _fold(rules: list[Rule], join: Callable[[Q, Q], Q]) -> Q:
    found = _compile(rules[0])
    for rule in rules[1:]:
        found = join(found, _compile(rule))
    return found


def _on_column(column: str, op: Operator, value: Any) -> Q:
    if op.lookup == "isnull":
        empty = Q(**{column: ""})
        if op.negated:
            return ~empty
        return empty
    one_spelling: Callable[[str], str] = str
    if column == "external_id" and op.lookup in ("exact", "in"):
        one_spelling = fold
    if isinstance(value, list):
        value = [one_spelling(str(one)) for one in value]
    else:
        value = one_spelling(str(value))
    found = Q(**{f"{column}__{op.lookup}": value})
    if op.negated:
        return ~found
    return found


# How PostgreSQL and SQLite name the type of a JSON value.
_NUMBERS = ("number", "integer", "real")
_KINDS = {
    str: ("string", "text"),
    bool: ("boolean", "true", "false"),
    int: _NUMBERS,
    float: _NUMBERS,
}


class _Kind(KeyTransform):
    """The JSON type of an attribute in the database's own words; "null" also when the contact
    does not have it."""

    output_field = CharField()

    def as_sqlite(
        self, compiler: Any, connection: Any, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        lhs, params, keys = self.preprocess_lhs(compiler, connection)
        return f"COALESCE(JSON_TYPE({lhs}, %s), 'null')", (*params, compile_json_path(keys))

    def as_postgresql(
        self, compiler: Any, connection: Any, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        lhs, params = super().as_postgresql(compiler, connection)
        return f"COALESCE(JSONB_TYPEOF({lhs}), 'null')", tuple(params)

    def get_lookup(self, lookup: str) -> Any:
        return CharField().get_lookup(lookup)


class _Test:
    """One lookup on an attribute, built when its query resolves it: only then is the lookup told
    that it compares JSON. (`Q(attributes__<name>=…)` would read a double underscore in a
    workspace's own name as a lookup.)
    """

    conditional = True

    def __init__(self, transform: type[KeyTransform], name: str, lookup: str, value: Any) -> None:
        self.transform, self.name, self.lookup, self.value = transform, name, lookup, value

    def resolve_expression(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        key: Any = self.transform(
            self.name, F("attributes").resolve_expression(query, *args, **kwargs)
        )
        return key.get_lookup(self.lookup)(key, self.value)


def _on_attribute(name: str, op: Operator, value: Any) -> Q:
    # Every comparison is anded with this, so it is never unknown to SQL and can be negated: who has
    # no city does not live in Pune either.
    present = ~Q(_Test(_Kind, name, "exact", "null"))
    if op.lookup == "isnull":
        known = present & ~Q(_Test(KeyTransform, name, "exact", ""))
        if op.negated:
            return known
        return ~known
    if op.compares_numbers or op.lookup in ("exact", "in"):
        # SQLite sorts every text above every number, PostgreSQL every boolean; to SQLite "true"
        # equals true.
        kinds = {
            kind
            for one in (value if isinstance(value, list) else [value])
            for kind in _KINDS[type(one)]
        }
        present &= Q(_Test(_Kind, name, "in", sorted(kinds)))
    found = Q(_Test(KeyTransform, name, op.lookup, value)) & present
    if op.negated:
        return ~found
    return found


def matches_attribute(name: str, expression: str) -> Q:
    """Contacts with a text in this attribute that the regular expression matches, on both
    databases."""
    try:
        validate({"field": f"attributes.{name}", "op": "is_set"})
    except RuleError:  # a name that no attribute can have
        return Q(pk__in=())
    is_text = Q(_Test(_Kind, name, "in", sorted(_KINDS[str])))
    return is_text & Q(_Test(KeyTransform, name, "regex", expression))


def _name(field: str) -> str:
    return str(_NAMES.get(field, field.removeprefix("attributes.").lower()))


def _describe(rule: Rule) -> str:
    if "all" in rule:
        parts = [f"({_describe(one)})" if "any" in one else _describe(one) for one in rule["all"]]
        words = pgettext("two rules of an audience", "%(first)s and %(second)s")
        return _joined(words, parts)
    if "any" in rule:
        parts = [f"({_describe(one)})" if "all" in one else _describe(one) for one in rule["any"]]
        words = pgettext("two rules of an audience", "%(first)s or %(second)s")
        return _joined(words, parts)
    if "not" in rule:
        return pgettext("a rule of an audience", "not (%(rule)s)") % {
            "rule": _describe(rule["not"])
        }
    value = rule.get("value")
    shown = ", ".join(map(_listed, value)) if isinstance(value, list) else _shown(value)
    phrase = OPERATORS[rule["op"]].phrase
    return str(phrase % {"field": _name(rule["field"]), "value": shown})


def _joined(words: str, parts: list[str]) -> str:
    return functools.reduce(lambda first, second: words % {"first": first, "second": second}, parts)


def _listed(value: Any) -> str:
    if isinstance(value, str) and "," in value:
        return f"“{value}”"
    return _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        if value:
            return _("yes")
        return _("no")
    if isinstance(value, int):
        return format_number(value)
    return str(value) or "“”"
