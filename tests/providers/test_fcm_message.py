"""A neutral push as FCM's message: every field, every kind of target, and the same JSON by both
transports."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.channels.payload import PayloadTemplate, slot
from campaigns.channels.push.channel import AppPush
from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.account import FcmAccount
from delivery.providers.fcm.message import build_message, envelope, expiry
from delivery.providers.fcm.sdk import check_message, send_with_sdk
from delivery.providers.fcm.sender import FcmSender
from delivery.providers.http2 import CurlTransport
from tests.providers.sandbox_server import Sandbox

pytestmark = pytest.mark.once

EXPIRES = "1772370000"
FULL = {
    "title": "Sale",
    "body": "50 % off ✨",
    "image_url": "https://cdn.example.com/a.png",
    "icon_url": "https://cdn.example.com/icon.png",
    "deep_link": "https://shop.example.com/sale",
    "buttons": [{"text": "Shop", "url": "app://shop"}, {"text": "Later", "url": ""}],
    "data": {"k": "v"},
    "ttl_secs": 3600,
    "priority": "high",
    "badge": 3,
    "sound": "default",
    "android_channel": "offers",
    "message_ref": "m-1",
}
PUSHES = {
    "full": FULL,
    "least": {"title": "Hi"},
    "silent": {
        "silent": True,
        "data": {"sync": "1"},
        "message_ref": "m-2",
        "ttl_secs": 0,
        "priority": "normal",
    },
    "silent with everything": {**FULL, "silent": True},
    "data only": {**FULL, "data_only": True},
    "data only, title only": {"title": "Hi", "data_only": True},
    "data only and silent": {"data_only": True, "silent": True, "title": "Hi", "data": {"a": "b"}},
    "collapse key": {"title": "a", "collapse_key": "sale", "message_ref": "m-3"},
    "image only": {
        "title": "a",
        "body": "b",
        "image_url": "http://cdn.example.com/a.png",
        "badge": 0,
    },
    "icon only": {"title": "a", "icon_url": "https://cdn.example.com/icon.png"},
    "app link": {
        "title": "a",
        "deep_link": "app://x",
        "buttons": [{"text": "b"}],
        "priority": "normal",
    },
    "three buttons": {
        "title": "a",
        "buttons": [{"text": str(n), "url": f"https://x.example/{n}"} for n in range(3)],
    },
    "ends now": {"title": "a", "ttl_secs": 0},
    "four weeks": {"title": "a", "ttl_secs": 28 * 86400},
}
TARGETS = {
    "token": ("token", "sbx_ok_same"),
    "fid": ("fid", "sbx_ok_same"),
    "topic": ("topic", "news-2.0~%"),
    "condition": ("condition", "'news' in topics && ('sport' in topics || 'film' in topics)"),
}


@pytest.fixture(scope="module")
def account(shared_sandbox: Sandbox) -> FcmAccount:
    return FcmAccount.parse(shared_sandbox.key_file("p-messages"), sandbox_url=shared_sandbox.url)


@pytest.fixture(scope="module")
def sender(account: FcmAccount) -> Iterator[FcmSender]:
    sender = FcmSender(account, CurlTransport(timeout_secs=5))
    yield sender
    sender.close()


def sent(
    sender: FcmSender, push: dict[str, Any], target: tuple[str, str], expires: str = ""
) -> Outcome:
    sender.send(
        [(1, msgspec.json.encode(envelope(build_message(push, target=target, expires=expires))))]
    )
    while not (outcomes := sender.poll(5)):
        pass
    return outcomes[0]


def last(sandbox: Sandbox) -> int:
    return int(requests.get(f"{sandbox.url}/sandbox/health", timeout=5).json()["last"])


# --- what is built


def test_a_full_push_becomes_every_platforms_block() -> None:
    assert build_message(FULL, target=("token", "t"), expires=EXPIRES) == {
        "token": "t",
        "notification": {
            "title": "Sale",
            "body": "50 % off ✨",
            "image": "https://cdn.example.com/a.png",
        },
        "data": {
            "k": "v",
            "pp_ref": "m-1",
            "pp_link": "https://shop.example.com/sale",
            "pp_button_1_text": "Shop",
            "pp_button_1_url": "app://shop",
            "pp_button_2_text": "Later",
        },
        "android": {
            "priority": "high",
            "ttl": "3600s",
            "notification": {
                "tag": "m-1",
                "sound": "default",
                "channel_id": "offers",
                "notification_count": 3,
            },
        },
        "apns": {
            "headers": {
                "apns-collapse-id": "m-1",
                "apns-priority": "10",
                "apns-expiration": EXPIRES,
            },
            "payload": {
                "aps": {
                    "badge": 3,
                    "sound": "default",
                    "category": "pp_buttons",
                    "mutable-content": 1,
                }
            },
            "fcm_options": {"image": "https://cdn.example.com/a.png"},
        },
        "webpush": {
            "headers": {"TTL": "3600", "Urgency": "high"},
            "notification": {
                "icon": "https://cdn.example.com/icon.png",
                "image": "https://cdn.example.com/a.png",
                "tag": "m-1",
                "actions": [
                    {"action": "pp_button_1", "title": "Shop"},
                    {"action": "pp_button_2", "title": "Later"},
                ],
            },
            "fcm_options": {"link": "https://shop.example.com/sale"},
        },
    }


def test_a_data_message_leaves_the_drawing_to_the_android_app_and_shows_on_the_others() -> None:
    message = build_message({**FULL, "data_only": True}, target=("token", "t"))
    assert "notification" not in message
    assert "notification" not in message["android"]
    assert message["data"]["pp_title"] == "Sale"
    assert message["data"]["pp_image"] == FULL["image_url"]
    assert message["apns"]["payload"]["aps"]["alert"] == {"title": "Sale", "body": "50 % off ✨"}
    assert message["webpush"]["notification"]["title"] == "Sale"
    silent = build_message({**FULL, "data_only": True, "silent": True}, target=("token", "t"))
    assert silent["apns"]["payload"] == {"aps": {"content-available": 1}}
    assert "pp_title" not in silent["data"]


def test_a_collapse_key_replaces_the_older_message_on_every_platform_and_is_the_same_for_everybody() -> (
    None
):
    message = build_message(
        {"title": "a", "collapse_key": "sale", "message_ref": slot("ref")}, target=("token", "t")
    )
    assert message["android"]["collapse_key"] == message["android"]["notification"]["tag"] == "sale"
    assert (
        message["apns"]["headers"]["apns-collapse-id"]
        == message["webpush"]["notification"]["tag"]
        == "sale"
    )
    with pytest.raises(ValueError, match="same for everybody"):
        build_message({"collapse_key": f"sale-{slot('ref')}"}, target=("token", "t"))
    with pytest.raises(ValueError, match="collapse_key is longer than 64 bytes"):
        build_message({"collapse_key": "é" * 33, "message_ref": "m"}, target=("token", "t"))


def test_slots_survive_building_and_are_filled_per_recipient() -> None:
    push = {
        "title": f"Hi {slot('name')}", "deep_link": f"https://x.example/{slot('name')}", "message_ref": slot("ref"),
        "ttl_secs": 60,
    }  # fmt: skip
    message = build_message(push, target=("fid", slot("address")), expires=slot("expires"))
    filled = PayloadTemplate.compile(message, ["name", "ref", "address", "expires"]).as_dict(
        {"name": 'A"na', "ref": "m9", "address": "f1", "expires": "77"}
    )
    plain = {
        "title": 'Hi A"na',
        "deep_link": 'https://x.example/A"na',
        "message_ref": "m9",
        "ttl_secs": 60,
    }
    assert filled == build_message(plain, target=("fid", "f1"), expires="77")
    assert filled["apns"]["headers"]["apns-expiration"] == "77"


def test_the_end_of_life_counts_from_the_moment_of_sending() -> None:
    assert expiry({"ttl_secs": 3600}, 1_000.7) == "4600"
    assert expiry({"ttl_secs": 0}, 1_000) == "0"  # APNs: once, at once
    assert expiry({}, 1_000) == ""
    immortal = build_message(
        {"title": "a", "priority": "high"}, target=("token", "t"), expires=EXPIRES
    )
    assert immortal["apns"]["headers"] == {"apns-priority": "10"}


def test_a_link_that_is_one_slot_is_no_click_link_of_the_web_because_it_may_not_be_https() -> None:
    assert "fcm_options" not in build_message(
        {"deep_link": slot("link")}, target=("token", "t")
    ).get("webpush", {})


def test_odd_targets_and_long_references_are_refused() -> None:
    with pytest.raises(ValueError, match="'phone'"):
        build_message({}, target=("phone", "news"))
    with pytest.raises(ValueError, match="64 bytes"):
        build_message({"message_ref": "é" * 33}, target=("token", "t"))


def bytes_in(message: dict[str, Any]) -> int:
    """Keys and values, in UTF-8, of what FCM's message shows (of an alert, where only iOS has
    one) and of its data."""
    shown = message.get("notification") or message.get("apns", {}).get("payload", {}).get(
        "aps", {}
    ).get("alert", {})
    return sum(
        len(f"{key}{value}".encode())
        for part in (shown, message.get("data", {}))
        for key, value in part.items()
    )


@pytest.mark.parametrize(
    "changes", [{}, {"silent": True}, {"data_only": True}, {"silent": True, "data_only": True}]
)
@pytest.mark.parametrize("left_out", ["", "title", "image_url", "deep_link", "buttons", "data"])
def test_the_channel_counts_what_the_message_of_fcm_holds(
    changes: dict[str, Any], left_out: str
) -> None:
    push = {**FULL, "message_ref": "1.2.3.mac", **changes, left_out: None}
    assert AppPush().size(push) == bytes_in(build_message(push, target=("token", "t")))


# --- what arrives


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", PUSHES)
def test_both_transports_send_the_same_json(
    sender: FcmSender, account: FcmAccount, sandbox: Sandbox, name: str, kind: str
) -> None:
    assert_conform(sender, account, sandbox, PUSHES[name], TARGETS[kind])


def assert_conform(
    sender: FcmSender,
    account: FcmAccount,
    sandbox: Sandbox,
    push: dict[str, Any],
    target: tuple[str, str],
) -> None:
    token = account.mint().value
    before = last(sandbox)
    ours = sent(sender, push, target, EXPIRES)
    official_name = send_with_sdk(account, push, target=target, expires=EXPIRES)
    entries = sandbox.log(token, account.project_id, after=before)["messages"]
    assert [entry["name"] for entry in entries] == [ours.provider_id, official_name]
    assert entries[0]["message"] == entries[1]["message"]


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
LINKS = st.sampled_from(["https://x.example/a?b=1", "app://offers", "https://x.example/ünï"])
PAYLOADS = st.fixed_dictionaries(
    {"title": WORDS},
    optional={
        "body": WORDS,
        "image_url": st.just("https://x.example/a.png"),
        "icon_url": st.just("https://x.example/i.png"),
        "deep_link": LINKS,
        "buttons": st.lists(
            st.fixed_dictionaries({"text": WORDS}, optional={"url": LINKS}), max_size=3
        ),
        "data": st.dictionaries(st.sampled_from(["screen", "id", "x_y"]), WORDS, max_size=3),
        "ttl_secs": st.integers(0, 28 * 86400),
        "priority": st.sampled_from(["high", "normal"]),
        "collapse_key": st.sampled_from(["sale", "news"]),
        "badge": st.integers(0, 9999),
        "sound": st.sampled_from(["default", "chime.wav"]),
        "android_channel": st.just("offers"),
        "silent": st.booleans(),
        "data_only": st.booleans(),
        "message_ref": st.just("m-1"),
    },
)


@given(push=PAYLOADS, kind=st.sampled_from(sorted(TARGETS)))
@settings(max_examples=40)
def test_any_payload_is_the_same_by_both_transports(
    sender: FcmSender, account: FcmAccount, sandbox: Sandbox, push: dict[str, Any], kind: str
) -> None:
    assert_conform(sender, account, sandbox, push, TARGETS[kind])


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (("topic", "/topics/news"), "Invalid topic name"),
        (("topic", "two words"), "Invalid topic name"),
        (("condition", "news"), "Invalid condition"),
        (("condition", "'a' in topics &&"), "Invalid condition"),
        (("condition", "('a' in topics"), "Invalid condition"),
        (("condition", " || ".join(f"'t{n}' in topics" for n in range(6))), "Invalid condition"),
    ],
)
def test_the_sandbox_refuses_wrong_topics_and_conditions_as_a_wrong_payload(
    sender: FcmSender, sandbox: Sandbox, target: tuple[str, str], field: str
) -> None:
    outcome = sent(sender, {"title": "Hi"}, target)
    assert outcome.verdict is Verdict.PAYLOAD_WRONG
    assert field in outcome.detail


def test_a_topic_takes_half_of_what_a_device_takes(sender: FcmSender, sandbox: Sandbox) -> None:
    push = {"title": "Hi", "data": {"k": "x" * 2100}}
    assert sent(sender, push, TARGETS["token"]).verdict is Verdict.ACCEPTED
    assert "too big" in sent(sender, push, TARGETS["topic"]).detail
    assert "too big" in sent(sender, push, TARGETS["condition"]).detail


# --- the validate-only test


def test_a_good_message_passes_the_check_and_nothing_is_delivered(
    account: FcmAccount, sandbox: Sandbox
) -> None:
    before = last(sandbox)
    for target in (None, TARGETS["topic"], TARGETS["condition"]):
        result = check_message(account, FULL, target=target)
        assert (result.ok, result.message) == (
            True,
            "The sandbox checked the message and would send it.",
        )
    assert last(sandbox) == before


@pytest.mark.parametrize(
    ("push", "says"),
    [
        ({"title": "a", "data": {"from": "x"}}, "Google said: Invalid data payload key: from"),
        ({"title": "a", "ttl_secs": 29 * 86400}, "Google said: Invalid ttl"),
        ({"title": "a", "image_url": "picture"}, "Google said: Invalid image URL: picture"),
        ({"title": "a", "data": {"k": "x" * 4200}}, "Google said: Message too big"),
        ({"title": "a", "badge": "many"}, "cannot be built"),
    ],
)
def test_a_wrong_message_fails_the_check_with_the_reason(
    account: FcmAccount, sandbox: Sandbox, push: dict[str, Any], says: str
) -> None:
    result = check_message(account, push)
    assert not result.ok
    assert says in result.message, result.message
