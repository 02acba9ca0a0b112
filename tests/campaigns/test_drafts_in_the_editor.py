"""“Suggest texts” in the campaign editor: drafts of what the form holds."""

from __future__ import annotations

import pytest

from campaigns.models import Campaign
from tenants.models import AuditEntry
from tenants.scope import scope

URL = "campaigns/campaign/drafts/"


@pytest.fixture
def ask(company):
    def asked(prompt: str, role: str = "member", **form: str):
        given = {"channel": "app_push", "audience": "everyone", "draft_prompt": prompt, **form}
        return company.client(role).post(company.url(URL), given)

    return asked


def test_the_editor_has_the_button_with_its_address(company):
    html = company.client("member").get(company.url("campaigns/campaign/add/")).content.decode()
    assert "data-open-drafts" in html
    assert f'data-url="{company.url(URL)}"' in html


def test_drafts_fill_inputs_of_the_form_and_say_what_was_understood(ask):
    answer = ask("20% off until Sunday, code SWEET20, https://shop.example/sale").json()
    assert answer["understood"] == [
        "Offer: 20% off",
        "Code: SWEET20",
        "Deadline: Sunday",
        "Link: https://shop.example/sale",
    ]
    assert len(answer["drafts"]) == 3
    for draft in answer["drafts"]:
        assert set(draft["texts"]) == {"title", "body", "deep_link"}
        assert draft["tone"] == "cheerful"
        assert draft["template"] is None


def test_the_tone_of_the_form_counts_and_another_seed_gives_other_texts(ask):
    first, again, other = (
        ask("A weekend sale", tone="formal", draft_seed=seed).json() for seed in ("0", "0", "1")
    )
    assert {draft["tone"] for draft in first["drafts"]} == {"formal"}
    assert first == again
    assert first["drafts"] != other["drafts"]


def test_a_broadcast_is_not_personalised(ask):
    drafts = [
        ask("Welcome, say hello", draft_seed=str(seed), audience="topic", topic="news").json()
        for seed in range(5)
    ]
    assert all("drafts" in one for one in drafts)
    assert "first_name" not in str(drafts)


@pytest.mark.parametrize("seed", ["-1", "x", "9" * 40, ""])
def test_a_seed_that_is_none_counts_as_the_first(ask, seed):
    assert ask("A sale", draft_seed=seed).json() == ask("A sale").json()


@pytest.mark.parametrize("prompt", ["", "x" * 1001, "a\x1bb"])
def test_a_prompt_that_cannot_be_read_is_said(ask, prompt):
    answer = ask(prompt)
    assert answer.status_code == 200
    assert list(answer.json()) == ["error"]


def test_nothing_is_written_and_a_viewer_gets_no_drafts(ask, company):
    ask("A sale")
    assert ask("A sale", "viewer").status_code == 403
    with scope(company.workspace):
        assert not Campaign.objects.exists()
        assert not AuditEntry.objects.filter(action__startswith="campaign").exists()
