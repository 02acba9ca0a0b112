"""The verbs of templates: what they write, what they refuse, and what the trail keeps of it."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from campaigns.content import library as verbs
from campaigns.models import Template
from tenants.models import AuditEntry
from tenants.scope import scope

TEXTS = {"name": "Sale", "category": "offer", "title": "T", "body": "B"}


@pytest.fixture
def shop(cast):
    with scope(cast.workspace):
        yield cast


def entry(action: str) -> AuditEntry:
    return AuditEntry.objects.get(action=action)


def refused(verb, *args, **kwargs) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        verb(*args, **kwargs)
    return {field: errors[0] for field, errors in caught.value.message_dict.items()}


def test_a_new_template_is_tidied_and_takes_the_language_of_its_workspace(shop):
    given = {**TEXTS, "name": " Big  sale ", "category": "Offer", "body": "one\r\ntwo"}
    made = verbs.create(shop.workspace, given, by=shop.member)
    made.refresh_from_db()
    assert (made.name, made.category, made.language) == ("Big sale", "offer", "en")
    assert (made.title, made.fields) == ("T", {"title": "T", "body": "one\ntwo"})
    kept = entry("template created")
    assert (kept.actor, kept.target) == (shop.member, "Big sale")
    assert kept.changes["body"] == [None, "one\ntwo"]


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"name": ""}, "name", "Write a name"),
        ({"category": "sale"}, "category", "not a valid category"),
        ({"channel": "fax"}, "channel", "not a valid channel"),
        ({"language": "english"}, "language", "not a language code"),
        ({"tone": "loud"}, "tone", "not a valid tone"),
        ({"title": ""}, "title", "empty"),
        ({"body": "{{ n"}, "body", "cannot be read"),
        ({"image_url": "ftp://a.b/c"}, "image_url", "not the address of an image"),
        ({"headline": ""}, "headline", "no such field"),
        ({"title": 5}, "title", "must be a text"),
        ({"subtitle": "Too"}, "subtitle", "another name of “body”"),
        ({"ttl_secs": "soon"}, "ttl_secs", "whole number"),
        ({"buttons": [{"url": "app://x"}]}, "buttons.0.text", "Write the text"),
        ({"name": "ours", "language": "EN"}, "name", "has a template with this name"),
    ],
)
def test_each_fault_names_its_column_and_nothing_is_written(shop, own, given, field, words):
    found = refused(verbs.create, shop.workspace, {**TEXTS, **given}, by=None)
    assert list(found) == [field]
    assert words in found[field]
    assert Template.objects.count() == 1


def test_a_change_writes_what_differs_and_nothing_else(shop, own):
    Template.objects.filter(pk=own.pk).update(fields={**own.fields, "buttons": [{"text": "Go"}]})
    before = own.updated_at
    changed = verbs.change(own, {"title": "New", "deep_link": "app://x"}, by=shop.member)
    assert changed.fields["buttons"] == [{"text": "Go"}]
    assert (changed.name, changed.title) == ("Ours", "New")
    assert changed.updated_at > before
    assert entry("template changed").changes == {
        "title": ["T", "New"],
        "deep_link": ["", "app://x"],
    }


def test_a_template_holds_the_options_of_its_channel_too(shop):
    given = {"name": "Sale", "category": "offer", "title": "T", "subtitle": "B", "ttl_secs": 60}
    made = verbs.create(shop.workspace, given, by=None)
    assert made.fields == {"title": "T", "body": "B", "ttl_secs": 60}
    changed = verbs.change(made, {"ttl_secs": None, "buttons": [{"text": "Go"}]}, by=None)
    assert changed.fields == {"title": "T", "body": "B", "buttons": [{"text": "Go"}]}
    kept = entry("template changed").changes
    assert kept == {"ttl_secs": [60, ""], "buttons": ["", [{"text": "Go"}]]}


def test_an_emptied_language_or_channel_is_the_standard_one(shop, own):
    verbs.change(own, {"language": "hi", "channel": "web_push"}, by=None)
    changed = verbs.change(own, {"language": None, "channel": ""}, by=None)
    assert (changed.language, changed.channel) == ("en", "app_push")


def test_a_change_of_nothing_leaves_no_entry_and_the_time(shop, own):
    assert verbs.change(own, {"title": "T "}, by=None).updated_at == own.updated_at
    assert not AuditEntry.objects.filter(action="template changed").exists()


def test_what_an_older_version_took_does_not_stop_another_change(shop, own):
    Template.objects.filter(pk=own.pk).update(fields={**own.fields, "image_url": "ftp://a.b/c"})
    given = {"title": "New", "image_url": "ftp://a.b/c"}
    assert verbs.change(own, given, by=None).title == "New"
    assert "image_url" in refused(verbs.change, own, {"image_url": "ftp://d.e/f"}, by=None)


def test_another_channel_judges_the_texts_that_stay(shop, own):
    Template.objects.filter(pk=own.pk).update(fields={**own.fields, "deep_link": "app://offers"})
    assert "deep_link" in refused(verbs.change, own, {"channel": "web_push"}, by=None)
    moved = verbs.change(own, {"channel": "web_push", "deep_link": "https://a.b/c"}, by=None)
    assert moved.channel == "web_push"


def test_a_name_that_is_taken_in_this_moment_is_refused_as_any_other(shop, own, monkeypatch):
    monkeypatch.setattr(verbs, "faults", lambda *args, **kwargs: {})
    found = refused(verbs.create, shop.workspace, {**TEXTS, "name": "OURS"}, by=None)
    assert found == {"name": str(verbs.NAME_TAKEN)}


def test_a_copy_gets_another_number_if_its_name_is_taken_in_this_moment(shop, library, monkeypatch):
    verbs.copy(library, shop.workspace, by=None)
    free = iter(["Welcome", "Welcome (2)"])
    monkeypatch.setattr(verbs, "_free_name", lambda *args: next(free))
    assert verbs.copy(library, shop.workspace, by=shop.member).name == "Welcome (2)"


def test_global_templates_are_neither_changed_nor_deleted(shop, library):
    with pytest.raises(verbs.GlobalTemplate):
        verbs.change(library, {"title": "Mine"}, by=shop.owner)
    with pytest.raises(verbs.GlobalTemplate):
        verbs.remove(library, by=shop.owner)
    library.refresh_from_db()
    assert library.title.startswith("Welcome")


def test_a_deleted_template_stays_in_the_trail(shop, own):
    verbs.remove(own, by=shop.member)
    assert not Template.objects.filter(pk=own.pk).exists()
    assert entry("template deleted").changes["body"] == ["A line of ours", None]


def test_a_template_that_is_gone_meanwhile_is_not_written_again(shop, own):
    verbs.remove(Template.objects.get(pk=own.pk), by=None)
    with pytest.raises(Template.DoesNotExist):
        verbs.change(own, {"title": "New"}, by=None)
