"""Language tags have one spelling: at every door, in the table, in rules, and when a run chooses
a recipient's text."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from campaigns.audience.segments import compile_rule
from campaigns.models import Campaign, Contact, Content, Template
from pushpilot.lib.languages import fallbacks, normalize, tidy
from tenants.models import Workspace
from tenants.scope import scope

ONE_TAG = ("pt-BR", "pt_BR", "pt-br", "PT-BR", " Pt_bR\n")


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        *((text, "pt-BR") for text in ONE_TAG),
        ("EN", "en"),
        ("zh_hant_tw", "zh-Hant-TW"),
        ("ES-419", "es-419"),
    ],
)
def test_one_tag_has_one_spelling(written, tag):
    assert normalize(written) == tidy(written) == tag


@pytest.mark.parametrize(
    "text", ["", "e", "english", "en-", "en US", "en-US-POSIX", "ｅｎ", "pt-BR; DROP"]
)
def test_what_is_no_tag_is_refused_and_left_alone(text):
    with pytest.raises(ValueError, match="pt-BR"):
        normalize(text)
    assert tidy(text) == text


@pytest.mark.parametrize(
    ("tag", "chain"),
    [
        ("pt_br", ("pt-BR", "pt")),
        ("zh-Hant-TW", ("zh-Hant-TW", "zh-Hant", "zh")),
        ("en-US-u-fw", ("en-US-u-fw", "en-US-u", "en-US", "en")),
        ("", ("",)),
    ],
)
def test_a_reader_of_a_region_reads_its_language(tag, chain):
    assert fallbacks(tag) == chain


# --- the doors ------------------------------------------------------------------------------------
def test_the_table_holds_one_spelling_whoever_writes(inside):
    person = Contact.objects.create(workspace=inside.workspace, external_id="c", language="pt_br")
    assert person.language == "pt-BR"
    Contact.objects.bulk_create(
        [Contact(workspace=inside.workspace, external_id="d", language="PT_BR")]
    )
    Contact.objects.filter(pk=person.pk).update(language="pT-br")
    assert set(Contact.objects.values_list("language", flat=True)) == {"pt-BR"}


@pytest.mark.parametrize("model", [Contact, Template, Content, Workspace])
def test_a_checked_row_has_a_tag_or_an_error(db, model):
    field = next(name for name in ("language", "default_language") if hasattr(model(), name))
    others = {other.name for other in model._meta.fields if other.name != field}
    row = model(**{field: "pt_br"})
    row.clean_fields(exclude=others)
    assert getattr(row, field) == "pt-BR"
    with pytest.raises(ValidationError) as refused:
        model(**{field: "klingon!"}).clean_fields(exclude=others)
    assert list(refused.value.message_dict) == [field]


@pytest.mark.parametrize("written", ONE_TAG)
def test_a_rule_finds_the_language_in_any_spelling(inside, written):
    Contact.objects.create(workspace=inside.workspace, external_id="c", language="pt-BR")
    for op, value in (("is", written), ("in", [written])):
        assert (
            Contact.objects.filter(
                compile_rule({"field": "language", "op": op, "value": value})
            ).count()
            == 1
        )


# --- what was stored before -----------------------------------------------------------------------
def stored_as(row: Any, language: str, column: str = "language") -> None:
    """Write the tag past the field that would tidy it."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {row._meta.db_table} SET {column} = %s WHERE id = %s", [language, row.pk]
        )


def tidy_stored(app: str) -> None:
    before = {"campaigns": "0011_waiting_consent", "tenants": "0011_phone_wall_keys_end"}[app]
    old = MigrationLoader(connection).project_state((app, before)).apps
    import_module(f"{app}.migrations.0012_language_tags").tidy_stored(old, None)


def template(workspace: Workspace, name: str, language: str) -> Template:
    made = Template.objects.create(
        workspace=workspace,
        name=name,
        language="xx",
        category="offer",
        fields={"title": "T", "body": "B"},
    )
    stored_as(made, language)
    stored_as(made, str(made.pk), "name_key")  # of later
    return made


def test_stored_tags_get_the_one_spelling(cast):
    stored_as(cast.workspace, "pt_br", "default_language")
    with scope(cast.workspace):
        people = {
            text: Contact.objects.create(workspace=cast.workspace, external_id=text)
            for text in ("a", "b", "c")
        }
        for person, text in zip(people.values(), ("pt_BR", "", "English, please"), strict=True):
            stored_as(person, text)
        template(cast.workspace, "Sale", "EN")
    tidy_stored("campaigns")
    tidy_stored("tenants")
    with scope(cast.workspace):
        languages = list(Contact.objects.order_by("pk").values_list("language", flat=True))
        assert languages == ["pt-BR", "", "English, please"]
        assert Template.objects.get().language == "en"
    assert Workspace.objects.get(pk=cast.workspace.pk).default_language == "pt-BR"


def test_of_two_rows_that_turn_out_to_be_in_one_language_both_stay(cast):
    with scope(cast.workspace):
        for name, language in (
            ("Sale", "pt-BR"),
            ("Sale", "pt_BR"),
            ("Sale (2)", "pt-BR"),
            ("Other", "pt_BR"),
        ):
            template(cast.workspace, name, language)
        campaign = Campaign.objects.create(workspace=cast.workspace, name="Weekend")
        for number, (title, language) in enumerate(
            (("First", "pt-BR"), ("Second", "pt_BR"), ("Third", "PT"))
        ):
            content = Content.objects.create(
                workspace=cast.workspace,
                campaign=campaign,
                fields={"title": title, "body": "B"},
                language=f"x{'abc'[number]}",
            )
            stored_as(content, language)
    tidy_stored("campaigns")
    with scope(cast.workspace):
        templates = list(Template.objects.order_by("pk").values_list("name", "language"))
        contents = list(Content.objects.order_by("pk").values_list("title", "language", "variant"))
    assert templates == [
        ("Sale", "pt-BR"),
        ("Sale (3)", "pt-BR"),
        ("Sale (2)", "pt-BR"),
        ("Other", "pt-BR"),
    ]
    assert contents == [("First", "pt-BR", "A"), ("Second", "pt-BR", "B"), ("Third", "pt", "A")]
