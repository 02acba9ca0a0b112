"""Campaigns in the console: the list, the page of one campaign, copies, and who may do what."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Campaign, Content, Revision, Run
from tenants.scope import scope
from tests.campaigns.console import (
    ADD,
    FORM,
    LIST,
    change,
    give_run,
    live,
    options_of,
    preview,
    review,
    written,
)
from tests.pages import YES


def test_the_list_shows_message_audience_time_and_result(company):
    campaign = written(
        company, status="completed", audience_rule={"field": "country", "op": "is", "value": "IN"}
    )
    with scope(company.workspace):
        revision = Revision.objects.create(
            workspace=company.workspace, campaign=campaign, number=1, contents=[]
        )
        at = datetime.now(UTC).replace(month=1, day=2, hour=3, minute=4)
        Run.objects.create(
            workspace=company.workspace, campaign=campaign, revision=revision, state="completed", intended_at=at,
            not_after=at, started_at=at, audience_size=3500, tally={"accepted": 3120, "no_endpoint": 380},
        )  # fmt: skip
    page = company.client("viewer").get(company.url(LIST)).content.decode()
    for words in (
        "Weekend",
        "Sale",
        "Completed",
        "People with country IN",
        "2 Jan, 08:34 IST",
        "3,120",
        "of 3,500",
    ):
        assert words in page, words
    assert "Select campaign to change" not in page


def test_the_list_costs_the_same_for_thirty_campaigns_as_for_one(company):
    client = company.client("member")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            client.get(company.url(LIST))
        return len(captured)

    for number in range(2):
        campaign = written(company, name=f"c{number}", status="completed")
        give_run(company, campaign, "completed")
    queries()
    few = queries()
    for number in range(20):
        give_run(company, written(company, name=f"d{number}", status="scheduled"), "planned")
    assert queries() == few
    assert few <= 12


def test_the_tabs_filter_by_status_and_count(company):
    for status in ("draft", "running", "paused", "failed"):
        written(company, name=f"The {status} one", status=status)
    response = company.client("member").get(company.url(LIST) + "?status__in=running,paused")
    names = {campaign.name for campaign in response.context["cl"].result_list}
    assert names == {"The running one", "The paused one"}
    tabs = response.context["tab_list"][0]["items"]
    assert [tab["active"] for tab in tabs] == [False, False, False, True, False, False]
    assert '<span class="cp-tab-count">2</span>' in tabs[3]["title"]


def test_search_finds_by_name_and_an_empty_list_invites(company):
    client = company.client("member")
    assert "Write your first campaign" in client.get(company.url(LIST)).content.decode()
    assert (
        "Write your first campaign"
        not in company.client("viewer").get(company.url(LIST)).content.decode()
    )
    written(company, name="Diwali")
    written(company, name="Holi")
    assert [c.name for c in client.get(company.url(LIST) + "?q=diw").context["cl"].result_list] == [
        "Diwali"
    ]
    assert "No campaign matches" in client.get(company.url(LIST) + "?q=xyz").content.decode()


def test_a_scheduled_campaign_opens_read_only_with_its_run(company):
    campaign = written(company, status="scheduled")
    run = give_run(company, campaign, "planned")
    response = company.client("member").get(change(company, campaign))
    page = response.content.decode()
    assert response.context["banner"]
    assert f"/campaigns/run/{run.pk}/change/" in page
    assert "<textarea" not in page


@pytest.mark.parametrize("status", ["scheduled", "running", "paused"])
def test_a_post_to_a_campaign_that_goes_out_changes_nothing(company, status):
    campaign = written(company, status=status)
    response = company.client("member").post(
        change(company, campaign), {**FORM, "_save": "1"}, follow=True
    )
    assert "Nothing was saved" in response.content.decode()
    with scope(company.workspace):
        assert campaign.contents.get().title == "Sale"


def test_who_saves_after_somebody_else_scheduled_it_is_told(company, monkeypatch):
    """The page was opened as a draft; between its check and its save another person schedules."""
    campaign = written(company)
    original = Campaign.is_editable.fget
    answers = iter([True])
    monkeypatch.setattr(
        Campaign, "is_editable", property(lambda self: next(answers, None) or original(self))
    )
    with scope(company.workspace):
        Campaign.objects.filter(pk=campaign.pk).update(status="scheduled")
    response = company.client("member").post(
        change(company, campaign), {**FORM, "_save": "1"}, follow=True
    )
    (told,) = response.context["messages"]
    assert (told.level_tag, "“Scheduled”" in str(told)) == ("error", True)
    with scope(company.workspace):
        assert campaign.contents.get().title == "Sale"


def test_a_completed_campaign_shows_its_runs_and_can_be_edited_into_a_draft(company):
    campaign = written(company, status="completed")
    give_run(company, campaign, "completed", audience_size=8, tally={"accepted": 7, "rejected": 1})
    client = company.client("member")
    page = client.get(change(company, campaign)).content.decode()
    assert "Edit" in page
    assert "<textarea" not in page
    assert "<textarea" in client.get(change(company, campaign) + "?edit=1").content.decode()
    client.post(change(company, campaign) + "?edit=1", {**FORM, "_save": "1"})
    with scope(company.workspace):
        campaign.refresh_from_db()
    assert campaign.status == "draft"


def test_panels_of_upper_layers_are_shown(company, monkeypatch):
    monkeypatch.setattr(
        "campaigns.admin.slots.CAMPAIGN_PANELS", [lambda request, campaign: f"panel of {campaign}"]
    )
    for campaign in (written(company, status="completed"), written(company, name="Draft one")):
        page = company.client("viewer").get(change(company, campaign)).content.decode()
        assert f"panel of {campaign}" in page


def test_a_viewer_sees_everything_and_changes_nothing(company):
    campaign = written(company)
    client = company.client("viewer")
    page = client.get(change(company, campaign))
    assert page.status_code == 200
    assert "<textarea" not in page.content.decode()
    reviewed = client.get(review(company, campaign)).content.decode()
    assert "Your role may not send" in reviewed
    assert client.post(review(company, campaign)).status_code == 403
    assert client.get(company.url(ADD)).status_code == 403
    assert client.post(change(company, campaign), FORM).status_code == 403
    assert (
        client.post(company.url(f"campaigns/campaign/{campaign.pk}/duplicate/"), {}).status_code
        == 403
    )
    assert (
        client.post(
            company.url(f"campaigns/campaign/{campaign.pk}/delete/"), {"post": "yes"}
        ).status_code
        == 403
    )
    assert live(company, "audience", "viewer").status_code == 403
    with scope(company.workspace):
        assert Campaign.objects.count() == 1
        assert not Run.objects.exists()


def test_a_campaign_of_another_workspace_does_not_exist(company):
    with scope(company.other_workspace):
        foreign = Campaign.objects.create(workspace=company.other_workspace, name="Theirs")
        Content.objects.create(
            workspace=company.other_workspace,
            campaign=foreign,
            fields={"title": "Secret", "body": "Secret"},
        )
    client = company.client("owner")
    for path in ("change/", "review/", "duplicate/", "delete/"):
        url = company.url(f"campaigns/campaign/{foreign.pk}/{path}")
        answers = [client.get(url), client.post(url, {**FORM, "post": "yes"})]
        for answer in answers:
            assert answer.status_code in (302, 404) or "Theirs" not in answer.content.decode()
            assert "Secret" not in answer.content.decode()
    assert preview(company, campaign=foreign.pk).status_code == 404
    with scope(company.other_workspace):
        assert foreign.contents.get().title == "Secret"
    with scope(company.workspace):
        assert not Campaign.objects.exists()


def test_a_copy_is_a_draft_with_the_same_message(company):
    campaign = written(company, status="completed", content={"options": {"badge": 1}}, audience_rule={
        "field": "country", "op": "is", "value": "IN"})  # fmt: skip
    client = company.client("member")
    url = company.url(f"campaigns/campaign/{campaign.pk}/duplicate/")
    assert "Duplicate this campaign?" in client.get(url).content.decode()
    with scope(company.workspace):
        assert Campaign.objects.count() == 1, "asking copies nothing"
    response = client.post(url, YES, headers={"HX-Request": "true"})
    with scope(company.workspace):
        copy = Campaign.objects.exclude(pk=campaign.pk).get()
        assert (copy.name, copy.status, copy.audience_rule) == (
            "Weekend (copy)",
            "draft",
            campaign.audience_rule,
        )
        assert options_of(copy) == {"badge": 1}
        assert campaign.contents.count() == 1
    assert response["HX-Redirect"].endswith(f"/{copy.pk}/change/")


def test_a_campaign_that_ran_is_kept(company):
    campaign = written(company, status="completed")
    give_run(company, campaign, "completed", tally={"accepted": 1}, finished_at=datetime.now(UTC))
    url = company.url(f"campaigns/campaign/{campaign.pk}/delete/")
    response = company.client("owner").post(url, {"post": "yes"}, follow=True)
    assert "is not deleted" in response.content.decode()
    draft = written(company, name="Never sent")
    company.client("member").post(
        company.url(f"campaigns/campaign/{draft.pk}/delete/"), {"post": "yes"}
    )
    with scope(company.workspace):
        assert [campaign.name for campaign in Campaign.objects.all()] == ["Weekend"]
