"""Direct messages through the API: what is accepted, what is refused and why, and the trace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns import plan
from campaigns.models import Endpoint, Run, Template
from delivery.engine import direct, pipeline
from delivery.models import DirectSend, Message
from delivery.notifications import content_of
from tenants import keys
from tenants.scope import every_workspace, scope
from tests.story import add_people, received
from tests.tenants.api.app import App, key_of, refused
from tests.tenants.api.calls import app_of

PATH = "/notifications/send-now"
TEXT = {"title": "Your code", "body": "{{ data.code }}"}
ORDER = {"class": "transactional", "content": TEXT, "data": {"code": "4711"}}


@pytest.fixture
def server(cast, connected) -> App:
    """A server of the workspace, which has two people with phones."""
    add_people(cast.workspace, 2)
    scopes = [keys.CAMPAIGNS_SEND, keys.NOTIFICATIONS_READ]
    return App(f"Bearer {key_of(cast.workspace, by=cast.owner, name='Shop', scopes=scopes)}")


def send(app: App, *people: Any, **fields: Any) -> Any:
    headers = fields.pop("headers", {})
    return app.ask("POST", PATH, {"recipients": list(people), **ORDER, **fields}, **headers)


def work() -> None:
    pipeline.work(timezone.now())


def wrong(answer: Any) -> list[str]:
    """The fields that a 422 names."""
    assert answer.status_code == 422, answer.content
    return [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_message_is_accepted_and_one_turn_of_a_worker_sends_it(server, sandbox, connected, slash):
    order = {"recipients": ["user-0", "ghost"], **ORDER}
    answer = server.ask("POST", f"{PATH}{slash}", order)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["recipients"], told["unknown"]) == (1, ["ghost"])
    work()
    assert list(received(sandbox, connected).values()) == [1]
    with every_workspace():
        assert DirectSend.objects.get(pk=told["id"]).made_by == "API key “Shop”"


def test_the_same_request_with_the_same_key_is_sent_once(server, sandbox, connected):
    key = {"headers": {"Idempotency-Key": "order-1"}}
    first, again = (send(server, "user-0", "user-1", **key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert refused(send(server, "user-1", **key)) == (422, "idempotency_key_reused")
    work()
    assert sorted(received(sandbox, connected).values()) == [1, 1]
    with every_workspace():
        assert Message.objects.count() == 2


def test_a_template_and_data_of_each_person(server, cast):
    with scope(cast.workspace):
        template = Template.objects.create(
            workspace=cast.workspace, name="Code", category="reminder", fields=TEXT
        )
    person = {"external_user_id": "user-1", "data": {"code": "0815"}}
    answer = send(server, "user-0", person, template_id=template.pk, content=None)
    assert answer.status_code == 202
    with every_workspace():
        stored = DirectSend.objects.get()
        assert [data for _pk, _name, data in stored.people] == [{}, {"code": "0815"}]


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"content": None}, ["body"]),
        ({"template_id": 1}, ["body"]),
        ({"template_id": 999_999, "content": None}, ["template_id"]),
        ({"content": {"title": "x" * 121}}, ["content.title"]),
        ({"content": {"titel": "x"}}, ["content.titel"]),
        ({"content": {**TEXT, "buttons": [{"text": "x" * 31}]}}, ["content.buttons.0.text"]),
        ({"data": {}}, ["data.code"]),
        ({"data": {"code": "\0"}}, ["data"]),
        ({"data": {"code": 2**63}}, ["data"]),
        ({"data": {str(n): n for n in range(51)}}, ["data"]),
        ({"class": "offers"}, ["class"]),
        ({"channel": "pigeon"}, ["channel"]),
        ({"recipients": []}, ["recipients"]),
        ({"recipients": ["ghost"]}, ["recipients"]),
        ({"recipients": [f"user-{n}" for n in range(501)]}, ["recipients"]),
        ({"recipients": ["user-0", " user-0"]}, ["recipients.1.external_user_id"]),
        ({"priority": 1}, ["priority"]),
    ],
)
def test_bad_input_is_named(server, given, fields):
    answer = server.ask("POST", PATH, {"recipients": ["user-0"], **ORDER, **given})
    assert wrong(answer) == fields
    with every_workspace():
        assert not DirectSend.objects.exists()


def test_five_hundred_people_with_data_are_one_request(server, cast):
    add_people(cast.workspace, 498)
    people = [
        {"external_user_id": f"user-{n}", "data": {"code": str(n), "items": list(range(20))}}
        for n in range(500)
    ]
    answer = send(server, *people)
    assert (answer.status_code, answer.json()["recipients"]) == (202, 500)


def test_a_workspace_without_a_connection_is_told_what_to_do(server, connected):
    with every_workspace():
        connected.delete()
    assert refused(send(server, "user-0")) == (409, "refused")


def test_who_may_send(server, cast, connected):
    viewer, member, owner = (app_of(getattr(cast, name)) for name in ("viewer", "member", "owner"))
    assert send(owner, "user-0").status_code == 202
    assert refused(send(viewer, "user-0")) == (403, "forbidden")
    reader = App(f"Bearer {key_of(cast.workspace, scopes=[keys.CAMPAIGNS_READ])}")
    assert send(reader, "user-0").status_code == 403
    assert refused(send(App(), "user-0")) == (401, "unauthenticated")
    assert member is not None


def test_the_people_of_another_workspace_are_unknown(server, cast):
    add_people(cast.other_workspace, 3)
    answer = send(server, "user-2", "user-0")
    assert answer.json()["unknown"] == ["user-2"]


# --- the trace --------------------------------------------------------------------------------
def trace(app: App, pk: int, slash: str = "") -> Any:
    answer = app.get(f"{PATH}/{pk}{slash}")
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_trace_names_state_reason_answer_and_times_of_everybody(server, cast, slash):
    with scope(cast.workspace):
        phones = Endpoint.objects.order_by("pk")
        phones.filter(contact__external_id="user-1").update(value="sbx_invalid_1")
    made = send(server, "user-0", "user-1", "ghost").json()
    before = trace(server, made["id"], slash)
    assert (before["progress"], before["counts"]) == ("waiting", {"pending": 2})
    assert [line["external_user_id"] for line in before["messages"]] == ["user-0", "user-1"]
    work()
    after = trace(server, made["id"], slash)
    assert (after["class"], after["channel"]) == ("transactional", "app_push")
    assert (after["progress"], after["counts"]) == ("done", {"sent": 1, "failed": 1})
    assert (after["recipients"], after["unknown"]) == (2, ["ghost"])
    sent, failed = after["messages"]
    assert (sent["state"], sent["reason"], sent["code"]) == ("sent", "accepted", "")
    assert sent["provider_id"]
    assert after["accepted_at"] <= sent["on_the_wire_at"] <= sent["answered_at"]
    assert (failed["state"], failed["reason"]) == ("failed", "endpoint_gone")
    assert (failed["code"], failed["external_user_id"]) == ("INVALID_ARGUMENT", "user-1")
    assert "registration token" in failed["sentence"]
    detail = server.get(f"/notifications/{failed['notification']}").json()
    assert detail["attempts"][-1]["sentence"] == failed["sentence"]


def test_the_trace_says_that_somebody_paused_direct_messages(server, cast):
    send(server, "user-0")
    work()
    with every_workspace():
        run = Run.objects.select_related("workspace", "campaign").get()
    with scope(cast.workspace):
        plan.pause(run, by=cast.owner)
    made = send(server, "user-1").json()
    assert trace(server, made["id"])["progress"] == "paused"


def test_the_trace_of_a_person_without_a_device_has_a_line_too(server, cast):
    with scope(cast.workspace):
        Endpoint.objects.all().delete()
    made = send(server, "user-0").json()
    work()
    found = trace(server, made["id"])
    assert (found["progress"], found["counts"]) == ("done", {"skipped": 1})
    assert found["messages"][0]["reason"] == "no_endpoint"


def test_a_day_later_the_trace_still_says_what_became_of_everybody(server, monkeypatch):
    made = send(server, "user-0").json()
    work()
    monkeypatch.setattr(direct, "OPEN_FOR", timedelta())
    pipeline.tick(timezone.now())
    with every_workspace():
        assert direct.forget(timezone.now() + timedelta(hours=25)) == 1
    found = trace(server, made["id"])
    assert (found["recipients"], found["counts"]) == (1, {"sent": 1})


def test_who_may_read_a_trace(server, cast, connected):
    made = send(server, "user-0").json()
    path = f"{PATH}/{made['id']}"
    assert app_of(cast.viewer).get(path).status_code == 200
    sender = App(f"Bearer {key_of(cast.workspace, scopes=[keys.CAMPAIGNS_SEND])}")
    assert sender.get(path).status_code == 403
    assert refused(server.get(f"{PATH}/999999")) == (404, "send_not_found")
    theirs = App(f"Bearer {key_of(cast.other_workspace, scopes=[keys.NOTIFICATIONS_READ])}")
    assert refused(theirs.get(path)) == (404, "send_not_found")


def test_the_page_of_a_direct_message_shows_its_own_text(server, cast):
    made = send(server, "user-0").json()
    work()
    row = trace(server, made["id"])["messages"][0]["notification"]
    with every_workspace():
        message = Message.objects.select_related("run", "run__workspace").get(pk=row)
        assert content_of(message, message.run)[0]["title"] == "Your code"
    listed = server.get("/notifications").json()["results"]
    assert [(one["id"], one["campaign"], one["class"]) for one in listed] == [
        (row, None, "transactional")
    ]


def test_the_trace_of_many_takes_as_many_queries_as_that_of_one(
    server, cast, django_assert_num_queries
):
    add_people(cast.workspace, 30)
    one, many = (
        send(server, *(f"user-{n}" for n in range(count))).json()["id"] for count in (1, 32)
    )
    work()
    trace(server, one)
    with CaptureQueriesContext(connection) as asked:
        trace(server, one)
    with django_assert_num_queries(len(asked)):
        assert trace(server, many)["counts"] == {"sent": 32}
