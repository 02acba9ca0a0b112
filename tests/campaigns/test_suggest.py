"""Drafts from a prompt: which templates they begin with, what is refused, and that nothing is
written."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from campaigns.content.drafting.compose import Draft
from campaigns.content.drafting.suggest import Asked, suggest
from campaigns.models import Template
from tenants.models import AuditEntry
from tenants.scope import every_workspace, scope


@pytest.fixture
def shop(company):
    with scope(company.workspace):
        yield company


def asked(prompt="Write a festive message", **given) -> Asked:
    return Asked(prompt, given.pop("channel", "app_push"), given.pop("language", "en"), **given)


def written(shop, owner=None, **given) -> Template:
    given = {"category": "festive", "tone": "festive", "language": "en", **given}
    title = given.pop("title")
    fields = {"title": title, "body": f"{title}, and joy."}
    with every_workspace():
        return Template.objects.create(
            workspace=owner, name=f"Of {owner} {given}", fields=fields, **given
        )


def test_drafts_begin_with_own_and_global_templates_and_never_with_those_of_others(shop):
    ours = written(shop, shop.workspace, title="Ours to you")
    shared = written(shop, None, title="Global to you")
    written(shop, shop.other_workspace, title="Theirs to you")
    drafts = suggest(shop.workspace, asked()).drafts
    assert [draft.template for draft in drafts] == [ours.pk, shared.pk, None]
    assert drafts[0].fields == {"title": "Ours to you", "body": "Ours to you, and joy."}


@pytest.mark.parametrize(
    "other", [{"category": "news"}, {"tone": "formal"}, {"language": "es"}, {"language": "en-GB"}]
)
def test_a_template_of_another_category_tone_or_language_is_not_used(shop, other):
    written(shop, shop.workspace, title="Ours to you", **other)
    found = suggest(shop.workspace, asked(language="en-US", tone="festive"))
    assert [draft.template for draft in found.drafts] == [None] * 3


def test_a_template_without_a_tone_serves_every_tone_and_one_of_a_region_its_language(shop):
    ours = written(shop, shop.workspace, title="Ours to you", tone="", language="en-IN")
    assert suggest(shop.workspace, asked()).drafts[0].template == ours.pk


def test_names_are_used_only_where_contacts_have_them_and_the_message_may_be_personal(shop):
    def is_personal(**given) -> bool:
        prompts = ("Happy weekend", "Welcome", "We miss you", "News", "A reminder")
        found = (suggest(shop.workspace, asked(prompt, **given)) for prompt in prompts)
        return any("{{ first_name" in str(one.drafts) for one in found)

    assert is_personal()
    assert not is_personal(is_personal=False)


def test_the_standard_tone_counts_where_nobody_names_one(shop):
    def tone(prompt, **given) -> str:
        found = suggest(shop.workspace, asked(prompt, **given), standard_tone="formal")
        return found.brief.tone

    assert tone("20% off") == "formal"
    assert tone("Urgent: 20% off") == "urgent"
    assert tone("20% off", tone="friendly") == "friendly"


def test_given_slots_go_before_those_of_the_prompt_and_an_empty_one_takes_it_out(shop):
    given = {"offer": "free delivery", "code": ""}
    found = suggest(shop.workspace, asked("20% off, code ABC20", slots=given))
    assert found.brief.slots == {"offer": "free delivery"}


def test_a_link_that_the_channel_does_not_open_is_left_out_if_it_only_stands_in_the_prompt(shop):
    prompt = "News at myapp://home"
    app, web = (
        suggest(shop.workspace, asked(prompt, channel=channel)).drafts[-1].fields.get("deep_link")
        for channel in ("app_push", "web_push")
    )
    assert (app, web) == ("myapp://home", None)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x" * 1001}, "prompt"),
        ({"prompt": "a\x1bb"}, "prompt"),
        ({"channel": "fax"}, "channel"),
        ({"language": "de"}, "language"),
        ({"category": "sport"}, "category"),
        ({"tone": "loud"}, "tone"),
        ({"slots": {"price": "5"}}, "slots.price"),
        ({"slots": {"code": "x" * 201}}, "slots.code"),
        ({"slots": {"product": "{{ name }}"}}, "slots.product"),
        ({"slots": {"product": "a\x1bb"}}, "slots.product"),
        ({"slots": {"link": "javascript:alert(1)"}}, "slots.link"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(shop, given, field):
    with pytest.raises(ValidationError) as caught:
        suggest(shop.workspace, asked(**given))
    assert list(caught.value.error_dict) == [field]


def test_a_draft_of_any_engine_passes_the_same_checks(shop):
    def boastful(brief, samples):
        return [Draft({"title": "Save 99%"}), Draft({"title": "Good to see you"})]

    found = suggest(shop.workspace, asked(), engine=boastful)
    assert [draft.fields["title"] for draft in found.drafts] == ["Good to see you"]


def test_no_draft_at_all_is_said_at_the_prompt(shop):
    with pytest.raises(ValidationError) as caught:
        suggest(shop.workspace, asked(), engine=lambda brief, samples: [])
    assert list(caught.value.error_dict) == ["prompt"]


def test_nothing_is_written(shop, django_assert_max_num_queries):
    before = Template.objects.count(), AuditEntry.objects.count()
    with django_assert_max_num_queries(2):
        suggest(shop.workspace, asked())
    assert (Template.objects.count(), AuditEntry.objects.count()) == before
