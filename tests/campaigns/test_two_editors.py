"""One draft in two windows, and the browser's way back: nothing that was typed or saved is lost."""

from typing import Any

from campaigns.models import Campaign
from tenants.scope import scope
from tests.campaigns.console import ADD, FORM, change, inputs_of, saved
from tests.pages import text


def opened(cast, campaign: Campaign, who: str = "member") -> dict[str, Any]:
    """What the page of the draft would post if nobody typed anything."""
    form = cast.client(who).get(change(cast, campaign)).context["adminform"].form
    return {
        name: value for name, value in inputs_of(form).items() if value not in (None, "", False)
    } | {"_save": "1"}


def title_of(cast, campaign: Campaign) -> str:
    with scope(cast.workspace):
        return campaign.contents.get().title


def test_the_second_of_two_windows_is_told_and_keeps_what_was_typed(company):
    campaign = saved(company, title="First")
    first, second = opened(company, campaign, "admin"), opened(company, campaign)
    assert (
        company.client("admin")
        .post(change(company, campaign), {**first, "title": "Theirs"})
        .status_code
        == 302
    )
    typed = {**second, "title": "Mine", "name": "My name", "ttl_secs": "3600"}
    response = company.client("member").post(change(company, campaign), typed)
    assert response.status_code == 200
    page = text(response)
    assert f"Nothing was saved: {company.admin} changed this campaign" in page
    assert "The message is now “Theirs”" in page
    form = response.context["adminform"].form
    assert (
        form.message["title"].value(),
        form["name"].value(),
        form.message["ttl_secs"].value(),
    ) == (
        "Mine",
        "My name",
        "3600",
    )
    assert title_of(company, campaign) == "Theirs"

    again = {**typed, "seen": form["seen"].value()}
    assert company.client("member").post(change(company, campaign), again).status_code == 302
    assert title_of(company, campaign) == "Mine"


def test_the_same_person_in_two_windows_is_told_so(company):
    campaign = saved(company)
    page, client = opened(company, campaign), company.client("member")
    client.post(change(company, campaign), {**page, "title": "One"})
    assert "Nothing was saved: you changed this campaign in another window" in text(
        client.post(change(company, campaign), {**page, "title": "Two"})
    )


def test_a_second_click_on_save_is_no_second_window(company):
    campaign = saved(company)
    page, client = opened(company, campaign) | {"title": "New"}, company.client("member")
    for _ in range(2):
        assert client.post(change(company, campaign), page).status_code == 302
    assert title_of(company, campaign) == "New"


def test_a_save_after_an_error_is_no_second_window(company):
    campaign = saved(company)
    page, client = opened(company, campaign), company.client("member")
    form = (
        client.post(change(company, campaign), {**page, "deep_link": "foo"})
        .context["adminform"]
        .form
    )
    assert list(form.errors) == ["deep_link"]
    fixed = {**page, "title": "Fixed", "seen": form["seen"].value()}
    assert client.post(change(company, campaign), fixed).status_code == 302


def key_of_add_page(cast) -> str:
    key = cast.client("member").get(cast.url(ADD)).context["adminform"].form["form_key"].value()
    assert key
    return str(key)


def test_an_add_page_that_is_posted_twice_makes_one_draft(company):
    client = company.client("member")
    page = {**FORM, "form_key": key_of_add_page(company), "_review": "1"}
    first = client.post(company.url(ADD), page)
    second = client.post(company.url(ADD), {**page, "title": "Second thought"})
    assert second["Location"] == first["Location"]
    third = client.post(company.url(ADD), {**page, "title": "Third thought"})
    assert third["Location"] == first["Location"]
    with scope(company.workspace):
        campaign = Campaign.objects.get()
    assert title_of(company, campaign) == "Third thought"
    client.post(company.url(ADD), {**page, "form_key": key_of_add_page(company)})
    with scope(company.workspace):
        assert Campaign.objects.count() == 2


def test_an_add_page_undoes_nothing_that_somebody_else_saved_meanwhile(company):
    client = company.client("member")
    page = {**FORM, "form_key": key_of_add_page(company), "_save": "1"}
    client.post(company.url(ADD), page)
    with scope(company.workspace):
        campaign = Campaign.objects.get()
    company.client("admin").post(
        change(company, campaign), {**opened(company, campaign, "admin"), "title": "Theirs"}
    )
    again = client.post(company.url(ADD), {**page, "title": "Mine"})
    assert f"Nothing was saved: {company.admin} changed" in text(again)
    assert title_of(company, campaign) == "Theirs"


def test_an_add_page_whose_campaign_has_gone_out_starts_another(company):
    client = company.client("member")
    page = {**FORM, "form_key": key_of_add_page(company), "_save": "1"}
    client.post(company.url(ADD), page)
    with scope(company.workspace):
        Campaign.objects.update(status="completed")
    client.post(company.url(ADD), {**page, "title": "Another"})
    with scope(company.workspace):
        assert sorted(Campaign.objects.values_list("status", flat=True)) == ["completed", "draft"]
