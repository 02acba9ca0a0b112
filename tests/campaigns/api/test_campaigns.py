"""Campaigns by API: written, listed, changed, copied and deleted."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns import plan
from campaigns.models import Campaign
from tenants import keys
from tenants.models import AuditEntry
from tenants.scope import every_workspace, scope
from tests.campaigns.api.conftest import backend_of
from tests.campaigns.console import FORM, change, give_run, saved, written
from tests.pages import text
from tests.tenants.api.app import App, refused, wrong_fields
from tests.tenants.api.calls import app_of, audited

SEED = {"name": "Weekend Blast", "channel_type": "app_push", "schedule_type": "send_now"}
TEXT = {"language": "en", "title": "Sale", "subtitle": "Today"}
RULE = {"field": "country", "op": "is", "value": "IN"}


def created(app: App, **body: Any) -> dict[str, Any]:
    answer = app.post("/campaigns", **{**SEED, **body})
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def listed(app: App, query: str = "") -> list[str]:
    answer = app.get(f"/campaigns{query}")
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


# --- create and read ------------------------------------------------------------------------------
def test_the_seeds_body_makes_a_draft(backend):
    answer = backend.post("/campaigns", **SEED)
    assert answer.status_code == 201
    campaign = answer.json()
    assert {name: campaign[name] for name in SEED} == SEED
    assert (campaign["status"], campaign["contents"], campaign["runs"]) == ("draft", [], [])
    assert (campaign["scheduled_at"], campaign["created_by"]) == (None, None)
    read = backend.get(f"/campaigns/{campaign['id']}")
    assert read.json() == campaign
    assert read.headers["ETag"] == answer.headers["ETag"]
    entry = audited("campaign created")
    assert (entry.actor, entry.actor_label) == (None, "API key “Backend”")


def test_a_whole_campaign_is_made_by_one_request(backend):
    campaign = created(
        backend,
        description="For Diwali",
        tone="festive",
        contents=[TEXT, {"language": "pt_br", "title": "Oferta", "data": {"screen": "x"}}],
        audience_rule={"all": [RULE, {"not": {"field": "attributes.city", "op": "is_set"}}]},
        schedule_type="recurring",
        scheduled_at="2026-12-25T18:30:00+05:30",
        recurrence_rule="FREQ=WEEKLY;BYDAY=FR",
        skip_dates=["2027-01-01"],
        per_second=50,
    )
    assert campaign["contents"] == [
        {"language": "en", "variant": "A", "tone": "festive", "title": "Sale", "body": "Today"},
        {
            "language": "pt-BR",
            "variant": "A",
            "tone": "festive",
            "title": "Oferta",
            "data": {"screen": "x"},
        },
    ]
    assert (campaign["scheduled_at"], campaign["time_zone"]) == (
        "2026-12-25T13:00:00Z",
        "Asia/Kolkata",
    )
    assert (campaign["skip_dates"], campaign["per_second"]) == (["2027-01-01"], 50)


def test_a_person_is_named_as_the_author(company):
    campaign = created(app_of(company.member))
    assert campaign["created_by"] == campaign["updated_by"] == company.member.pk


def test_a_deep_rule_and_many_dates_fit_in_a_body(backend):
    rule: dict[str, Any] = RULE
    for _ in range(6):
        rule = {"all": [rule]}
    days = [
        f"20{year}-{month:02}-{day:02}"
        for year in (27, 28)
        for month in range(1, 13)
        for day in range(1, 16)
    ]
    campaign = created(
        backend,
        audience_rule=rule,
        schedule_type="recurring",
        skip_dates=days,
        scheduled_at="2026-12-25T00:00:00Z",
    )
    assert len(campaign["skip_dates"]) == 360
    assert campaign["audience_rule"] == rule


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"name": None}, "name"),
        ({"channel_type": "fax"}, "channel_type"),
        ({"channel": "app_push"}, "channel"),
        ({"contents": [TEXT, {"language": "hi", "title": "x" * 121}]}, "contents.1.title"),
        ({"contents": [{"title": 7}]}, "contents.0.title"),
        ({"contents": [{"titel": "x"}]}, "contents.0.titel"),
        ({"contents": [{"language": 7}]}, "contents.0.language"),
        ({"contents": ["x"]}, "contents.0"),
        ({"contents": {}}, "contents"),
        ({"audience_rule": []}, "audience_rule"),
        ({"audience_rule": {"field": "\ud800", "op": "is", "value": "x"}}, "audience_rule"),
        ({"audience_rule": {"all": []}}, "audience_rule"),
        ({"schedule_type": "scheduled", "scheduled_at": "2020-01-01T00:00:00Z"}, "scheduled_at"),
        ({"schedule_type": "scheduled", "scheduled_at": "2030-01-01T00:00:00"}, "scheduled_at"),
        ({"schedule_type": "scheduled", "scheduled_at": 1_900_000_000}, "scheduled_at"),
        ({"schedule_type": "scheduled", "scheduled_at": "9999-12-31T23:59:59Z"}, "scheduled_at"),
        ({"schedule_type": "recurring", "recurrence_rule": "FREQ=HOURLY"}, "recurrence_rule"),
        ({"schedule_type": "recurring", "skip_dates": ["tomorrow"]}, "skip_dates"),
        ({"time_zone": "Mars"}, "time_zone"),
        ({"per_second": "50"}, "per_second"),
        ({"per_second": True}, "per_second"),
        ({"per_second": 2**70}, "per_second"),
        ({"avoid_quarter_hours": "yes"}, "avoid_quarter_hours"),
        ({"description": "a\x00b"}, "description"),
        ({"status": "running"}, "status"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(backend, company, body, field):
    assert wrong_fields(backend.post("/campaigns", **{**SEED, **body})) == [field]
    with scope(company.workspace):
        assert not Campaign.objects.exists()


def test_a_name_is_needed(backend):
    assert wrong_fields(backend.post("/campaigns", channel_type="app_push")) == ["name"]


def test_a_body_over_the_bound_is_refused(backend):
    answer = backend.post("/campaigns", **SEED, description="x" * 300_000)
    assert refused(answer) == (413, "body_too_large")
    answer = backend.post("/campaigns", **SEED, skip_dates=["2026-12-25"] * 4000)
    assert refused(answer) == (422, "too_many_values")


# --- the list -------------------------------------------------------------------------------------
def test_the_list_filters_searches_and_orders(backend, company):
    written(company, name="One", status="draft", description="For Holi")
    written(company, name="Two", status="paused")
    written(company, name="Three", status="scheduled", channel="web_push")
    assert listed(backend) == ["Three", "Two", "One"]
    assert listed(backend, "?status=active") == ["Three", "Two"]
    assert listed(backend, "?status=draft") == ["One"]
    assert listed(backend, "?channel_type=web_push") == ["Three"]
    assert listed(backend, "?search=holi") == ["One"]
    assert listed(backend, "?ordering=name") == ["One", "Three", "Two"]
    assert listed(backend, "?created_after=2999-01-01T00:00:00Z") == []
    assert listed(backend, "?updated_before=2999-01-01T00:00:00Z&page_size=1") == ["Three"]
    page = backend.get("/campaigns?status=active&page=1").json()
    assert (page["count"], page["next"], page["previous"]) == (2, None, None)
    assert page["results"][0]["channel_type"] == "web_push"


@pytest.mark.parametrize(
    "moment",
    [
        "2026-12-01",
        "2026-12-01T00:00:00",
        "2026-12-01T00:00:00%2B25:00",
        "0001-01-01T00:00:00%2B01:00",
    ],
)
def test_a_moment_without_a_zone_or_out_of_range_is_refused(backend, moment):
    assert wrong_fields(backend.get(f"/campaigns?created_after={moment}")) == ["created_after"]


def test_a_moment_may_be_on_any_clock(backend, company):
    written(company)
    assert listed(backend, "?created_after=2020-01-01T00:00:00%2B16:54") == ["Weekend"]


@pytest.mark.parametrize(
    "query", ["status=sent", "channel_type=fax", "state=draft", "ordering=id", "created_after=x"]
)
def test_an_unknown_filter_is_refused(backend, query):
    assert wrong_fields(backend.get(f"/campaigns?{query}")) == [query.partition("=")[0]]


# --- change ---------------------------------------------------------------------------------------
def test_only_the_fields_that_are_sent_change(backend):
    campaign = created(backend, description="Old", contents=[TEXT], per_second=5)
    answer = backend.patch(f"/campaigns/{campaign['id']}", name="New", per_second=None)
    assert answer.status_code == 200
    changed = answer.json()
    different = {name for name in changed if changed[name] != campaign[name]}
    assert different == {"name", "per_second", "updated_at"}
    assert (changed["name"], changed["per_second"]) == ("New", None)
    assert audited("campaign changed").changes == {
        "name": ["Weekend Blast", "New"],
        "per_second": [5, None],
    }


def test_a_campaign_whose_send_has_ended_becomes_a_draft(backend, company):
    campaign = written(company, status="completed")
    give_run(company, campaign, "completed", tally={"accepted": 1})
    changed = backend.patch(f"/campaigns/{campaign.pk}", contents=[TEXT]).json()
    assert (changed["status"], len(changed["runs"])) == ("draft", 1)


def test_the_second_of_two_editors_is_told(backend):
    campaign = created(backend)
    path = f"/campaigns/{campaign['id']}"
    tag = backend.get(path).headers["ETag"]
    first = backend.ask("PATCH", path, {"name": "Mine"}, **{"If-Match": tag})
    second = backend.ask("PATCH", path, {"name": "Theirs"}, **{"If-Match": tag})
    assert (first.status_code, refused(second)) == (200, (412, "changed_meanwhile"))
    assert second.json()["current"]["name"] == "Mine"
    assert second.headers["ETag"] == first.headers["ETag"]
    late = backend.ask("DELETE", path, **{"If-Match": tag})
    assert refused(late) == (412, "changed_meanwhile")
    again = backend.ask("DELETE", path, **{"If-Match": first.headers["ETag"]})
    assert again.status_code == 204
    assert refused(backend.get(path)) == (404, "campaign_not_found")


def test_a_send_since_then_is_another_version(backend, company):
    campaign = written(company)
    path = f"/campaigns/{campaign.pk}"
    tag = backend.get(path).headers["ETag"]
    with every_workspace():
        Campaign.objects.filter(pk=campaign.pk).update(status="completed")
    answer = backend.ask("PATCH", path, {"name": "Mine"}, **{"If-Match": tag})
    assert refused(answer) == (412, "changed_meanwhile")


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"name": "Other"}), ("DELETE", None)])
def test_what_is_on_its_way_is_neither_changed_nor_deleted(backend, company, method, body):
    campaign = written(company, status="running")
    give_run(company, campaign, "running")
    answer = backend.ask(method, f"/campaigns/{campaign.pk}", body)
    assert refused(answer) == (409, "refused")
    assert "Cancel the campaign before you change it" in answer.json()["detail"]


# --- copy and delete ------------------------------------------------------------------------------
def test_a_copy_is_a_draft_with_the_same_message(backend, company):
    campaign = created(backend, contents=[TEXT], description="Old")
    answer = backend.post(f"/campaigns/{campaign['id']}/duplicate")
    assert answer.status_code == 201
    copy = answer.json()
    assert (copy["name"], copy["contents"]) == ("Weekend Blast (copy)", campaign["contents"])
    assert copy["id"] != campaign["id"]
    assert audited("campaign duplicated").detail == {"source": campaign["id"]}


def test_what_was_planned_and_undone_is_deleted_and_what_was_sent_is_kept(backend, company):
    undone, sent = written(company), written(company, status="completed")
    with scope(company.workspace):
        run = plan.schedule(undone, by=None, now=undone.created_at)
        plan.cancel(run, by=None)
    give_run(company, sent, "completed", tally={"accepted": 1}, finished_at=sent.created_at)
    assert backend.delete(f"/campaigns/{undone.pk}").status_code == 204
    answer = backend.delete(f"/campaigns/{sent.pk}")
    assert refused(answer) == (409, "refused")
    with scope(company.workspace):
        assert list(Campaign.objects.all()) == [sent]
        entry = AuditEntry.objects.get(action="campaign deleted")
    assert entry.actor_label == "API key “Backend”"


# --- who may --------------------------------------------------------------------------------------
ROUTES = [
    ("GET", "", keys.CAMPAIGNS_READ),
    ("POST", "", keys.CAMPAIGNS_WRITE),
    ("GET", "/{id}", keys.CAMPAIGNS_READ),
    ("PATCH", "/{id}", keys.CAMPAIGNS_WRITE),
    ("DELETE", "/{id}", keys.CAMPAIGNS_WRITE),
    ("POST", "/{id}/duplicate", keys.CAMPAIGNS_WRITE),
    ("GET", "/{id}/forecast", keys.CAMPAIGNS_READ),
    ("POST", "/{id}/preview", keys.CAMPAIGNS_READ),
    ("POST", "/{id}/schedule", keys.CAMPAIGNS_SEND),
    ("POST", "/{id}/cancel", keys.CAMPAIGNS_SEND),
    ("POST", "/{id}/pause", keys.CAMPAIGNS_SEND),
    ("POST", "/{id}/resume", keys.CAMPAIGNS_SEND),
]


def ask(app: App, method: str, path: str) -> Any:
    is_written = method == "PATCH" or path.rstrip("/") == "/campaigns"
    return app.ask(method, path, {"name": "Any"} if is_written and method != "GET" else None)


@pytest.mark.parametrize(("method", "path", "scope_needed"), ROUTES)
def test_each_route_needs_its_scope_and_its_role_and_an_own_row(
    company, method, path, scope_needed
):
    other = written(company)
    with scope(company.other_workspace):
        foreign = Campaign.objects.create(workspace=company.other_workspace, name="Theirs")
    others = {keys.CAMPAIGNS_READ, keys.CAMPAIGNS_WRITE, keys.CAMPAIGNS_SEND} - {scope_needed}
    address = f"/campaigns{path.format(id=other.pk)}"
    assert refused(ask(backend_of(company, *others), method, address)) == (403, "scope_missing")
    viewer = ask(app_of(company.viewer), method, address)
    assert viewer.status_code == (200 if scope_needed == keys.CAMPAIGNS_READ else 403)
    if path:
        own = backend_of(company, scope_needed)
        for pk in (foreign.pk, 999_999_999, 10**30):
            answer = ask(own, method, f"/campaigns{path.format(id=pk)}")
            assert refused(answer) == (404, "campaign_not_found")


@pytest.mark.parametrize("path", ["/campaigns", "/campaigns/{id}", "/campaigns/{id}/forecast"])
def test_an_address_answers_with_a_slash_as_without(backend, company, path):
    path = path.format(id=written(company).pk)
    bare, slashed = backend.get(path), backend.get(f"{path}/")
    assert (bare.status_code, slashed.status_code) == (200, 200)
    assert bare.json() == slashed.json()


@pytest.mark.parametrize(("method", "path", "scope_needed"), ROUTES)
def test_every_address_has_a_twin_with_a_slash(backend, method, path, scope_needed):
    answers = [
        ask(backend, method, f"/campaigns{path.format(id=999)}{slash}") for slash in ("", "/")
    ]
    codes = [(answer.status_code, answer.json().get("code")) for answer in answers]
    assert codes[0] == codes[1]
    assert codes[0][1] in (None, "campaign_not_found")


def test_an_editor_in_the_console_is_told_of_a_change_by_api(backend, company):
    campaign = saved(company, title="First")
    client = company.client("member")
    form = client.get(change(company, campaign)).context["adminform"].form
    seen = {"seen": form["seen"].value(), "_save": "1"}
    backend.patch(f"/campaigns/{campaign.pk}", contents=[{**TEXT, "title": "Theirs"}])
    answer = client.post(change(company, campaign), {**FORM, **seen, "title": "Mine"})
    assert answer.status_code == 200
    assert "Nothing was saved: somebody changed this campaign" in text(answer)
    assert backend.get(f"/campaigns/{campaign.pk}").json()["contents"][0]["title"] == "Theirs"
