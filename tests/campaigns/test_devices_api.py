"""Devices by API: registered, moved, brought back and signed out, and every hostile body
answered with what to do."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from campaigns.contacts import endpoints
from campaigns.models import Consent, Contact, Endpoint, EndpointMove
from tenants import keys
from tenants.models import ApiKey
from tenants.scope import scope
from tests.tenants.api.app import App

ASHA = {"external_user_id": "asha", "token": "tok-1", "platform": "android"}


@pytest.fixture
def server(cast) -> App:
    """A server with a secret key that may write devices."""
    key = ApiKey(
        workspace=cast.workspace,
        name="Backend",
        kind=ApiKey.Kind.SECRET,
        scopes=[keys.DEVICES_WRITE],
    )
    with scope(cast.workspace):
        return App(f"Bearer {keys.create(key, by=cast.owner)}")


def register(app, *devices, **headers):
    return app.ask("POST", "/devices", {"devices": list(devices)}, **headers)


def device(cast, token="tok-1") -> Endpoint:
    with scope(cast.workspace):
        return Endpoint.objects.select_related("contact").get(value=token)


def test_a_device_of_an_unknown_person_creates_both(cast, server):
    answer = register(
        server,
        ASHA,
        {**ASHA, "token": "tok-2", "platform": "web", "kind": "fid", "opted_in": False},
    )
    assert (answer.status_code, answer.json()["created"], answer.json()["rejected"]) == (200, 2, [])
    phone, browser = device(cast), device(cast, "tok-2")
    assert (phone.contact.external_id, phone.channel, phone.kind, phone.opted_in) == (
        "asha",
        "app_push",
        "token",
        True,
    )
    assert (browser.contact, browser.channel, browser.kind, browser.opted_in) == (
        phone.contact, "web_push", "fid", False,
    )  # fmt: skip
    assert phone.last_seen_at is not None


def test_registering_a_device_is_a_sign_of_its_person_and_an_older_word_is_none(cast, server):
    seen = {name: timezone.now() - timedelta(days=days) for name, days in (("new", 1), ("old", 9))}

    def say(name, token):
        register(server, {**ASHA, "token": token, "last_seen_at": seen[name].isoformat()})
        return device(cast, token).contact.last_seen_at

    assert say("old", "tok-1") == seen["old"]
    assert say("new", "tok-1") == seen["new"]
    assert say("old", "tok-2") == seen["new"]
    register(server, ASHA)
    assert device(cast).contact.last_seen_at == device(cast).last_seen_at


def test_sending_it_again_only_notes_that_it_was_seen(cast, server):
    register(server, {**ASHA, "opted_in": False})
    before = device(cast)
    assert register(server, {**ASHA}).json()["refreshed"] == 1
    after = device(cast)
    assert after.last_seen_at > before.last_seen_at
    assert (after.pk, after.opted_in) == (before.pk, False), "what is not said stays as it was"
    with scope(cast.workspace):
        assert (
            Contact.objects.filter(external_id="asha").count(),
            EndpointMove.objects.count(),
        ) == (1, 0)


@pytest.mark.parametrize("reason", endpoints.retired_words())
def test_a_retired_device_that_registers_again_is_reached_again(cast, server, reason):
    register(server, ASHA)
    with scope(cast.workspace):
        Endpoint.objects.update(is_active=False, retired_at=timezone.now(), retired_reason=reason)
    answer = register(server, ASHA).json()
    assert (answer["accepted"], answer["returned"]) == (1, 1)
    back = device(cast)
    assert (back.is_active, back.retired_at, back.retired_reason) == (True, None, "")


def test_a_server_that_sends_its_whole_list_every_night_wakes_no_dead_device(cast, server):
    seen = timezone.now() - timedelta(days=3)
    register(server, {**ASHA, "last_seen_at": seen.isoformat()})
    with scope(cast.workspace):
        Endpoint.objects.update(
            is_active=False, retired_at=timezone.now(), retired_reason="UNREGISTERED"
        )
    answer = register(server, {**ASHA, "last_seen_at": seen.isoformat()}).json()
    assert (answer["outdated"], answer["returned"]) == (1, 0)
    assert not device(cast).is_active


def consents(cast) -> dict[str, tuple[str, str]]:
    with scope(cast.workspace):
        return {
            row.channel: (row.status, row.source)
            for row in Consent.objects.filter(contact__external_id="asha")
        }


def test_a_device_brings_the_word_of_its_person_and_the_newest_word_stays(cast, server):
    now = timezone.now()

    def said(opted_in: bool, hours: int, **more: str) -> None:
        at = (now - timedelta(hours=hours)).isoformat()
        answer = register(server, {**ASHA, "consent": {"opted_in": opted_in, "at": at, **more}})
        assert answer.json()["rejected"] == []

    said(False, 3)
    assert consents(cast) == {"app_push": ("opted_out", "api")}
    said(True, 2)
    said(False, 4)
    assert consents(cast) == {"app_push": ("opted_in", "api")}
    said(False, 1, channel="all")
    assert consents(cast) == {"app_push": ("opted_in", "api"), "all": ("opted_out", "api")}


def test_the_permission_of_a_device_is_no_word_of_its_person(cast, server):
    """An app sends its permission at every start: that must not bring back somebody who has
    unsubscribed."""
    at = (timezone.now() - timedelta(hours=1)).isoformat()
    register(server, {**ASHA, "consent": {"opted_in": False, "at": at}})
    register(server, {**ASHA, "opted_in": True})
    assert consents(cast) == {"app_push": ("opted_out", "api")}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"opted_in": True}, "invalid"),
        ({"opted_in": True, "at": "2026-01-01T00:00:00"}, "time_zone_missing"),
        ({"opted_in": True, "at": "9999-01-01T00:00:00Z"}, "time_out_of_range"),
        ({"opted_in": True, "at": "2026-01-01T00:00:00Z", "channel": "fax"}, "invalid"),
        ({"opted_in": "yes", "at": "2026-01-01T00:00:00Z"}, "invalid"),
    ],
)
def test_a_word_without_its_time_or_about_no_channel_is_refused_with_its_device(
    cast, server, said, code
):
    answer = register(server, {**ASHA, "consent": said}, {**ASHA, "token": "good"}).json()
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [(0, code)]
    assert answer["created"] == 1
    assert consents(cast) == {}


def test_an_older_word_does_not_move_a_device_back(cast, server):
    register(server, {**ASHA, "external_user_id": "ravi"})
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert register(server, {**ASHA, "last_seen_at": yesterday}).json()["outdated"] == 1
    assert device(cast).contact.external_id == "ravi"


def test_a_device_of_somebody_else_moves_and_both_pages_tell(cast, server):
    register(server, ASHA)
    assert register(server, {**ASHA, "external_user_id": "ravi"}).json()["moved"] == 1
    moved = device(cast)
    assert moved.contact.external_id == "ravi"
    for name in ("asha", "ravi"):
        with scope(cast.workspace):
            pk = Contact.objects.get(external_id=name).pk
        page = (
            cast.client("viewer").get(cast.url(f"campaigns/contact/{pk}/change/")).content.decode()
        )
        assert "asha → ravi" in page
        assert "tok-1" not in page.replace("…tok-1", "")


def test_signing_out_ends_pushes_until_the_device_registers_again(cast, server):
    register(server, ASHA)
    gone = server.post(
        "/devices/unregister", devices=[{"token": "tok-1"}, {"token": "nobody-knows"}]
    ).json()
    assert gone == {"accepted": 2, "retired": 1, "rejected": []}
    assert (device(cast).is_active, device(cast).retired_reason) == (
        False,
        endpoints.REMOVED_REASON,
    )
    assert server.post("/devices/unregister", devices=[{"token": "tok-1"}]).json()["retired"] == 0
    assert register(server, ASHA).json()["returned"] == 1


def test_the_same_device_twice_in_a_request_counts_as_the_last_says(cast, server):
    answer = register(server, ASHA, {**ASHA, "external_user_id": "ravi"}).json()
    assert answer["created"] == 1
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [(0, "repeated")]
    assert device(cast).contact.external_id == "ravi"


def test_two_requests_about_a_new_device_leave_it_with_the_later_one_and_remember_the_move(
    cast, server, monkeypatch
):
    """The other request commits between our first look and our insert."""
    real, rival = endpoints._made, []

    def made(workspace, said, contacts, now):
        if not rival:
            rival.append(True)
            endpoints.register(
                workspace, "rival", said.channel, said.kind, said.value, said.platform, now
            )
        return real(workspace, said, contacts, now)

    monkeypatch.setattr(endpoints, "_made", made)
    answer = register(server, ASHA).json()
    assert (answer["created"], answer["moved"]) == (0, 1)
    assert device(cast).contact.external_id == "asha"


def test_five_hundred_devices_cost_as_many_queries_as_one(
    cast, server, django_assert_max_num_queries
):
    many = [{**ASHA, "external_user_id": f"u-{i}", "token": f"t-{i}"} for i in range(500)]
    with django_assert_max_num_queries(24):  # SQLite inserts in parts
        assert register(server, *many).json()["created"] == 500
    with django_assert_max_num_queries(24):
        assert register(server, *many).json()["refreshed"] == 500


# --- who may --------------------------------------------------------------------------------------
def test_a_write_key_a_test_key_and_a_viewer_may_not(cast, server):
    def answer(**fields):
        with scope(cast.workspace):
            return register(
                App(
                    f"Bearer {keys.create(ApiKey(workspace=cast.workspace, name='k', **fields), by=None)}"
                )
            )

    assert answer(kind="write").json()["code"] == "scope_missing"
    with pytest.raises(ValueError, match="live key"):
        answer(kind="secret", mode="test", scopes=[keys.DEVICES_WRITE])


def test_when_the_database_cannot_store_it_the_answer_says_send_it_again(cast, server, monkeypatch):
    def busy(*arguments):
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(endpoints, "register_all", busy)
    answer = register(server, ASHA)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# --- hostile bodies -------------------------------------------------------------------------------
BAD_DEVICES = {
    "no id": ({"external_user_id": ""}, "text_missing"),
    "a long id": ({"external_user_id": "x" * 201}, "text_too_long"),
    "NUL": ({"external_user_id": "a\0b"}, "bad_text"),
    "a number for an id": ({"external_user_id": 7}, "invalid"),
    "no token": ({"token": ""}, "text_missing"),
    "a long token": ({"token": "x" * 513}, "text_too_long"),
    "a token with a blank": ({"token": "to ken"}, "bad_text"),
    "a token with a line end": ({"token": "token\n"}, "bad_text"),
    "a strange platform": ({"platform": "fridge"}, "invalid"),
    "a strange kind": ({"kind": "email"}, "invalid"),
    "words for yes": ({"opted_in": "yes"}, "invalid"),
    "a time without zone": ({"last_seen_at": "2026-01-01T00:00:00"}, "time_zone_missing"),
    "the year 1": ({"last_seen_at": "0001-01-01T00:00:00Z"}, "time_out_of_range"),
    "the future": ({"last_seen_at": "9999-12-31T23:59:59Z"}, "time_out_of_range"),
    "an unknown field": ({"colour": "blue"}, "invalid"),
}


@pytest.mark.parametrize("case", BAD_DEVICES)
def test_a_bad_device_is_named_and_its_neighbour_is_taken(cast, server, case):
    change, code = BAD_DEVICES[case]
    answer = register(server, {**ASHA, **change}, {**ASHA, "token": "good"})
    assert answer.status_code == 200
    assert answer.json()["created"] == 1
    assert [(one["index"], one["code"]) for one in answer.json()["rejected"]] == [(0, code)]
    assert answer.json()["rejected"][0]["detail"].endswith(".")
    alone = register(server, {**ASHA, **change})
    assert (alone.status_code, alone.json()["code"]) == (422, "no_device_acceptable")


def test_half_a_surrogate_pair_sinks_only_its_device(cast, server):
    body = (
        b'{"devices": [{"external_user_id": "\\ud800", "token": "a", "platform": "ios"}, %s]}'
        % json.dumps(ASHA).encode()
    )
    answer = server.ask("POST", "/devices", body)
    assert (answer.status_code, answer.json()["created"]) == (200, 1)
    assert answer.json()["rejected"][0]["code"] == "bad_text"


BAD_BODIES = {
    "blanks": (b"  ", 400),
    "no JSON": (b"{", 400),
    "not UTF-8": (b'{"devices": ["\xff"]}', 422),
    "NaN": (b'{"devices": [NaN]}', 422),
    "a list": (b"[]", 422),
    "null": (b"null", 422),
    "no devices": (b"{}", 422),
    "an empty list": (b'{"devices": []}', 422),
    "a number": (b'{"devices": 7}', 422),
    "numbers": (b'{"devices": [7]}', 422),
    "one field more": (b'{"devices": [{}], "x": 1}', 422),
    "too many": (b'{"devices": [' + b",".join([b"{}"] * 501) + b"]}", 413),
    "deep": (b'{"devices": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400),
    "a huge integer": (b'{"devices": [{"token": 1' + b"0" * 5000 + b"}]}", 422),
}


@pytest.mark.parametrize("case", BAD_BODIES)
@pytest.mark.parametrize("path", ["/devices", "/devices/unregister"])
def test_a_bad_body_gets_a_clear_answer(cast, server, case, path):
    body, status = BAD_BODIES[case]
    assert server.ask("POST", path, body).status_code == status


def test_only_json_is_read(cast, server):
    answer = server.client.post(
        "/api/v1/devices", {"devices": "x"}, headers={"Authorization": server.authorization}
    )
    assert answer.status_code == 415


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*ASHA, "kind", "opted_in", "last_seen_at", "x"]), inner, max_size=6
        )
    ),
    max_leaves=12,
)


@hypothesis_settings(max_examples=60)
@given(body=st.lists(_JSON, max_size=4))
def test_no_body_breaks_it(cast, server, body):
    sent = json.dumps({"devices": body}).encode()
    assert server.ask("POST", "/devices", sent).status_code in (200, 400, 422, 429)


@pytest.mark.parametrize("written", ["asha ", "\u00a0asha", "as\u200bha", "\ufeffasha"])
def test_a_person_is_the_same_whatever_the_spelling_of_the_id(cast, server, written):
    register(server, ASHA)
    answer = register(
        server,
        {**ASHA, "external_user_id": written, "token": "tok-2"},
        {**ASHA, "external_user_id": "Asha", "token": "tok-3"},
    )
    assert answer.json()["created"] == 2
    with scope(cast.workspace):
        assert set(Contact.objects.values_list("external_id", flat=True)) == {"asha", "Asha"}
        assert device(cast, "tok-2").contact == device(cast).contact


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("a\x1bsha", "U+001B ESCAPE"),
        ("asha\n", "U+000A LINE FEED"),
        (" \u200b ", "external_user_id is too short"),
    ],
)
def test_an_id_with_a_control_character_or_of_blanks_alone_is_refused(server, written, words):
    answer = register(server, {**ASHA, "external_user_id": written})
    assert answer.status_code == 422
    assert words in answer.json()["rejected"][0]["detail"]
