"""Spellings of one key are one key at every door, and control characters are named."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from campaigns.admin.campaign.builders import build_rule
from campaigns.audience.segments import compile_rule
from campaigns.imports.cells import key_of
from campaigns.models import Contact, Endpoint, EndpointMove, Template
from pushpilot.lib import spelling
from tenants.scope import every_workspace, scope

DATA = Path(__file__).parent / "data"
CASES: list[dict[str, Any]] = json.loads((DATA / "same-or-not.json").read_text())
IDS = next(case for case in CASES if case["kind"] == "external id")
NAMES = next(case for case in CASES if case["kind"] == "template name")
MORE_IDS = [
    "\ufeffcarol",
    "carol\u00a0",
    "ca\u200brol",
    "\u2060carol",
    "carol\u200d",
    "carol\u00ad",
    "\u202acarol\u202c",
]


@pytest.mark.parametrize("written", [*IDS["same"], *MORE_IDS])
def test_spellings_of_one_id_fold_to_it(written):
    assert spelling.fold(written) == "carol"


@pytest.mark.parametrize("other", [*IDS["different"], "caról", "carol 2", "carol-", "क्‍ष"])
def test_other_ids_stay_what_they_are(other):
    assert spelling.fold(other) == other


def test_a_composed_and_a_decomposed_id_are_one():
    assert spelling.fold("Zoe\u0308") == spelling.fold("Zo\u00eb") == "Zo\u00eb"


@pytest.mark.parametrize("written", [*NAMES["same"], "CAFE\u0301", "Café\u200b", "\u00a0café"])
def test_spellings_of_one_template_name_are_one_key(written):
    assert key_of(written, "en") == key_of("Café", "en")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("plain\ttext\nof two lines", ""),
        ("T\x1b[31mred", "U+001B ESCAPE"),
        ("a\x00", "U+0000 NULL"),
        ("a\x1f", "U+001F INFORMATION SEPARATOR ONE"),
        ("\x7f", "U+007F DELETE"),
        ("a\x9bb", "U+009B CONTROL CHARACTER"),
        ("a\uffff", "U+FFFF NONCHARACTER"),
    ],
)
def test_a_control_character_is_named(text, name):
    assert spelling.control_character(text) == name


def test_tabs_and_line_breaks_are_control_characters_where_a_line_is_wanted():
    assert spelling.control_character("a\tb", one_line=True) == "U+0009 CHARACTER TABULATION"
    assert spelling.control_character("a\u2028b", one_line=True) == "U+2028 LINE SEPARATOR"


# --- audiences ------------------------------------------------------------------------------------
@pytest.mark.parametrize("written", IDS["same"])
def test_an_audience_rule_finds_the_person_whatever_the_spelling_of_the_id(inside, written):
    Contact.objects.create(workspace=inside.workspace, external_id="carol")
    Contact.objects.create(workspace=inside.workspace, external_id="Carol")
    for rule in (
        build_rule("external_id", "is", written),
        {"field": "external_id", "op": "is", "value": written},
        {"field": "external_id", "op": "in", "value": [written, "nobody"]},
    ):
        assert [person.external_id for person in Contact.objects.filter(compile_rule(rule))] == [
            "carol"
        ]
    without = {"field": "external_id", "op": "is_not", "value": written}
    assert [person.external_id for person in Contact.objects.filter(compile_rule(without))] == [
        "Carol"
    ]


def test_a_search_for_a_contact_folds_what_was_pasted(cast):
    with scope(cast.workspace):
        Contact.objects.create(workspace=cast.workspace, external_id="zo\u00eb-1")
    page = cast.client("member").get(cast.url("campaigns/contact/"), {"q": "zoe\u0308\u200b"})
    assert [person.external_id for person in page.context["cl"].result_list] == ["zo\u00eb-1"]


# --- what was stored before -----------------------------------------------------------------------
def fold_stored() -> None:
    import_module("campaigns.migrations.0006_one_spelling").fold_stored(apps, None)


def test_stored_ids_get_the_one_spelling_and_their_moves_with_them(cast):
    with scope(cast.workspace):
        person = Contact.objects.create(workspace=cast.workspace, external_id="carol ")
        phone = Endpoint.objects.create(workspace=cast.workspace, contact=person, value="tok")
        EndpointMove.objects.create(
            workspace=cast.workspace,
            endpoint=phone,
            from_contact="dan",
            to_contact="carol ",
            at=person.created_at,
        )
    fold_stored()
    with scope(cast.workspace):
        assert Contact.objects.get().external_id == "carol"
        assert EndpointMove.objects.get().to_contact == "carol"


def test_of_two_spellings_that_are_both_stored_neither_changes(cast):
    with scope(cast.workspace):
        for external_id in ("carol", "carol ", "dan\u200b", " dan"):
            Contact.objects.create(workspace=cast.workspace, external_id=external_id)
    with scope(cast.other_workspace):
        Contact.objects.create(workspace=cast.other_workspace, external_id="carol ")
    fold_stored()
    with every_workspace():
        kept = Contact.objects.filter(workspace=cast.workspace).values_list(
            "external_id", flat=True
        )
        # the older of two without a clean one becomes it
        assert set(kept) == {"carol", "carol ", "dan", " dan"}
        assert Contact.objects.get(workspace=cast.other_workspace).external_id == "carol"


def test_stored_template_names_are_composed_unless_the_name_is_taken(cast):
    def template(name: str, **fields: Any) -> None:
        made = Template.objects.create(
            workspace=cast.workspace,
            name=f"unlike {name}",
            category="offer",
            fields={"title": "T"},
            **fields,
        )
        # the key is of later
        Template.objects.filter(pk=made.pk).update(name=name, name_key=str(made.pk))

    with scope(cast.workspace):
        template("Cafe\u0301")
        template("Cafe\u0301", language="hi")
        template("Caf\u00e9", language="hi")
    fold_stored()
    with scope(cast.workspace):
        names = (
            Template.objects.filter(workspace=cast.workspace)
            .order_by("pk")
            .values_list("name", flat=True)
        )
        assert list(names) == ["Caf\u00e9", "Cafe\u0301", "Caf\u00e9"]
