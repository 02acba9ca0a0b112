"""Our neutral push payload as FCM's `message`."""

import time
from collections.abc import Mapping
from typing import Any

from campaigns.channels.payload import Json, has_slot

COLLAPSE_ID_LIMIT_BYTES = 64
"""APNs' limit of apns-collapse-id."""
KINDS = ("token", "fid", "topic", "condition")
IOS_CATEGORY = "pp_buttons"
"""The category that an iOS app registers to show buttons."""

_PRIORITY_APNS = {"high": "10", "normal": "5"}


def build_message(push: Mapping[str, Any], *, target: tuple[str, str], expires: str = "") -> Json:
    """Return FCM's `message` for a neutral payload.

    `push`: title, body, image_url, icon_url, deep_link, buttons [{text, url}], data {str: str},
    ttl_secs, priority ("high" | "normal"), collapse_key, badge, sound, android_channel, silent,
    data_only, message_ref; what is missing or empty is left out. Any string but the collapse key
    may hold slots, except that a deep link becomes the web push's click link only when its fixed
    part starts with https:// (FCM refuses any other). `target`: one of KINDS with the address,
    the topic's name without /topics/, or the condition. `expires`: what `expiry` says, or the
    slot that will hold it: iOS has no time-to-live but an end.

    `message_ref` is data.pp_ref. The collapse key, else the reference, is also the
    notification's tag (Android, web) and apns-collapse-id: a copy replaces the first, and a
    message of the same key the older one. A button is data.pp_button_N_text / _url (flat,
    because a slot inside JSON inside JSON would need escaping twice).

    A silent push carries no notification. A data_only one has none on Android, where the app
    draws it from data.pp_title, pp_body and pp_image; iOS and browsers still show it by
    themselves.

    Raises ValueError for an unknown kind of target, for a collapse key that differs by recipient
    (a device keeps four) and for a key or a message_ref over 64 bytes (without slots).
    """
    kind, address = target
    if kind not in KINDS:
        raise ValueError(f"a push goes to a {', a '.join(KINDS)}, not to a {kind!r}")
    if has_slot(str(push.get("collapse_key") or "")):
        raise ValueError("the collapse key is the same for everybody")
    replaces = replaced_by(push)
    if not has_slot(replaces) and len(replaces.encode()) > COLLAPSE_ID_LIMIT_BYTES:
        name = "message_ref"
        if push.get("collapse_key"):
            name = "collapse_key"
        raise ValueError(f"{name} is longer than {COLLAPSE_ID_LIMIT_BYTES} bytes")
    hidden = push.get("silent") or push.get("data_only")
    message: Json = {
        kind: address,
        "notification": {} if hidden else _notification(push),
        "data": data_of(push),
        "android": _android(push),
        "apns": _apns(push, expires),
        "webpush": _webpush(push),
    }
    return {name: value for name, value in message.items() if value}


def envelope(message: Json, *, validate_only: bool = False) -> Json:
    """The request body around a message. `validate_only`: FCM checks everything and delivers
    nothing."""
    if validate_only:
        return {"message": message, "validate_only": True}
    return {"message": message}


def expiry(push: Mapping[str, Any], sent_at: float | None = None) -> str:
    """When a message sent at `sent_at` (epoch seconds; None: now) dies undelivered, in epoch
    seconds as APNs wants it. "0": now or never. "": the payload sets no time-to-live."""
    ttl_secs = push.get("ttl_secs")
    if ttl_secs is None:
        return ""
    if not ttl_secs:
        return "0"
    start = time.time() if sent_at is None else sent_at
    return str(int(start + int(ttl_secs)))


def buttons(push: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(action id, text, url) of each button, numbered from 1."""
    listed = enumerate(push.get("buttons") or (), start=1)
    return [
        (f"pp_button_{n}", str(button["text"]), str(button.get("url") or ""))
        for n, button in listed
    ]


def replaced_by(push: Mapping[str, Any]) -> str:
    """What a later message must carry to replace this one on the device."""
    return str(push.get("collapse_key") or push.get("message_ref") or "")


def web_link(push: Mapping[str, Any]) -> str:
    """The link a web push opens: the deep link when it is certainly https, else nothing."""
    link = str(push.get("deep_link") or "")
    if link.startswith("https://"):
        return link
    return ""


def data_of(push: Mapping[str, Any]) -> Json:
    """What the app gets: the workspace's own data under ours."""
    ours: Json = {"pp_ref": push.get("message_ref"), "pp_link": push.get("deep_link")}
    if push.get("data_only") and not push.get("silent"):
        ours |= {
            "pp_title": push.get("title"),
            "pp_body": push.get("body"),
            "pp_image": push.get("image_url"),
        }
    for action, text, url in buttons(push):
        ours[f"{action}_text"], ours[f"{action}_url"] = text, url
    return {**(push.get("data") or {}), **_filled(ours)}


def apns_headers(push: Mapping[str, Any], expires: str) -> dict[str, str]:
    """APNs wants background pushes marked and at priority 5; expiration in epoch seconds, 0 =
    now or never."""
    silent = bool(push.get("silent"))
    priority = "5" if silent else _PRIORITY_APNS.get(str(push.get("priority") or ""), "")
    return _filled(
        {
            "apns-collapse-id": replaced_by(push),
            "apns-priority": priority,
            "apns-push-type": "background" if silent else "",
            "apns-expiration": "" if push.get("ttl_secs") is None else expires,
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
    return _filled(
        {"title": push.get("title"), "body": push.get("body"), "image": push.get("image_url")}
    )


def _android(push: Mapping[str, Any]) -> Json:
    ttl_secs = push.get("ttl_secs")
    notification = {
        "tag": replaced_by(push),
        "sound": push.get("sound"),
        "channel_id": push.get("android_channel"),
        "notification_count": push.get("badge"),
    }
    hidden = push.get("silent") or push.get("data_only")
    return _filled(
        {
            "priority": push.get("priority"),
            "ttl": None if ttl_secs is None else f"{int(ttl_secs)}s",
            "collapse_key": push.get("collapse_key"),
            "notification": {} if hidden else _filled(notification),
        }
    )


def _apns(push: Mapping[str, Any], expires: str) -> Json:
    image = push.get("image_url")
    if push.get("silent"):
        aps: Json = {"content-available": 1}
    else:
        alert = {}
        if push.get("data_only"):
            alert = _filled({"title": push.get("title"), "body": push.get("body")})
        aps = _filled(
            {
                "alert": alert,
                "badge": push.get("badge"),
                "sound": push.get("sound"),
                "category": IOS_CATEGORY if push.get("buttons") else "",
                "mutable-content": 1 if image else None,
            }
        )
    return _filled(
        {
            "headers": apns_headers(push, expires),
            "payload": _filled({"aps": aps}),
            "fcm_options": {} if push.get("silent") else _filled({"image": image}),
        }
    )


def _webpush(push: Mapping[str, Any]) -> Json:
    if push.get("silent"):
        return _filled({"headers": web_headers(push)})
    texts = {}
    if push.get("data_only"):
        texts = {"title": push.get("title"), "body": push.get("body")}
    notification = {
        **texts,
        "icon": push.get("icon_url"),
        "image": push.get("image_url"),
        "tag": replaced_by(push),
        "actions": [{"action": action, "title": text} for action, text, _ in buttons(push)],
    }
    return _filled(
        {
            "headers": web_headers(push),
            "notification": _filled(notification),
            "fcm_options": _filled({"link": web_link(push)}),
        }
    )
