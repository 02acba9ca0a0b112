"""Campaigns by API: looked at before they are sent, scheduled, stopped and resumed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from campaigns.models import Campaign, Contact, Content, Endpoint, Run
from tenants.models import Connection
from tenants.scope import every_workspace, scope
from tests.campaigns.api.conftest import SCOPES, backend_of
from tests.campaigns.console import give_run, written
from tests.cast import make_cast
from tests.tenants.api.app import App, refused
from tests.tenants.api.calls import audited

SERIES = {
    "schedule_type": "recurring",
    "scheduled_at": "2026-12-25T18:30:00+05:30",
    "recurrence_rule": "FREQ=WEEKLY;BYDAY=FR",
}

SERIES_STORED = {
    "schedule_type": "recurring",
    "scheduled_at": datetime(2026, 12, 25, 13, tzinfo=UTC),
    "recurrence_rule": "FREQ=WEEKLY;BYDAY=FR",
}


def do(app: App, campaign: Campaign, verb: str, **body: Any) -> Any:
    return app.post(f"/campaigns/{campaign.pk}/{verb}", **body)


def runs_of(campaign: Campaign) -> list[str]:
    with every_workspace():
        return list(Run.objects.filter(campaign=campaign).values_list("state", flat=True))


# --- before a send --------------------------------------------------------------------------------
def test_a_forecast_counts_the_audience_by_reason(backend, company):
    answer = backend.get(f"/campaigns/{written(company).pk}/forecast")
    assert answer.json() == {
        "audience_size": 10,
        "counts": {"pending": 7, "no_endpoint": 2, "unsubscribed": 1},
        "findings": [],
    }


def test_a_forecast_says_what_some_devices_leave_out(backend, company):
    campaign = written(company, content={"title": "x", "options": {"android_channel": "offers"}})
    found = backend.get(f"/campaigns/{campaign.pk}/forecast").json()["findings"]
    assert [(one["severity"], one["field"]) for one in found if one["severity"] == "note"] == [
        ("note", "contents")
    ]


def test_a_forecast_says_what_is_missing_and_where(backend, company):
    campaign = written(
        company,
        content={"title": "x", "options": {"buttons": [{"url": "app://x"}]}},
        schedule_type="scheduled",
    )
    found = backend.get(f"/campaigns/{campaign.pk}/forecast").json()["findings"]
    errors = {one["field"] for one in found if one["severity"] == "error"}
    assert errors == {"scheduled_at", "contents.0.buttons.0.text"}


def test_a_broadcast_has_no_audience_that_we_know(backend, company):
    campaign = written(company, target_kind="topic", target="news")
    found = backend.get(f"/campaigns/{campaign.pk}/forecast").json()
    assert (found["audience_size"], found["counts"]) == (None, {})


def test_a_preview_is_filled_in_for_the_person_in_their_language(backend, company):
    campaign = written(company, content={"title": "Hi {{ first_name }}", "body": "x"})
    with scope(company.workspace):
        Content.objects.create(
            workspace=company.workspace,
            campaign=campaign,
            language="hi",
            fields={"title": "नमस्ते {{ first_name }}", "badge": 0},
        )
        Contact.objects.filter(external_id="user-2").update(language="hi-IN")
    first = do(backend, campaign, "preview").json()
    assert (first["external_user_id"], first["payload"]["title"]) == ("user-0", "Hi Name0")
    assert (first["problems"], first["limit_bytes"]) == ({}, 4096)
    second = do(backend, campaign, "preview", external_user_id=" user-2 ").json()
    assert (second["language"], second["payload"]["title"]) == ("hi", "नमस्ते Name2")
    assert second["payload"]["badge"] == 0
    answer = do(backend, campaign, "preview", external_user_id="nobody")
    assert answer.json()["errors"][0]["field"] == "external_user_id"


def test_a_campaign_without_a_message_has_no_preview(backend, company):
    with scope(company.workspace):
        campaign = Campaign.objects.create(workspace=company.workspace, name="Empty")
    assert refused(do(backend, campaign, "preview")) == (409, "refused")


# --- schedule -------------------------------------------------------------------------------------
def test_a_campaign_is_scheduled_as_it_is_stored(backend, company):
    campaign = written(company)
    answer = do(backend, campaign, "schedule")
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["status"], len(told["runs"])) == ("scheduled", 1)
    run = told["runs"][0]
    assert (run["state"], run["started_at"], run["audience_size"]) == ("planned", None, None)
    assert (audited("campaign scheduled").actor_label, runs_of(campaign)) == (
        "API key “Backend”",
        ["planned"],
    )


def test_a_schedule_may_be_said_in_the_request(backend, company):
    campaign = written(company)
    answer = do(backend, campaign, "schedule", **SERIES, time_zone="Europe/Berlin")
    told = answer.json()
    assert (told["schedule_type"], told["time_zone"]) == ("recurring", "Europe/Berlin")
    assert told["runs"][0]["scheduled_for"] == "2026-12-25T13:00:00Z"


@pytest.mark.parametrize(
    ("stored", "body", "field"),
    [
        ({}, {"schedule_type": "scheduled"}, "scheduled_at"),
        (
            {},
            {"schedule_type": "scheduled", "scheduled_at": "2020-01-01T00:00:00Z"},
            "scheduled_at",
        ),
        (
            {},
            {"schedule_type": "recurring", "scheduled_at": "2026-12-25T00:00:00Z"},
            "recurrence_rule",
        ),
        ({}, {"name": "Other"}, "name"),
        (
            {"schedule_type": "scheduled", "scheduled_at": datetime(2026, 1, 1, tzinfo=UTC)},
            {},
            "scheduled_at",
        ),
        ({"content": {"title": "", "body": ""}}, {}, "contents.0.title"),
        ({"audience_rule": {"field": "country", "op": "is", "value": "XX"}}, {}, "audience_rule"),
        ({"channel": "web_push"}, {}, "audience_rule"),
    ],
)
def test_what_is_missing_is_listed_and_nothing_is_kept(backend, company, stored, body, field):
    campaign = written(company, **stored)
    answer = do(backend, campaign, "schedule", **body)
    assert (answer.status_code, runs_of(campaign)) == (422, [])
    assert field in [error["field"] for error in answer.json()["errors"]]
    with scope(company.workspace):
        kept = Campaign.objects.get(pk=campaign.pk)
    assert (kept.status, kept.schedule_type) == ("draft", campaign.schedule_type)


def test_without_a_connection_the_channel_is_named(backend, company):
    with scope(company.workspace):
        Connection.objects.update(is_active=False)
    answer = do(backend, written(company), "schedule")
    assert answer.json()["errors"][0]["field"] == "channel_type"


def test_what_is_scheduled_is_not_scheduled_again(backend, company):
    campaign = written(company)
    assert do(backend, campaign, "schedule").status_code == 200
    for body in ({}, {"schedule_type": "send_now"}):
        assert refused(do(backend, campaign, "schedule", **body)) == (409, "refused")
    assert runs_of(campaign) == ["planned"]


def test_only_the_version_that_was_read_is_scheduled(backend, company):
    campaign = written(company)
    path = f"/campaigns/{campaign.pk}"
    tag = backend.get(path).headers["ETag"]
    backend.patch(path, name="Other")
    answer = backend.ask("POST", f"{path}/schedule", {}, **{"If-Match": tag})
    assert refused(answer) == (412, "changed_meanwhile")
    assert runs_of(campaign) == []


# --- cancel, pause, resume ------------------------------------------------------------------------
def test_an_undone_send_leaves_a_draft(backend, company):
    campaign = written(company)
    do(backend, campaign, "schedule")
    assert do(backend, campaign, "cancel").json()["status"] == "draft"
    assert runs_of(campaign) == ["cancelled"]
    assert refused(do(backend, campaign, "cancel")) == (409, "refused")


def test_a_cancelled_series_ends(backend, company):
    campaign = written(company)
    do(backend, campaign, "schedule", **SERIES)
    assert do(backend, campaign, "cancel").json()["status"] == "draft"
    assert runs_of(campaign) == ["cancelled"]
    with scope(company.workspace):
        assert Campaign.objects.get(pk=campaign.pk).ended_at is not None


def test_what_is_left_of_an_ended_series_is_cancelled_too(backend, company):
    campaign = written(company, status="running", **SERIES_STORED, ended_at=timezone.now())
    give_run(company, campaign, "running")
    assert do(backend, campaign, "cancel").json()["status"] == "cancelled"
    assert runs_of(campaign) == ["cancelled"]


def test_what_is_being_sent_is_paused_resumed_and_cancelled(backend, company):
    campaign = written(company, status="running")
    give_run(company, campaign, "running", audience_size=3, tally={"no_endpoint": 1})
    told = do(backend, campaign, "pause").json()
    assert (told["status"], told["runs"][0]["state"]) == ("paused", "paused")
    assert told["runs"][0]["counts"] == {"no_endpoint": 1, "pending": 2}
    assert refused(do(backend, campaign, "pause")) == (409, "refused")
    assert do(backend, campaign, "resume").json()["status"] == "running"
    assert refused(do(backend, campaign, "resume")) == (409, "refused")
    assert do(backend, campaign, "cancel").json()["status"] == "cancelled"
    assert audited("campaign cancelled").actor_label == "API key “Backend”"


def test_what_has_not_started_is_not_paused(backend, company):
    campaign = written(company)
    do(backend, campaign, "schedule")
    answer = do(backend, campaign, "pause")
    assert refused(answer) == (409, "refused")
    assert "Cancel the campaign instead" in answer.json()["detail"]


def test_the_figures_of_a_run_sum_to_its_audience(backend, company):
    campaign = written(company, status="completed")
    tally = {"accepted": 7, "no_endpoint": 2, "unsubscribed": 1}
    times = {"finished_at": timezone.now(), "audience_size": 10}
    give_run(company, campaign, "completed", tally=tally, **times)
    run = backend.get(f"/campaigns/{campaign.pk}").json()["runs"][0]
    assert (run["counts"], run["audience_size"]) == (tally, sum(tally.values()))


# --- many at once ---------------------------------------------------------------------------------
def test_a_repeated_request_is_answered_again(backend, company):
    body = {"name": "Weekend Blast"}
    answers = [
        backend.ask("POST", "/campaigns", body, **{"Idempotency-Key": "k1"}) for _ in range(2)
    ]
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]
    assert answers[0].json() == answers[1].json()
    with scope(company.workspace):
        assert Campaign.objects.count() == 1


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="its threads share one connection's tables in memory"
)
@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """With real commits."""

    @pytest.fixture
    def crowd(self):
        """The server's key of a workspace with one person who can be sent to, 20 at a time."""
        cast = make_cast()
        with scope(cast.workspace):
            Connection.objects.create(
                workspace=cast.workspace, name="Test", provider="fcm_sandbox", is_active=True
            )
            person = Contact.objects.create(workspace=cast.workspace, external_id="asha")
            Endpoint.objects.create(workspace=cast.workspace, contact=person, value="token")
        header = backend_of(cast, *SCOPES).authorization

        def at_once(requests: list[tuple[str, str, Any, dict[str, str]]]) -> list[Any]:
            def send(asked: tuple[str, str, Any, dict[str, str]]) -> Any:
                method, path, body, headers = asked
                try:
                    return App(header).ask(method, path, body, **headers)
                finally:
                    connection.close()

            with ThreadPoolExecutor(20) as pool:
                return list(pool.map(send, requests))

        return at_once

    def test_a_hundred_requests_with_one_key_make_one_campaign_and_one_send(self, crowd):
        key = {"Idempotency-Key": "one"}
        text = {"name": "Weekend Blast", "contents": [{"title": "Sale", "body": "Today"}]}
        made = crowd([("POST", "/campaigns", text, key)] * 100)
        assert {answer.status_code for answer in made} <= {201, 409}
        with every_workspace():
            campaign = Campaign.objects.get()
        path = f"/campaigns/{campaign.pk}/schedule"
        sent = crowd([("POST", path, {}, key)] * 100)
        assert {answer.status_code for answer in sent} <= {422}
        sent = crowd([("POST", path, {}, {"Idempotency-Key": "two"})] * 100)
        assert {answer.status_code for answer in sent} <= {200, 409}
        assert runs_of(campaign) == ["planned"]

    def test_without_a_key_a_hundred_requests_plan_one_send(self, crowd):
        text = {"name": "Weekend Blast", "contents": [{"title": "Sale", "body": "Today"}]}
        crowd([("POST", "/campaigns", text, {})])
        with every_workspace():
            campaign = Campaign.objects.get()
        sent = crowd([("POST", f"/campaigns/{campaign.pk}/schedule", {}, {})] * 20)
        assert sorted(answer.status_code for answer in sent) == [200] + [409] * 19
        assert runs_of(campaign) == ["planned"]

    def test_of_two_editors_with_one_version_one_wins(self, crowd):
        made = crowd([("POST", "/campaigns", {"name": "First"}, {})])[0]
        path, tag = f"/campaigns/{made.json()['id']}", {"If-Match": made.headers["ETag"]}
        asked = [("PATCH", path, {"name": f"Editor {number}"}, tag) for number in range(20)]
        answers = crowd(asked)
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
        (winner,) = [answer.json()["name"] for answer in answers if answer.status_code == 200]
        with every_workspace():
            assert Campaign.objects.get().name == winner
