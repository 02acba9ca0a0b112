"""Drafts of a campaign's message by API: the seed's address, and what stays unwritten."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns.models import Campaign, Content
from tenants import keys
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.api.conftest import backend_of
from tests.tenants.api.app import App, refused
from tests.tenants.api.calls import app_of

PROMPT = "Diwali sale: 20% off on all sweets until Sunday, code SWEET20, https://a.example/b"


@pytest.fixture
def campaign(company) -> Campaign:
    with scope(company.workspace):
        return Campaign.objects.create(workspace=company.workspace, name="A", channel="app_push")


def content(campaign: Campaign, **fields: Any) -> None:
    with scope(campaign.workspace):
        Content.objects.create(workspace=campaign.workspace, campaign=campaign, **fields)


def ask(app: App, campaign: Campaign, prompt: Any = PROMPT, tail: str = "", **body: Any) -> Any:
    address = f"/campaigns/{campaign.pk}/generate-content{tail}"
    return app.post(address, prompt=prompt, **body)


@pytest.mark.parametrize("tail", ["", "/"])
def test_the_seeds_prompt_gives_three_festive_drafts(backend, campaign, tail):
    answer = ask(backend, campaign, "Write a festive message", tail)
    assert answer.status_code == 200, answer.content
    told = answer.json()
    drafts = told.pop("drafts")
    assert told == {
        "engine": "templates",
        "category": "festive",
        "tone": "festive",
        "slots": {},
        "seed": 0,
    }
    assert len({draft["content"]["title"].split()[0] for draft in drafts}) == 3
    for draft in drafts:
        assert draft["template_id"] is None
        assert set(draft["content"]) == {"title", "body", "language", "tone"}


def test_a_draft_is_taken_as_the_campaigns_content_as_it_is(backend, campaign):
    told = ask(backend, campaign).json()
    assert told["slots"] == {
        "offer": "20% off",
        "product": "all sweets",
        "deadline": "Sunday",
        "code": "SWEET20",
        "occasion": "Diwali",
        "link": "https://a.example/b",
    }
    for draft in told["drafts"]:
        taken = backend.patch(f"/campaigns/{campaign.pk}", contents=[draft["content"]])
        assert taken.status_code == 200, taken.content
        (kept,) = taken.json()["contents"]
        assert kept == {**draft["content"], "variant": "A"}


def test_language_and_tone_follow_from_the_content_unless_they_are_sent(backend, campaign):
    content(campaign, language="es", tone="formal", fields={"title": "Hola"})
    told = ask(backend, campaign, "Oferta").json()
    assert told["tone"] == "formal"
    assert {draft["content"]["language"] for draft in told["drafts"]} == {"es"}
    other = ask(backend, campaign, "Oferta", language="hi", tone="urgent", category="news").json()
    assert (other["tone"], other["category"]) == ("urgent", "news")
    assert {draft["content"]["language"] for draft in other["drafts"]} == {"hi"}


def test_slots_go_before_the_prompt_and_a_seed_chooses_others(backend, campaign):
    first, other = (
        ask(backend, campaign, slots={"code": "OTHER5"}, seed=seed).json() for seed in (0, 1)
    )
    assert first["slots"]["code"] == "OTHER5"
    assert first["drafts"] != other["drafts"]


def test_a_broadcast_gets_no_personal_texts(backend, campaign):
    with scope(campaign.workspace):
        Campaign.objects.filter(pk=campaign.pk).update(target_kind="topic", target="news")
    for seed in range(5):
        assert "first_name" not in str(ask(backend, campaign, "Welcome", seed=seed).json())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "x" * 1001}, "prompt"),
        ({"tone": "loud"}, "tone"),
        ({"category": "sport"}, "category"),
        ({"language": "de"}, "language"),
        ({"slots": {"price": "5"}}, "slots.price"),
        ({"slots": {"code": 5}}, "slots.code"),
        ({"slots": {"code": "x" * 201}}, "slots.code"),
        ({"slots": {"link": "nowhere"}}, "slots.link"),
        ({"slots": []}, "slots"),
        ({"seed": -1}, "seed"),
        ({"seed": 10**40}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_what_is_wrong_is_named(backend, campaign, body, field):
    answer = ask(backend, campaign, **body)
    assert refused(answer) == (422, "invalid"), answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_nothing_is_written_also_of_a_campaign_that_is_being_sent(backend, campaign):
    with scope(campaign.workspace):
        Campaign.objects.filter(pk=campaign.pk).update(status=Campaign.Status.RUNNING)
    assert ask(backend, campaign).status_code == 200
    with scope(campaign.workspace):
        assert not campaign.contents.exists()
        assert not AuditEntry.objects.filter(action__startswith="campaign").exists()


def test_who_may_not_edit_gets_no_drafts(company, campaign):
    reader = backend_of(company, keys.CAMPAIGNS_READ, keys.TEMPLATES_WRITE)
    assert refused(ask(reader, campaign)) == (403, "scope_missing")
    assert refused(ask(app_of(company.viewer), campaign)) == (403, "forbidden")


def test_a_campaign_of_others_does_not_exist(company, backend):
    with scope(company.other_workspace):
        theirs = Campaign.objects.create(workspace=company.other_workspace, name="B")
    assert refused(ask(backend, theirs)) == (404, "campaign_not_found")
