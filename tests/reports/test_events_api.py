"""The door: keys, caps, hostile bodies, and an answer that is only given when the events are
stored."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from campaigns.models import Run
from delivery.models import Message
from pushpilot.lib import wake
from pushpilot.lib.problems import Problem
from reports import digest, intake
from reports.models import InboxBatch
from tenants import keys
from tenants.models import ApiKey, Connection
from tenants.scope import every_workspace, scope
from tests.reports.conftest import make_sdk
from tests.reports.made import make_sent

OPENED = {"event_id": "m-1", "type": "opened"}


def stored() -> list[intake.AcceptedEvent]:
    with every_workspace():
        return [
            event
            for batch in InboxBatch.objects.order_by("id")
            for event in intake.read_stored(batch)
        ]


def test_a_batch_is_stored_and_answered_with_the_number_of_events(sdk):
    answer = sdk.post(
        OPENED,
        {"event_id": "m-2", "type": "custom", "name": "order_placed", "metadata": {"total": 3}},
    )
    assert answer.status_code == 202
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, [])
    assert [(event.event_id, event.metadata) for event in stored()] == [
        ("m-1", {}),
        ("m-2", {"total": 3}),
    ]


def test_a_single_event_may_come_without_a_batch_around_it(sdk):
    assert sdk.post_raw(json.dumps(OPENED)).status_code == 202
    assert [event.event_id for event in stored()] == ["m-1"]


def test_the_answer_names_every_event_that_will_change_nothing_and_why(cast, sdk):
    sent, gone, foreign = (
        make_sent(cast.workspace),
        make_sent(cast.workspace),
        make_sent(cast.other_workspace),
    )
    ref_of_gone = gone.ref()
    with scope(cast.workspace):
        gone.run.delete()
        topic = make_sent(cast.workspace)
        Message.objects.filter(pk=topic.messages[0].pk).update(contact=None)
    cases = [
        ("opened", {"ref": "<data.pp_ref of the push>"}, "ref_unknown"),  # as the README has it
        ("opened", {"ref": foreign.ref()}, "ref_foreign"),
        ("opened", {"ref": ref_of_gone}, "ref_gone"),
        ("unsubscribed", {"ref": topic.ref()}, "ref_of_a_broadcast"),
        ("opened", {}, "ref_missing"),
        ("unsubscribed", {"external_user_id": "user-1"}, "no_proof"),
        ("opened", {"ref": topic.ref()}, ""),
        ("opened", {"ref": sent.ref()}, ""),
        ("unsubscribed", {"ref": sent.ref()}, ""),
        ("custom", {"name": "order_placed"}, ""),
    ]
    answer = sdk.post(
        *({"event_id": f"{n}", "type": kind, **more} for n, (kind, more, _) in enumerate(cases))
    )
    assert answer.json()["accepted"] == len(cases)
    ignored = {one["index"]: one["code"] for one in answer.json()["ignored"]}
    assert ignored == {n: code for n, (_, _, code) in enumerate(cases) if code}
    assert all(one["reason"].endswith(".") for one in answer.json()["ignored"])


def test_a_test_key_reports_only_on_messages_of_the_sandbox(cast):
    testing = make_sdk(cast.workspace, mode="test")
    sandboxed, live = make_sent(cast.workspace), make_sent(cast.workspace)
    with scope(cast.workspace):
        for run, provider in ((sandboxed.run, "fcm_sandbox"), (live.run, "fcm")):
            account = Connection.objects.create(
                workspace=cast.workspace, name=provider, provider=provider, is_active=False
            )
            Run.objects.filter(pk=run.pk).update(connection=account)
    answer = testing.post(
        {"event_id": "a", "type": "opened", "ref": sandboxed.ref()},
        {"event_id": "b", "type": "opened", "ref": live.ref()},
        {"event_id": "c", "type": "custom", "name": "order_placed"},
    )
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert [(one["index"], one["code"]) for one in answer.json()["rejected"]] == [
        (1, "test_key"),
        (2, "test_key"),
    ]
    assert [event.event_id for event in stored()] == ["a"]


@pytest.mark.django_db(transaction=True)
def test_the_events_are_committed_when_the_answer_comes(sdk):
    """Another connection sees the row: nothing of it is left in an open transaction."""
    assert sdk.post(OPENED).status_code == 202

    def count() -> int:
        try:
            with every_workspace():
                return InboxBatch.objects.count()
        finally:
            connection.close()

    # the test's in-memory database has one connection; none may be in a transaction
    if connection.vendor == "sqlite":
        assert not connection.in_atomic_block
        assert not connection.connection.in_transaction
        with every_workspace():
            assert InboxBatch.objects.count() == 1
    else:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(count).result() == 1


def test_the_row_is_written_before_the_bell_rings(sdk, monkeypatch):
    seen = []
    monkeypatch.setattr(wake, "ring", lambda bell, **_: seen.append((bell, len(stored()))))
    sdk.post(OPENED)
    assert seen == [("digest", 1)]


def test_one_queued_bell_serves_all_batches_until_it_is_heard(sdk, monkeypatch):
    rung = []
    monkeypatch.setattr(wake, "ring", lambda bell, **_: rung.append(bell))
    sdk.post(OPENED)
    sdk.post(OPENED)
    assert rung == ["digest"]
    intake.bell_heard()
    sdk.post(OPENED)
    assert rung == ["digest", "digest"]


def test_a_cache_that_does_not_answer_costs_no_bell_and_no_event(sdk, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionError("the cache is away")

    rung = []
    monkeypatch.setattr(wake, "ring", lambda bell, **_: rung.append(bell))
    monkeypatch.setattr(intake, "cache", SimpleNamespace(add=refuse, delete=refuse))
    assert [sdk.post(OPENED).status_code for _ in range(2)] == [202, 202]
    assert rung == ["digest", "digest"]
    assert digest.digest_due(timezone.now()) == 2


def test_a_database_that_does_not_answer_means_503_and_try_again(sdk, monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError("database is locked")

    monkeypatch.setattr(InboxBatch, "save", refuse)
    answer = sdk.post(OPENED)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["code"] == "not_stored"


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer pp_write_unknown", "Token abc", "Basic ???", "Basic " + "A" * 5000, "Bearer " + "x" * 9000,
     "Basic " + base64.b64encode(b"\xff\xfe:").decode()],
)  # fmt: skip
def test_without_a_known_key_the_answer_is_401(sdk, header):
    answer = sdk.post_raw(json.dumps(OPENED), HTTP_AUTHORIZATION=header)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthenticated"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert stored() == []


def test_basic_authentication_takes_the_key_as_the_user_name(sdk):
    basic = base64.b64encode(f"{sdk.secret}:".encode()).decode()
    assert sdk.post_raw(json.dumps(OPENED), HTTP_AUTHORIZATION=f"Basic {basic}").status_code == 202


def test_a_revoked_key_is_refused(sdk):
    with every_workspace():
        ApiKey.objects.filter(pk=sdk.key.pk).update(revoked_at=timezone.now())
    assert sdk.post(OPENED).status_code == 401


def test_a_key_revoked_after_its_first_use_is_refused_within_thirty_seconds(sdk, monkeypatch):
    assert sdk.post(OPENED).status_code == 202
    with every_workspace():
        ApiKey.objects.filter(pk=sdk.key.pk).update(revoked_at=timezone.now())
    later = keys.time.monotonic() + 30
    monkeypatch.setattr(keys.time, "monotonic", lambda: later)
    assert sdk.post(OPENED).status_code == 401


def test_keys_are_looked_up_once_whether_known_or_not(sdk, django_assert_num_queries):
    keys.authenticate(f"Bearer {sdk.secret}", keys.EVENTS_WRITE)
    with pytest.raises(Problem):
        keys.authenticate("Bearer pp_live_nobody", keys.EVENTS_WRITE)
    with django_assert_num_queries(0):
        keys.authenticate(f"Bearer {sdk.secret}", keys.EVENTS_WRITE)
        with pytest.raises(Problem):
            keys.authenticate("Bearer pp_live_nobody", keys.EVENTS_WRITE)


def test_a_flood_of_invented_keys_neither_grows_memory_nor_pushes_real_keys_out(sdk, monkeypatch):
    monkeypatch.setattr(keys, "KEPT", 5)
    keys.authenticate(f"Bearer {sdk.secret}", keys.EVENTS_WRITE)
    for number in range(20):
        with pytest.raises(Problem):
            keys.authenticate(f"Bearer pp_live_{number}", keys.EVENTS_WRITE)
    assert len(keys._unknown._kept) == 5
    assert len(keys._known._kept) == 1


def test_the_events_of_a_page_s_key_are_stored_as_nobody_s_key(cast, sdk):
    sdk.secret = keys.page_key(cast.member, cast.workspace)
    sent = make_sent(cast.workspace)
    with scope(cast.workspace):
        sandbox = Connection.objects.create(
            workspace=cast.workspace, name="Sandbox", provider="fcm_sandbox", is_active=False
        )
        Run.objects.filter(pk=sent.run.pk).update(connection=sandbox)
    answer = sdk.post({**OPENED, "ref": sent.ref()})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    with every_workspace():
        batch = InboxBatch.objects.get()
    assert (batch.key_id, batch.workspace_id) == (None, cast.workspace.pk)


# --- caps -----------------------------------------------------------------------------------------


def test_500_events_pass_and_501_do_not(sdk):
    events = [{"event_id": f"m-{i}", "type": "opened"} for i in range(501)]
    assert sdk.post(*events[:500]).json()["accepted"] == 500
    answer = sdk.post(*events)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_events")


def test_a_body_over_the_cap_is_refused_before_it_is_parsed(sdk, monkeypatch):
    monkeypatch.setattr(intake, "receive", None)
    answer = sdk.post_raw(b" " * (intake.BATCH_LIMIT_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_an_event_over_32_kb_is_rejected_and_its_neighbours_are_not(sdk):
    answer = sdk.post(
        {**OPENED, "metadata": {"a": ["x" * 8000] * 5}}, {**OPENED, "event_id": "m-2"}
    )
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert answer.json()["rejected"][0]["code"] == "event_too_large"


def test_too_many_requests_with_one_key_are_answered_429_and_another_key_goes_on(
    sdk, other_sdk, settings
):
    settings.EVENTS_PER_MINUTE = 3
    answers = [sdk.post(OPENED) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].json()["code"] == "too_many_requests"
    assert other_sdk.post(OPENED).status_code == 202


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nope", b'{"batch": [nope]}', b'{"a": "\xff', b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json_is_answered_400(sdk, body):
    answer = sdk.post_raw(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_a_body_nested_without_end_is_answered_400(sdk):
    body = b'{"batch": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert sdk.post_raw(body).json()["code"] == "nested_too_deeply"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_another_content_type_is_answered_415(sdk, kind):
    assert sdk.post_raw(json.dumps(OPENED), content_type=kind).status_code == 415


def test_a_compressed_body_is_answered_415(sdk):
    assert sdk.post_raw(b"...", HTTP_CONTENT_ENCODING="gzip").status_code == 415


@pytest.mark.parametrize(
    "body", ["[]", "3", '{"batch": {}}', '{"batch": []}', '{"batch": [{}], "x": 1}', "{}",
             '{"batch": [{"event_id":"m","type":"opened"}], "sent_at": "yesterday"}',
             '{"batch": [{"event_id":"m","type":"opened"}], "sent_at": "2026-11-21T09:00:00"}'],
)  # fmt: skip
def test_a_body_of_another_shape_is_answered_422_with_a_sentence(sdk, body):
    answer = sdk.post_raw(body)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]


HOSTILE = {
    "NUL": ('{"event_id":"a\\u0000b","type":"opened"}', "bad_text"),
    "NUL in a key": ('{"event_id":"m","type":"opened","metadata":{"a\\u0000":1}}', "bad_text"),
    "lone surrogate": ('{"event_id":"a\\ud800","type":"opened"}', "bad_text"),
    "lone low surrogate": ('{"event_id":"a","type":"opened","metadata":{"x":"\\udc00"}}', "bad_text"),
    "integer beyond 64 bits": (
        '{"event_id":"m","type":"opened","metadata":{"n":9223372036854775808}}', "number_out_of_range"),
    "integer of 5,000 digits": (
        '{"event_id":"m","type":"opened","metadata":{"n":' + "9" * 5000 + "}}", "invalid"),
    "infinite number": ('{"event_id":"m","type":"opened","metadata":{"n":1e999}}', "invalid"),
    "year 0": ('{"event_id":"m","type":"opened","occurred_at":"0000-01-01T00:00:00Z"}', "invalid"),
    "year 1": ('{"event_id":"m","type":"opened","occurred_at":"0001-01-01T00:00:00Z"}', "time_out_of_range"),
    "no time zone": ('{"event_id":"m","type":"opened","occurred_at":"2026-11-01T00:00:00"}', "time_zone_missing"),
    "time as a number": ('{"event_id":"m","type":"opened","occurred_at":1700000000}', "invalid"),
    "huge text": ('{"event_id":"m","type":"opened","metadata":{"t":"' + "x" * 9000 + '"}}', "text_too_long"),
    "huge id": ('{"event_id":"' + "m" * 101 + '","type":"opened"}', "text_too_long"),
    "huge name": ('{"event_id":"m","type":"custom","name":"' + "n" * 201 + '"}', "text_too_long"),
    "huge reference": ('{"event_id":"m","type":"opened","ref":"' + "1" * 201 + '"}', "text_too_long"),
    "huge user id": ('{"event_id":"m","type":"opened","external_user_id":"' + "u" * 201 + '"}', "text_too_long"),
    "empty id": ('{"event_id":"","type":"opened"}', "text_missing"),
    "no id": ('{"type":"opened"}', "invalid"),
    "unknown type": ('{"event_id":"m","type":"exploded"}', "invalid"),
    "unknown field": ('{"event_id":"m","type":"opened","eventId":"m"}', "invalid"),
    "nine levels": (
        '{"event_id":"m","type":"opened","metadata":' + '{"a":' * 9 + "1" + "}" * 9 + "}", "nested_too_deeply"),
    "800 levels": (
        '{"event_id":"m","type":"opened","metadata":' + '{"a":' * 800 + "1" + "}" * 800 + "}", "nested_too_deeply"),
    "a list": ("[]", "invalid"),
    "null": ("null", "invalid"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_one_bad_event_is_rejected_by_its_index_and_sinks_no_other(sdk, name):
    event, code = HOSTILE[name]
    answer = sdk.post_raw(f'{{"batch": [{json.dumps(OPENED)}, {event}]}}')
    assert answer.status_code == 202
    body = answer.json()
    assert body["accepted"] == 1
    assert [(item["index"], item["code"]) for item in body["rejected"]] == [(1, code)]
    assert body["rejected"][0]["detail"]


def test_eight_levels_are_kept(sdk):
    metadata = json.loads('{"a":' * 8 + "1" + "}" * 8)
    assert sdk.post({**OPENED, "metadata": metadata}).json()["accepted"] == 1


def test_a_batch_of_nothing_but_bad_events_is_answered_422(sdk):
    answer = sdk.post({"type": "opened"}, {"event_id": "", "type": "opened"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "no_event_acceptable"
    assert [item["index"] for item in answer.json()["rejected"]] == [0, 1]


# --- browsers -------------------------------------------------------------------------------------


def test_a_browser_may_post_from_any_page_and_only_here(client, sdk):
    preflight = client.options("/api/v1/events", HTTP_ORIGIN="https://shop.example")
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert sdk.post(OPENED).headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in client.get("/healthz").headers


def test_the_description_of_the_api_shows_the_body_and_the_keys(client):
    described = client.get("/api/v1/openapi.json").json()
    operation = described["paths"]["/api/v1/events"]["post"]
    batch, event = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert batch["properties"]["batch"]["maxItems"] == 500
    assert set(event["required"]) == {"event_id", "type"}
    assert "$ref" not in json.dumps([operation["requestBody"], operation["responses"]["202"]])
    assert {"202", "400", "401", "413", "415", "422", "429", "503"} <= set(operation["responses"])
    for status in set(operation["responses"]) - {"202"}:
        told = operation["responses"][status]["content"]["application/problem+json"]
        assert told["example"]["status"] == int(status)
    assert described["components"]["securitySchemes"]["WriteKey"]["scheme"] == "bearer"


# --- never a 500 ----------------------------------------------------------------------------------

TEXT = st.text(max_size=20) | st.sampled_from(
    ["\0", "\ud800", "m", "opened", "2026-11-21T09:00:00Z", "x" * 300]
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "event_id": TEXT | VALUE,
        "type": st.sampled_from(["opened", "delivered", "custom", "?"]) | VALUE,
        "name": TEXT | VALUE,
        "ref": TEXT | VALUE,
        "external_user_id": TEXT | VALUE,
        "occurred_at": st.datetimes().map(lambda at: at.isoformat() + "Z") | TEXT | VALUE,
        "metadata": st.dictionaries(TEXT, VALUE, max_size=4) | VALUE,
    },
)
BODY = (
    st.fixed_dictionaries(
        {"batch": st.lists(EVENT | VALUE, max_size=5)},
        optional={"sent_at": st.datetimes().map(lambda at: at.isoformat() + "Z") | VALUE},
    )
    | EVENT
    | VALUE
).map(lambda value: json.dumps(value).encode())
HARD = hypothesis_settings(max_examples=150)


@HARD
@given(body=BODY | st.binary(max_size=200))
def test_no_body_causes_a_500_or_an_undigestible_row(sdk, body):
    from reports import digest

    answer = sdk.post_raw(body)
    assert answer.status_code in (202, 400, 413, 422), answer.content
    digest.digest_due(timezone.now())
    assert stored() == []


@pytest.mark.parametrize("field", ["event_id", "name", "external_user_id"])
def test_a_control_character_is_refused_by_its_name(sdk, field):
    event = {"event_id": "m1", "type": "custom", "name": "n", field: "a\x1bb"}
    (refused,) = sdk.post(event).json()["rejected"]
    assert field in refused["detail"]
    assert "U+001B ESCAPE" in refused["detail"]
