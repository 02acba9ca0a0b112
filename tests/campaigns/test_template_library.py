"""The template library in the console: the list, one template, and the copy of a global one."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils.html import escape

from campaigns.content import library
from campaigns.models import Template
from tenants.models import AuditEntry
from tenants.scope import every_workspace, scope
from tests.campaigns.console import template_names
from tests.pages import YES

pytestmark = pytest.mark.once


# --- the list and one template --------------------------------------------------------------------
def test_the_list_shows_own_and_global_templates_and_no_others(cast, own, library, foreign):
    html = cast.client("viewer").get(cast.url("campaigns/template/")).content.decode()
    assert "Ours" in html
    assert "Welcome" in html
    assert "Global" in html
    assert "Secret" not in html


@pytest.mark.parametrize(
    ("query", "shown"),
    [("library=own", {"Ours"}), ("library=global", {"Welcome"}), ("category__exact=welcome", {"Welcome"}),
     ("language=en", {"Ours", "Welcome"}), ("language=hi", set()), ("q=ours", {"Ours"}),
     ("q=line+of+ours", {"Ours"}), ("q=fields", set())],
)  # fmt: skip
def test_the_list_can_be_filtered_and_searched(cast, own, library, query, shown):
    page = cast.client("member").get(cast.url(f"campaigns/template/?{query}"))
    assert {template.name for template in page.context["cl"].result_list} == shown


def test_a_global_template_can_be_seen_but_neither_changed_nor_deleted(cast, library):
    client, url = cast.client("owner"), cast.url(f"campaigns/template/{library.pk}/change/")
    page = client.get(url)
    assert "Welcome, you" in page.content.decode()
    assert 'name="title"' not in page.content.decode()
    assert escape("Welcome, {{ n | default: 'you' }}") in page.content.decode(), (
        "the text as it is written"
    )
    form = {"name": "Mine", "language": "en", "category": "offer", "title": "T", "body": "B"}
    assert client.post(url, form).status_code == 403
    assert client.get(cast.url(f"campaigns/template/{library.pk}/delete/")).status_code == 403
    assert (
        client.post(
            cast.url(f"campaigns/template/{library.pk}/delete/"), {"post": "yes"}
        ).status_code
        == 403
    )
    bulk = {"action": "delete_selected", "_selected_action": [library.pk], "post": "yes"}
    assert client.post(cast.url("campaigns/template/"), bulk).status_code == 403
    with scope(cast.workspace):
        library.refresh_from_db()
    assert library.name == "Welcome"


def test_a_member_writes_a_template_and_gets_the_sentences_of_the_import(cast, own):
    client, url = cast.client("member"), cast.url("campaigns/template/add/")
    bad = {
        "name": "OURS",
        "language": "EN",
        "category": "offer",
        "title": "Hi {{ n",
        "body": "B",
        "image_url": "ftp://x.y/z",
    }
    html = client.post(url, bad).content.decode()
    assert "The personalisation cannot be read" in html
    assert "This is not the address of an image" in html
    assert "has a template with this name, language and channel" in html
    good = {"name": " New ", "language": "pt_br", "category": "offer", "title": "T", "body": "B"}
    assert client.post(url, good).status_code == 302
    with scope(cast.workspace):
        template = Template.objects.get(name="New")
        created = AuditEntry.objects.get(action="template created")
    assert (template.workspace, template.language) == (cast.workspace, "pt-BR")
    assert (template.title, template.fields) == ("T", {"title": "T", "body": "B"})
    assert created.changes["body"] == [None, "B"]
    changed = {**good, "name": "New", "body": "Better", "deep_link": "app://offers"}
    assert (
        client.post(cast.url(f"campaigns/template/{template.pk}/change/"), changed).status_code
        == 302
    )
    with scope(cast.workspace):
        template.refresh_from_db()
        entry = AuditEntry.objects.get(action="template changed")
    assert template.fields == {"title": "T", "body": "Better", "deep_link": "app://offers"}
    assert entry.changes == {"body": ["B", "Better"], "deep_link": ["", "app://offers"]}


def test_a_name_that_is_taken_while_the_form_is_saved_is_said_at_its_field(cast, own, monkeypatch):
    judge, calls = library.faults, []

    def blind_at_first(*args, **kwargs):
        calls.append(args)
        return {} if len(calls) <= 2 else judge(*args, **kwargs)  # the form, then the verb

    monkeypatch.setattr(library, "faults", blind_at_first)
    form = {"name": "Ours", "language": "en", "category": "offer", "title": "T", "body": "B"}
    page = cast.client("member").post(cast.url("campaigns/template/add/"), form)
    assert page.context["adminform"].form.errors["name"] == [str(library.NAME_TAKEN)]


def test_a_new_template_has_no_category_until_one_is_chosen(cast):
    html = cast.client("member").get(cast.url("campaigns/template/add/")).content.decode()
    assert re.search(r'<option value=""[^>]*selected[^>]*>Select category', html)


@pytest.mark.parametrize("page", ["change/", "delete/"])
def test_a_template_of_another_workspace_is_as_good_as_absent(cast, foreign, page):
    def answer_to(pk: int) -> tuple[int, bytes]:
        answer = cast.client("owner").get(cast.url(f"campaigns/template/{pk}/{page}"), follow=True)
        return answer.status_code, answer.content.replace(str(pk).encode(), b"")

    theirs, absent = answer_to(foreign.pk), answer_to(987654321)
    assert theirs[0] == absent[0]
    assert b"Secret" not in theirs[1]


def test_the_page_keeps_foreign_rows_out_even_without_the_scope(cast, own, library, foreign, rf):
    from pushpilot.sites import console

    request = rf.get("/")
    request.workspace, request.user = cast.workspace, cast.owner
    with every_workspace():
        rows = set(console._registry[Template].get_queryset(request).values_list("pk", flat=True))
    assert rows == {own.pk, library.pk}


def test_the_use_link_leads_to_a_new_campaign_for_those_who_may_write_one(cast, library):
    link = cast.url(f"campaigns/campaign/add/?template={library.pk}")
    from pushpilot.sites import console

    if not any(model.__name__ == "Campaign" for model in console._registry):
        pytest.skip("the campaign page is not there yet")
    for path in ("campaigns/template/", f"campaigns/template/{library.pk}/change/"):
        assert link in cast.client("member").get(cast.url(path)).content.decode()
        assert link not in cast.client("viewer").get(cast.url(path)).content.decode()


# --- copying --------------------------------------------------------------------------------------
def copy_url(cast, template: Template) -> str:
    return cast.url(f"campaigns/template/{template.pk}/copy_to_workspace/")


def test_a_global_template_is_copied_by_post_and_a_taken_name_gets_a_number(cast, library):
    client = cast.client("member")
    assert "Copy this template" in client.get(copy_url(cast, library)).content.decode()
    assert template_names(cast.workspace) == set()
    first = client.post(copy_url(cast, library), YES)
    client.post(copy_url(cast, library), YES)
    with scope(cast.workspace):
        copies = Template.objects.filter(workspace=cast.workspace).order_by("pk")
        assert [copy.name for copy in copies] == ["Welcome", "Welcome (2)"]
        assert first["HX-Redirect"] == cast.url(f"campaigns/template/{copies[0].pk}/change/")
        assert AuditEntry.objects.filter(action="template copied").count() == 2


def test_copying_needs_the_token_against_forgery(cast, library):
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.member, backend="tenants.access.EmailBackend")
    assert client.post(copy_url(cast, library), YES).status_code == 403


def test_copying_is_for_editors_and_for_global_templates_only(cast, library, own, foreign):
    assert cast.client("viewer").post(copy_url(cast, library), YES).status_code == 403
    for template in (own, foreign):
        assert cast.client("owner").post(copy_url(cast, template), YES).status_code == 404
    assert template_names(cast.workspace) == {"Ours"}
