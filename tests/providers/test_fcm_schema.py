"""What the sandbox takes for a message: Google's schema with what protobuf forgives, and FCM's
own rules."""

import json
from pathlib import Path
from typing import Any

import pytest

from delivery.providers.fcm.account import FcmAccount
from delivery.providers.fcm.sandbox import schema
from tests.providers.sandbox_server import Sandbox, send, to

pytestmark = pytest.mark.once

LIGHTS = {"color": {"red": 1}, "light_on_duration": "1s", "light_off_duration": "1s"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    (
        {"data": {"k": 12}},
        "message.data[0].value",
        "Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
    ),
    ({"data": {"k": None}}, "message.data[0].value", "(TYPE_STRING), null"),
    ({"data": {"from": "x"}}, "message.data", "Invalid data payload key: from"),
    ({"data": {"google.x": "x"}}, "message.data", "Invalid data payload key"),
    ({"data": {"gcm.notification.title": "x"}}, "message.data", "Invalid data payload key"),
    ({"data": {"k": "x" * 4096}}, "message", "Message too big"),
    (
        {"android": {"foo": 1}},
        "message.android",
        "Unknown name \"foo\" at 'message.android': Cannot find field.",
    ),
    ({"android": {"ttl": "60"}}, "message.android.ttl", "Illegal duration format"),
    ({"android": {"ttl": "9999999s"}}, "message.android.ttl", "Invalid ttl"),
    ({"android": {"ttl": "-1s"}}, "message.android.ttl", "Invalid ttl"),
    ({"android": {"priority": "loud"}}, "message.android.priority", "AndroidMessagePriority"),
    (
        {"android": {"notification": {"notification_count": 2**31}}},
        "message.android.notification.notification_count",
        "INT32",
    ),
    (
        {"android": {"notification": {"sticky": 1}}},
        "message.android.notification.sticky",
        "TYPE_BOOL",
    ),
    ({"notification": {"image": "not a url"}}, "message.notification.image", "Invalid image URL"),
    ({"notification": "hello"}, "message.notification", "Invalid value"),
    ({"apns": {"payload": []}}, "message.apns.payload", "Struct"),
    ({"apns": {"headers": {"apns-collapse-id": "x" * 65}}}, "message.apns.headers", "64 bytes"),
    (
        {"webpush": {"fcm_options": {"link": "http://x.example"}}},
        "message.webpush.fcm_options.link",
        "HTTPS",
    ),
    (
        {"android": {"notification": {"notification_count": "1.5"}}},
        "message.android.notification.notification_count",
        "INT32",
    ),
    ({"android": {"priority": 2}}, "message.android.priority", "AndroidMessagePriority"),
    (
        {"android": {"notification": {"event_time": "tomorrow"}}},
        "message.android.notification.event_time",
        "Timestamp",
    ),
    (
        {"android": {"notification": {"event_time": "2026-02-30T10:00:00Z"}}},
        "message.android.notification.event_time",
        "Timestamp",
    ),
    (
        {"android": {"notification": {"color": "red"}}},
        "message.android.notification.color",
        "#RRGGBB",
    ),
    (
        {"android": {"notification": {"light_settings": {**LIGHTS, "color": {"red": 255}}}}},
        "message.android.notification.light_settings.color.red",
        "[0, 1]",
    ),
    (
        {"android": {"notification": {"light_settings": {"color": {}}}}},
        "message.android.notification.light_settings.light_on_duration",
        "required",
    ),
    (
        {"fcm_options": {"analytics_label": "two words"}},
        "message.fcm_options.analytics_label",
        "label",
    ),
    (
        {"webpush": {"fcm_options": {"analytics_label": "x" * 51}}},
        "message.webpush.fcm_options.analytics_label",
        "label",
    ),
    ({"android": {"data": {"k": "x" * 4096}}}, "message", "Android message is too big"),
    ({"android_v2": {"data": {"k": "x" * 4096}}}, "message", "Android message is too big"),
    ({"webpush": {"data": {"k": "x" * 4096}}}, "message", "Webpush message is too big"),
    ({"webpush": {"notification": {"body": "x" * 4096}}}, "message", "Webpush message is too big"),
    ({"apns": {"payload": {"aps": {"alert": "x" * 4096}}}}, "message", "APNs payload is too big"),
    ({"android_v2": {"priority": "HIGH"}}, "message.android_v2", "Unknown name"),
    ({"androidV2": {"ttl": "9999999s"}}, "message.android_v2.ttl", "Invalid ttl"),
    ({"topic": "news"}, "message", "oneof field 'target' is already set"),
    ({"token": "", "fid": ""}, "message", "Recipient of the message is not set."),
]


@pytest.mark.parametrize(
    ("fields", "field", "says"), WRONG, ids=[f"{n}-{case[1]}" for n, case in enumerate(WRONG)]
)
def test_a_wrong_message_is_refused_with_its_field(
    sandbox: Sandbox, account: FcmAccount, fields: dict[str, Any], field: str, says: str
) -> None:
    answer = send(sandbox, account, {"message": {"token": "sbx_ok_1", **fields}})
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
    [detail] = [d for d in error["details"] if d["@type"].endswith("BadRequest")]
    assert detail["fieldViolations"][0]["field"] == field
    assert says in detail["fieldViolations"][0]["description"]


def test_camel_case_names_and_nulls_are_fine_as_in_protobuf(
    sandbox: Sandbox, account: FcmAccount
) -> None:
    message = {
        "android": {"collapseKey": "k", "notification": None},
        "fcmOptions": {"analyticsLabel": "a"},
    }
    assert send(sandbox, account, to("sbx_ok_1", **message)).ok


FORGIVEN: list[dict[str, Any]] = [
    {"android": {"notification": {"notification_count": "5"}}},
    {"android": {"notification": {"notificationCount": 5.0}}},
    {"android": {"priority": 1}},
    {"android": {"priority": "1"}},
    {"android": {"priority": "high"}},
    {
        "android": {
            "notification": {
                "notification_priority": 5,
                "visibility": "public",
                "proxy": "if-priority-lowered",
            }
        }
    },
    {"android": {"notification": {"sticky": "true", "color": "#00ff7F"}}},
    {"android": {"notification": {"event_time": "2026-10-23T08:00:00.123456789+05:30"}}},
    {
        "android": {
            "notification": {"light_settings": {**LIGHTS, "color": {"red": "0.5", "alpha": 1}}}
        }
    },
    {"android": {"data": {"k": "x" * 4000}}, "data": {"k": "y" * 4000}},
    {
        "androidV2": {
            "remoteNotification": {
                "notification": {"id": "7", "title": "Hello"},
                "mutableContent": True,
            }
        }
    },
    {"android_v2": {"background_sync": {}, "data": {"k": "v"}}},
    {"fcm_options": {"analytics_label": "a-b_c.d~e%f"}},
]


@pytest.mark.parametrize("fields", FORGIVEN, ids=str)
def test_what_protobuf_forgives_is_accepted(
    sandbox: Sandbox, account: FcmAccount, fields: dict[str, Any]
) -> None:
    answer = send(sandbox, account, to("sbx_ok_1", **fields))
    assert answer.ok, answer.text


def test_the_sandbox_knows_every_field_of_googles_discovery_document_and_no_other() -> None:
    google = json.loads((Path(__file__).parent / "fcm_v1.json").read_text())["messages"]

    def kind(known: str) -> Any:
        lead, _, of = known.partition(" ")
        return list(schema.ENUMS[of]) if lead == "enum" else [kind(of)] if lead == "list" else known

    ours = {
        name: {schema._camel(field): kind(known) for field, known in fields.items()}
        for name, fields in schema.MESSAGES.items()
    }
    assert ours == google
