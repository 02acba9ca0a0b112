"""Our neutral push payload as FCM's `message`, and how many bytes of it FCM counts."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from delivery.channels.base import Json, has_slot

PAYLOAD_LIMIT_BYTES = 4096
"""FCM's limit for messages to one device (2,048 to topics). Source: FCM ErrorCode, "Message too big"."""
COLLAPSE_ID_LIMIT_BYTES = 64
"""APNs' limit of apns-collapse-id."""

_PRIORITY_APNS = {"high": "10", "normal": "5"}


def build_message(push: Mapping[str, Any], *, target: tuple[str, str], now: datetime | None = None) -> Json:
    """Return FCM's `message` for a neutral payload.

    `push`: title, body, image_url, deep_link, buttons [{text, url}], data {str: str}, ttl_secs, priority ("high" |
    "normal"), collapse_key, badge, sound, android_channel, silent, message_ref; what is missing or empty is left out.
    Any string may hold slots, except that a deep link becomes the web push's click link only when its fixed part
    starts with https:// (FCM refuses any other). `target`: ("token" | "fid", value). iOS has no time-to-live but an
    end, so ttl_secs reaches it only when `now` is given.

    `message_ref` is data.pp_ref, and the notification's tag (Android, web) and apns-collapse-id, so that a copy
    replaces the first. A button is data.pp_button_N_text / _url (flat, because a slot inside JSON inside JSON would
    need escaping twice). A silent push carries no notification.

    Raises ValueError for an unknown kind of target and for a message_ref over 64 bytes (without slots).
    """
    kind, address = target
    if kind not in ("token", "fid"):
        raise ValueError(f"a push goes to a token or a fid, not to {kind!r}")
    ref = str(push.get("message_ref") or "")
    if not has_slot(ref) and len(ref.encode()) > COLLAPSE_ID_LIMIT_BYTES:
        raise ValueError(f"message_ref is longer than {COLLAPSE_ID_LIMIT_BYTES} bytes")
    message: Json = {
        kind: address,
        "notification": {} if push.get("silent") else _notification(push),
        "data": _data(push, ref),
        "android": _android(push, ref),
        "apns": _apns(push, ref, now),
        "webpush": _webpush(push, ref),
    }
    return {name: value for name, value in message.items() if value}


def envelope(message: Json, *, validate_only: bool = False) -> Json:
    """The request body around a message. `validate_only`: FCM checks everything and delivers nothing."""
    return {"message": message, "validate_only": True} if validate_only else {"message": message}


def payload_bytes(message: Mapping[str, Any]) -> int:
    """Bytes of a filled message that count towards PAYLOAD_LIMIT_BYTES.

    FCM says "the total size of the payload data, keys and values" and does not publish the formula. We count keys
    and values of `notification` and `data` in UTF-8, without JSON's quotes, as its legacy reference did; platform
    blocks add tens of bytes, so lint warns before the limit.
    """
    return _text_bytes(message.get("notification", {})) + _text_bytes(message.get("data", {}))


def _text_bytes(fields: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode("utf-8", "replace")) for name, value in fields.items())


def buttons(push: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(action id, text, url) of each button, numbered from 1."""
    listed = enumerate(push.get("buttons") or (), start=1)
    return [(f"pp_button_{n}", str(button["text"]), str(button.get("url") or "")) for n, button in listed]


def web_link(push: Mapping[str, Any]) -> str:
    """The link a web push opens: the deep link when it is certainly https, else nothing."""
    link = str(push.get("deep_link") or "")
    return link if link.startswith("https://") else ""


def apns_headers(push: Mapping[str, Any], ref: str, now: datetime | None) -> dict[str, str]:
    """APNs wants background pushes marked and at priority 5; expiration in epoch seconds, 0 = now or never."""
    silent = bool(push.get("silent"))
    priority = "5" if silent else _PRIORITY_APNS.get(str(push.get("priority") or ""), "")
    ttl_secs = push.get("ttl_secs")
    expiration = ""
    if ttl_secs is not None and now is not None:
        expiration = str(int((now + timedelta(seconds=int(ttl_secs))).timestamp())) if ttl_secs else "0"
    return _filled(
        {
            "apns-collapse-id": ref,
            "apns-priority": priority,
            "apns-push-type": "background" if silent else "",
            "apns-expiration": expiration,
        }
    )


def web_headers(push: Mapping[str, Any]) -> dict[str, str]:
    """Web push has its own TTL and urgency (RFC 8030)."""
    ttl_secs = push.get("ttl_secs")
    ttl = "" if ttl_secs is None else str(int(ttl_secs))
    return _filled({"TTL": ttl, "Urgency": str(push.get("priority") or "")})


def _filled(fields: Mapping[str, Any]) -> Json:
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}


def _notification(push: Mapping[str, Any]) -> Json:
    return _filled({"title": push.get("title"), "body": push.get("body"), "image": push.get("image_url")})


def _data(push: Mapping[str, Any], ref: str) -> Json:
    ours: Json = {"pp_ref": ref, "pp_link": push.get("deep_link")}
    for action, text, url in buttons(push):
        ours[f"{action}_text"], ours[f"{action}_url"] = text, url
    return {**(push.get("data") or {}), **_filled(ours)}


def _android(push: Mapping[str, Any], ref: str) -> Json:
    ttl_secs = push.get("ttl_secs")
    notification = {
        "tag": ref,
        "sound": push.get("sound"),
        "channel_id": push.get("android_channel"),
        "notification_count": push.get("badge"),
    }
    return _filled(
        {
            "priority": push.get("priority"),
            "ttl": None if ttl_secs is None else f"{int(ttl_secs)}s",
            "collapse_key": push.get("collapse_key"),
            "notification": {} if push.get("silent") else _filled(notification),
        }
    )


def _apns(push: Mapping[str, Any], ref: str, now: datetime | None) -> Json:
    image = push.get("image_url")
    if push.get("silent"):
        aps: Json = {"content-available": 1}
    else:
        aps = _filled(
            {
                "badge": push.get("badge"),
                "sound": push.get("sound"),
                "category": "pp_buttons" if push.get("buttons") else "",
                "mutable-content": 1 if image else None,
            }
        )
    return _filled(
        {
            "headers": apns_headers(push, ref, now),
            "payload": _filled({"aps": aps}),
            "fcm_options": {} if push.get("silent") else _filled({"image": image}),
        }
    )


def _webpush(push: Mapping[str, Any], ref: str) -> Json:
    if push.get("silent"):
        return _filled({"headers": web_headers(push)})
    actions = [{"action": action, "title": text} for action, text, _ in buttons(push)]
    return _filled(
        {
            "headers": web_headers(push),
            "notification": _filled({"tag": ref, "actions": actions}),
            "fcm_options": _filled({"link": web_link(push)}),
        }
    )
