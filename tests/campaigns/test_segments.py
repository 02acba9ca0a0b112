"""Rule trees: what they mean is the same on SQLite and PostgreSQL, and every bad one is refused
in a sentence."""

import json
from operator import ge, gt, le, lt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.audience.segments import RuleError, compile_rule, describe, validate
from campaigns.models import Campaign, Contact
from tenants.scope import scope

DATA = Path(__file__).parent / "data"

PEOPLE: dict[str, dict[str, Any]] = {
    "asha": {"city": "Pune", "orders": 3, "vip": True, "utm__source": "mail", "prénom": "Asha"},
    "ben": {"city": "Mumbai", "orders": 12, "vip": False, "score": 2.5},
    "chitra": {"city": None, "orders": "7"},
    "dev": {"city": "", "orders": True},
    "esha": {},
    "farid": {"city": "pune", "orders": 0, "vip": "true", "2024": "x", "tags": ["Pune"]},
}


@pytest.fixture
def people(inside):
    Contact.objects.bulk_create(
        Contact(
            workspace=inside.workspace,
            external_id=name,
            attributes=attributes,
            country="IN",
            language="en",
        )
        for name, attributes in PEOPLE.items()
    )
    Contact.objects.filter(external_id="esha").update(country="", language="")
    return inside


def matching(rule: dict[str, Any]) -> set[str]:
    return set(Contact.objects.filter(compile_rule(rule)).values_list("external_id", flat=True))


def city(op: str, value: Any = None) -> dict[str, Any]:
    return {"field": "attributes.city", "op": op, "value": value}


def orders(op: str, value: Any = None) -> dict[str, Any]:
    return {"field": "attributes.orders", "op": op, "value": value}


def everyone_but(*names: str) -> set[str]:
    return set(PEOPLE) - set(names)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, set(PEOPLE)),
        (city("is", "Pune"), {"asha"}),
        (city("is_not", "Pune"), everyone_but("asha")),
        (city("contains", "UN"), {"asha", "farid"}),
        (city("starts_with", "mu"), {"ben"}),
        (city("in", ["Pune", "Mumbai"]), {"asha", "ben"}),
        (city("is_set"), {"asha", "ben", "farid"}),
        (city("is_not_set"), {"chitra", "dev", "esha"}),
        (orders("is", 3), {"asha"}),
        (orders("gt", 2), {"asha", "ben"}),
        (orders("lt", 5), {"asha", "farid"}),
        (orders("gte", 3), {"asha", "ben"}),
        (orders("lte", 0), {"farid"}),
        ({"field": "attributes.score", "op": "gt", "value": 2.4}, {"ben"}),
        ({"field": "attributes.vip", "op": "is", "value": True}, {"asha"}),
        ({"field": "attributes.vip", "op": "is", "value": False}, {"ben"}),
        ({"field": "attributes.utm__source", "op": "is", "value": "mail"}, {"asha"}),
        (
            {"field": "attributes.utm__source", "op": "is_not", "value": "mail"},
            everyone_but("asha"),
        ),
        ({"field": "attributes.utm__source__isnull", "op": "is_set"}, set()),
        ({"field": "attributes.prénom", "op": "is", "value": "Asha"}, {"asha"}),
        ({"field": "attributes.it's 100 %", "op": "is_set"}, set()),
        ({"field": "country", "op": "is", "value": "IN"}, everyone_but("esha")),
        ({"field": "country", "op": "is_not", "value": "IN"}, {"esha"}),
        ({"field": "country", "op": "is_not_set"}, {"esha"}),
        ({"field": "external_id", "op": "in", "value": ["ben", "dev"]}, {"ben", "dev"}),
        ({"all": [city("is", "Pune"), orders("gt", 2)]}, {"asha"}),
        ({"any": [city("is", "Pune"), orders("gt", 10)]}, {"asha", "ben"}),
        ({"not": {"any": [city("is", "Pune"), orders("gt", 10)]}}, everyone_but("asha", "ben")),
    ],
)
def test_a_rule_finds_exactly_these_people(people, rule, expected):
    assert matching(rule) == expected


@pytest.mark.parametrize(
    "rule",
    [
        city("is", "Pune"),
        city("is_not", "Pune"),
        city("contains", "u"),
        city("in", ["Pune"]),
        city("is_set"),
        orders("gt", 2),
        orders("lte", 3),
        {"field": "attributes.never_seen", "op": "gt", "value": 1},
        {"field": "language", "op": "is", "value": "en"},
    ],
)
def test_a_rule_and_its_negation_split_everybody(people, rule):
    """Unknown values must not fall out of both: in SQL, NOT of an unknown is unknown."""
    yes, no = matching(rule), matching({"not": rule})
    assert yes | no == set(PEOPLE)
    assert not yes & no
    assert matching({"not": {"not": rule}}) == yes


def test_a_text_or_a_boolean_is_never_more_or_less_than_a_number(people):
    """SQLite sorts texts above all numbers, PostgreSQL booleans; neither "7" nor true may match
    either way."""
    assert not matching(orders("gte", 0)) & {"chitra", "dev"}
    assert not matching(orders("lte", 1000)) & {"chitra", "dev"}


VALUES = st.one_of(
    st.integers(-3, 20), st.floats(-1e6, 1e6, width=32), st.text("aP ü'\"%_\\", max_size=3)
)


@settings(max_examples=60)
@given(value=VALUES, held=st.lists(VALUES | st.booleans() | st.none(), min_size=1, max_size=4))
def test_is_and_more_than_agree_with_python(inside, value, held):
    Contact.objects.all().delete()
    Contact.objects.bulk_create(
        Contact(workspace=inside.workspace, external_id=str(n), attributes={"x": one})
        for n, one in enumerate(held)
    )

    def found(op: str) -> set[str]:
        return matching({"field": "attributes.x", "op": op, "value": value})

    def same(one: Any) -> bool:
        return (
            isinstance(one, str) == isinstance(value, str)
            and not isinstance(one, bool)
            and one == value
        )

    assert found("is") == {str(n) for n, one in enumerate(held) if same(one)}
    if not isinstance(value, str):
        numbers = {
            str(n): one
            for n, one in enumerate(held)
            if isinstance(one, int | float) and not isinstance(one, bool)
        }
        for op, holds in {"gt": gt, "gte": ge, "lt": lt, "lte": le}.items():
            assert found(op) == {n for n, one in numbers.items() if holds(one, value)}


DEEP: dict[str, Any] = city("is", "x")
for _ in range(8):
    DEEP = {"not": DEEP}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ([], "must be an object"),
        ({"field": "password", "op": "is", "value": "x"}, "“password” is not a valid field"),
        ({"field": "attributes.a.b", "op": "is", "value": "x"}, "is not a valid field"),
        ({"field": "attributes.a\n", "op": "is", "value": "x"}, "is not a valid field"),
        ({"field": "attributes.\ud800", "op": "is", "value": "x"}, "is not a valid field"),
        ({"field": "attributes.2024", "op": "is_set"}, "whose name is a number"),
        (city("like", "x"), "“like” is not a valid comparison"),
        ({**city("is", "x"), "sql": "1=1"}, "only a field, an op and a value"),
        (city("gt", "5"), "does not take the value '5'"),
        (city("gt", True), "does not take the value 'True'"),
        (city("is", None), "does not take"),
        (city("is", "a\x00"), "broken character"),
        (city("in", ["ok", "\udfff"]), "broken character"),
        (city("is", "x" * 501), "longer than 500"),
        (city("in", []), "1 to 1,000"),
        (city("in", [["nested"]]), "1 to 1,000"),
        (orders("gt", float("nan")), "not a number between"),
        (orders("gt", float("inf")), "not a number between"),
        (orders("is", 2**53 + 1), "not a number between"),
        (orders("is", -(2**53) - 1), "not a number between"),
        ({"field": "country", "op": "gt", "value": 3}, "“country” is a text"),
        ({"all": []}, "at least one rule"),
        ({"all": [city("is", "x")], "any": []}, "no other key"),
        ({"all": [{}]}, "is not a valid field"),
        ({"not": {}, "all": []}, "at least one rule"),
        (DEEP, "nested deeper than 8"),
        ({"any": [city("is", "x")] * 101}, "101 rules. At most 100 are allowed"),
    ],
)
def test_a_bad_rule_is_refused_in_a_sentence(rule, words):
    with pytest.raises(RuleError, match=words.replace("(", r"\(")):
        validate(rule)


@pytest.mark.parametrize(
    "rule",
    [
        orders("is", 2**53),
        orders("gt", -(2**53)),
        city("is", "x" * 500),
        city("in", ["x"] * 1000),
        {"any": [city("is", "x")] * 100},
        DEEP["not"],
    ],
)
def test_what_stands_on_a_limit_is_a_rule(rule):
    validate(rule)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["field", "op", "value", "all", "any", "not", "x"]), x | st.sampled_from(["country", "is", "in"])
)))  # fmt: skip
def test_whatever_arrives_is_either_a_rule_or_a_rule_error(junk):
    try:
        validate(junk)
    except RuleError:
        return
    assert describe(junk)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({}, "Everyone"),
        ({"field": "country", "op": "is", "value": "IN"}, "People with country IN"),
        (
            {"any": [{"all": [city("is", "Pune"), orders("gt", 1200)]}, city("is_not_set")]},
            "People with (city Pune and orders more than 1,200) or city not known",
        ),
        (
            {"not": city("in", ["Pune", "Mumbai"])},
            "Everyone except people with city one of Pune, Mumbai",
        ),
        (
            {"all": [orders("gte", 8), {"not": city("is_not", "Pune")}]},
            "People with orders at least 8 and not (city not Pune)",
        ),
        (
            {"field": "language", "op": "starts_with", "value": "en"},
            "People with language starting with en",
        ),
        ({"field": "attributes.vip", "op": "is", "value": True}, "People with vip yes"),
    ],
)
def test_a_rule_reads_as_one_phrase(rule, sentence):
    assert describe(rule) == sentence


# --- case, on both databases ----------------------------------------------------------------------
CASES = [case for case in json.loads((DATA / "same-or-not.json").read_text()) if "matches" in case]
FOLDING = [
    *((case["values"], case["term"], case["matches"]) for case in CASES),
    (["ÅNGSTRÖM", "ångström", "Angstrom"], "ÅNG", 2),
    (["ЗИМА", "зима"], "зи", 2),
    (["ΑΘΉΝΑ", "αθήνα"], "αθή", 2),
    (["Straße", "STRASSE"], "ße", 1),
    (["50%", "50 %", "5_0", "500"], "50%", 1),
    (["5_0", "500"], "5_0", 1),
    (["a\\b", "ab"], "A\\B", 1),
]


@pytest.mark.parametrize(("values", "term", "matches"), FOLDING)
@pytest.mark.parametrize("op", ["contains", "starts_with"])
def test_case_folds_beyond_ascii_on_both_databases(inside, values, term, matches, op):
    Contact.objects.bulk_create(
        Contact(workspace=inside.workspace, external_id=str(n), attributes={"city": value})
        for n, value in enumerate(values)
    )
    if op == "contains" or values[0].lower().startswith(term.lower()):
        assert len(matching(city(op, term))) == matches


@pytest.mark.parametrize("term", ["élan", "ÉLAN", "Él"])
def test_a_search_in_the_console_folds_case_beyond_ascii(cast, term):
    with scope(cast.workspace):
        for name in ("Élan vital", "élan"):
            Campaign.objects.create(workspace=cast.workspace, name=name)
    page = cast.client("member").get(cast.url("campaigns/campaign/"), {"q": term})
    assert len(page.context["cl"].result_list) == 2


def test_is_tells_capitals_apart_on_both_databases(inside):
    for n, value in enumerate(("Élan", "élan")):
        Contact.objects.create(
            workspace=inside.workspace, external_id=str(n), attributes={"city": value}
        )
    assert matching(city("is", "élan")) == {"1"}
