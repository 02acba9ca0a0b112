"""Every row of the first document's list of endpoints (its §6), walked in the order of a day's work:
an engineer who has nothing but the API, with the slash at the end and without it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from campaigns.models import Run
from reports import digest
from tenants.scope import scope
from tests.story import add_people, work_until_ended
from tests.tenants.api.app import App
from tests.tenants.api.calls import app_of
from tests.tenants.identity_provider import APPLE, GOOGLE

SEED = [
    "",
    "POST /auth/register",
    "POST /auth/login",
    "POST /auth/refresh",
    "POST /auth/google",
    "POST /auth/apple",
    "GET /workspaces",
    "POST /workspaces",
    "GET /workspaces/{id}",
    "POST /workspaces/{id}/members",
    "GET /workspaces/{id}/members",
    "POST /workspaces/{id}/firebase",
    "GET /workspaces/{id}/firebase",
    "PATCH /workspaces/{id}/firebase",
    "POST /workspaces/{id}/firebase/test",
    "GET /campaigns",
    "POST /campaigns",
    "GET /campaigns/{id}",
    "PATCH /campaigns/{id}",
    "DELETE /campaigns/{id}",
    "POST /campaigns/{id}/generate-content",
    "POST /campaigns/{id}/schedule",
    "POST /campaigns/{id}/cancel",
    "GET /notifications",
    "GET /notifications/{id}",
    "POST /notifications/send-now",
    "GET /templates",
    "POST /templates",
    "GET /templates/{id}",
    "PATCH /templates/{id}",
    "DELETE /templates/{id}",
    "GET /analytics/summary",
    "GET /analytics/campaign/{id}",
    "",
][1:-1]


class Walk:
    """Calls an address with this ending, and notes which row of the list it was."""

    def __init__(self, app: App, ending: str) -> None:
        self.app, self.ending, self.rows = app, ending, list[str]()

    def __call__(self, row: str, status: int, body: Any = None, **named: Any) -> Any:
        """The body of the answer, which has this status. `named`: what stands in the place of
        `{id}`; fields of a query follow a `?` in the row."""
        row, _mark, query = row.partition("?")
        method, path = row.split()
        self.rows.append(row)
        address = path.format(**named) + self.ending
        answer = self.app.ask(method, f"{address}?{query}" if query else address, body)
        assert answer.status_code == status, (row, answer.content)
        return answer.json() if answer.content else None


@pytest.fixture(params=["", "/"], ids=["without the slash", "with the slash"])
def walk(request, cast, settings) -> Walk:
    settings.SEND_UNDO = timedelta()
    return Walk(app_of(cast.owner), request.param)


def test_people_come_in(walk, identity_provider, mailoutbox):
    somebody = {"email": "ravi@example.com", "password": "a long and rare one 9"}
    walk.app = App()
    assert walk("POST /auth/register", 202, {**somebody, "full_name": "Ravi Iyer"})["mailed"]
    link = next(word for word in mailoutbox[0].body.split() if "/confirm-email/" in word)
    Client().post(link.removeprefix(django_settings.PUBLIC_URL))
    told = walk("POST /auth/login", 200, somebody)
    assert told.keys() >= {"access_token", "refresh_token", "expires_in", "user"}
    again = walk("POST /auth/refresh", 200, {"refresh_token": told["refresh_token"]})
    assert again["access_token"] != told["access_token"]
    for provider in (GOOGLE, APPLE):
        token = identity_provider.id_token(provider)
        told = walk(f"POST /auth/{provider}", 200, {"id_token": token})
        assert told["user"]["auth_provider"] == GOOGLE  # the first one made the account
    assert walk.rows == SEED[:5]


def test_a_workspace_and_its_people(walk, cast, mailoutbox):
    made = walk("POST /workspaces", 201, {"name": "Biddano Labs"})
    assert (made["slug"], made["role"], made["plan"]) == ("biddano-labs", "owner", "free")
    listed = walk("GET /workspaces", 200)
    assert listed.keys() == {"count", "next", "previous", "results"}
    assert made["id"] in [one["id"] for one in listed["results"]]
    assert walk("GET /workspaces/{id}", 200, id=made["id"]) == made
    sent = walk(
        "POST /workspaces/{id}/members", 201, {"email": "a@b.test", "role": "viewer"}, id=made["id"]
    )
    assert (sent["email"], sent["role"], sent["state"]) == ("a@b.test", "viewer", "pending")
    people = walk("GET /workspaces/{id}/members", 200, id=made["slug"])
    assert [one["role"] for one in people["results"]] == ["owner"]
    assert sorted(walk.rows) == sorted(SEED[5:10])


def test_the_provider_is_connected(walk, cast, connected):
    add_people(cast.workspace, 1, tokens=["sbx_ok_1"])
    named = {"id": cast.workspace.slug}
    key = connected.credentials
    told = walk("POST /workspaces/{id}/firebase", 200, {"service_account": key}, **named)
    assert (told["state"], told["is_sandbox"]) == ("in_use", True)
    shown = walk("GET /workspaces/{id}/firebase", 200, **named)
    assert shown["id"] == told["id"]
    assert "private_key" not in str(shown)
    changed = walk("PATCH /workspaces/{id}/firebase", 200, {"name": "Our sandbox"}, **named)
    assert changed["name"] == "Our sandbox"
    tested = walk("POST /workspaces/{id}/firebase/test", 200, {"contact": "user-0"}, **named)
    assert tested["credentials"]["ok"]
    assert [one["result"] for one in tested["results"]] == ["accepted"]
    assert walk.rows == SEED[10:14]


def test_a_campaign_is_written_sent_and_read(walk, cast, connected):
    add_people(cast.workspace, 5, tokens=[*[f"sbx_ok_{n}" for n in range(4)], "sbx_unregistered_4"])
    seeds = {"name": "Weekend Blast", "channel_type": "app_push", "schedule_type": "send_now"}
    made = walk("POST /campaigns", 201, seeds)
    assert {**made, **seeds} == made
    assert made["status"] == "draft"
    named = {"id": made["id"]}
    asked = {"prompt": "Write a festive message"}
    drafts = walk("POST /campaigns/{id}/generate-content", 200, asked, **named)["drafts"]
    assert len(drafts) == 3
    contents = [drafts[0]["content"]]
    walk("PATCH /campaigns/{id}", 200, {"contents": contents}, **named)
    assert walk("GET /campaigns/{id}", 200, **named)["contents"][0]["title"] == contents[0]["title"]

    tomorrow = (timezone.now() + timedelta(days=1)).isoformat()
    planned = {"schedule_type": "scheduled", "scheduled_at": tomorrow}
    assert walk("POST /campaigns/{id}/schedule", 200, planned, **named)["status"] == "scheduled"
    assert [one["id"] for one in walk("GET /campaigns?status=active", 200)["results"]] == [
        made["id"]
    ]
    assert walk("GET /analytics/summary", 200)["next_notification_time"]
    assert walk("POST /campaigns/{id}/cancel", 200, **named)["status"] == "draft"
    walk("POST /campaigns/{id}/schedule", 200, {"schedule_type": "send_now"}, **named)
    _send(cast, made["id"])

    listed = walk(f"GET /notifications?campaign={made['id']}", 200)
    states = [one["state"] for one in listed["results"]]
    assert sorted(states) == ["failed", "sent", "sent", "sent", "sent"]
    failed = listed["results"][states.index("failed")]
    (attempt,) = walk("GET /notifications/{id}", 200, id=failed["id"])["attempts"]
    assert attempt["code"] == "UNREGISTERED"
    figures = walk("GET /analytics/campaign/{id}", 200, **named)
    assert (figures["sent"], figures["failed_percent"]) == (4, 20.0)
    summary = walk("GET /analytics/summary", 200)
    assert summary["total_notifications_sent"] == summary["today_notifications"] == 4
    assert summary["connected_applications_count"] == 1

    other = walk("POST /campaigns", 201, {"name": "Never sent"})
    assert walk("DELETE /campaigns/{id}", 204, id=other["id"]) is None
    assert set(walk.rows) == {*SEED[14:24], *SEED[30:]}


def test_templates_and_a_message_at_once(walk, cast, connected):
    add_people(cast.workspace, 1, tokens=["sbx_ok_1"])
    words = {"name": "Self-Care Saturday", "category": "weekend", "language": "en"}
    made = walk("POST /templates", 201, {**words, "title": "Hi {{ data.name }}", "body": "Rest."})
    named = {"id": made["id"]}
    assert (made["name"], made["is_global"]) == ("Self-Care Saturday", False)
    changed = walk("PATCH /templates/{id}", 200, {"tone": "cheerful"}, **named)
    assert walk("GET /templates/{id}", 200, **named) == changed
    assert made["id"] in [one["id"] for one in walk("GET /templates?library=own", 200)["results"]]
    asked = {
        "recipients": [{"external_user_id": "user-0", "data": {"name": "Asha"}}],
        "template_id": made["id"],
        "class": "transactional",
    }
    accepted = walk("POST /notifications/send-now", 202, asked)
    assert accepted["id"]
    walk("DELETE /templates/{id}", 204, **named)
    assert set(walk.rows) == {*SEED[24:30]}


def test_the_list_is_whole():
    assert len(SEED) == 32
    assert all(re.fullmatch(r"(GET|POST|PATCH|DELETE) /[a-z{][\w/{}-]*", row) for row in SEED)


def _send(cast: Any, campaign: int) -> None:
    with scope(cast.workspace):
        run = Run.objects.filter(campaign=campaign, state="planned").get()
    work_until_ended(run)
    digest.digest_due(timezone.now())
