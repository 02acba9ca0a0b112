"""“one of” takes values with commas in quotation marks, and shows them as it reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.admin.campaign import builders
from campaigns.audience.segments import RuleError, describe
from campaigns.models import Campaign
from tenants.scope import scope
from tests.campaigns.console import FORM, change, saved

DATA = Path(__file__).parent / "data"
LISTED = next(
    case
    for case in json.loads((DATA / "same-or-not.json").read_text())
    if case["kind"].startswith("is one")
)


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        (LISTED["typed"], LISTED["values"]),
        ("Pune, “Washington, DC”", ["Pune", "Washington, DC"]),
        ('"a ""b"", c",d', ['a "b", c', "d"]),
        ('5" screen, x', ['5" screen', "x"]),
        (",Pune,, Mumbai ,", ["Pune", "Mumbai"]),
        ('"", x', ["", "x"]),
    ],
)
def test_one_of_several_values_may_hold_a_comma_in_quotation_marks(typed, values):
    assert builders.build_rule("attributes.city", "in", typed, "text")["value"] == values


@pytest.mark.parametrize("typed", ['"Washington, DC', 'Pune, "a" b, c', "“Pune"])
def test_quotation_marks_that_do_not_match_are_refused_in_a_sentence(typed):
    with pytest.raises(RuleError, match="quotation marks of the value"):
        builders.build_rule("attributes.city", "in", typed, "text")


@given(st.lists(st.text('a, "“”\n', max_size=6) | st.text(max_size=4), min_size=1))
def test_listed_values_come_back_as_they_were_shown(values):
    assert builders.split_values(builders.join_values(values)) == values


def test_a_saved_list_of_values_is_shown_as_it_is_read(cast):
    rule = {"audience": "rule", "audience_field": "attributes.city", "audience_op": "in"}
    made = saved(cast, **rule, audience_value='Pune, "Washington, DC"')
    assert made.audience_rule["value"] == ["Pune", "Washington, DC"]
    form = cast.client("member").get(change(cast, made)).context["adminform"].form
    assert form.initial["audience_value"] == 'Pune, "Washington, DC"'
    again = cast.client("member").post(
        change(cast, made),
        {**FORM, **rule, "audience_value": form.initial["audience_value"], "_save": "1"},
    )
    assert again.status_code == 302
    with scope(cast.workspace):
        assert Campaign.objects.get(pk=made.pk).audience_rule == made.audience_rule


def test_the_sentence_of_a_rule_sets_a_value_with_a_comma_apart():
    rule = builders.build_rule("attributes.city", "in", LISTED["typed"], "text")
    assert describe(rule) == "People with city one of Pune, “Washington, DC”"
