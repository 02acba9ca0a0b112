"""Is this a valid FCM message? First as Google's front end checks JSON against the schema, then
as FCM does.

Sources: FCM's REST reference and ErrorCode page; where Google publishes no formula (sizes), the
comment says ours.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from delivery.providers.fcm.sandbox.replies import Violation, bad_json, invalid_argument
from delivery.providers.fcm.sandbox.schema import Json, read_request

LIMIT_BYTES = 4096
TOPIC_LIMIT_BYTES = 2048
CONDITION_LIMIT_TOPICS = 5
TTL_LIMIT_SECS = 28 * 24 * 3600
TARGETS = ("token", "fid", "topic", "condition")

_WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)
_TOPIC = re.compile(r"[a-zA-Z0-9-_.~%]+")
_IN_TOPICS = re.compile(r"'[a-zA-Z0-9-_.~%]+' in topics")
_REDUCIBLE = re.compile("\\( *\0 *\\)|\0 *(&&|\\|\\|) *\0")
_RESERVED_KEYS = frozenset({"from", "message_type", "gcm", "google", "notification"})
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LABEL = re.compile(r"[a-zA-Z0-9-_.~%]{1,50}")
# Where FCM takes a label of its analytics, an image, an Android notification.
_OPTIONS = (
    "fcm_options",
    "android.fcm_options",
    "android_v2.fcm_options",
    "apns.fcm_options",
    "webpush.fcm_options",
)
_ANDROID_NOTIFICATIONS = ("android.notification", "android_v2.remote_notification.notification")
_IMAGES = ("notification", *_ANDROID_NOTIFICATIONS, "apns.fcm_options")


def check_request(request: Any) -> tuple[Json, bool]:
    """Return (message, validate_only) of a decoded request body, the message's names in
    snake_case. Raises Reply with what Google says otherwise."""
    read, violations = read_request(request)
    if violations:
        raise bad_json(violations[:20])
    message = read.get("message")
    if message is None:
        raise invalid_argument(Violation("message", "Message is not set."))
    _check_message(message)
    return message, bool(read.get("validate_only"))


def target_of(message: Json) -> tuple[str, str]:
    """The one (kind, address) of a checked message."""
    kind = next(name for name in TARGETS if message.get(name))
    return kind, message[kind]


def _check_message(message: Json) -> None:
    targets = [name for name in TARGETS if message.get(name)]
    if not targets:
        raise invalid_argument(Violation("message", "Recipient of the message is not set."))
    if len(targets) > 1:
        why = (
            "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot "
            f"set '{targets[1]}'"
        )
        raise bad_json([Violation("message", why)])
    for violation in (*_fanout(message), *_message_violations(message)):
        raise invalid_argument(violation)
    limit = TOPIC_LIMIT_BYTES
    if targets[0] in ("token", "fid"):
        limit = LIMIT_BYTES
    for lead, size in _sizes(message):
        if size > limit:
            raise invalid_argument(Violation("message", f"{lead} too big"))


def _sizes(message: Json) -> Iterator[tuple[str, int]]:
    """(what Google calls it, bytes) of the message and of what each platform gets in its place.

    Google does not publish the formula. Keys and values of notification and data are counted, of
    a platform's block where it overrides them; of what goes to a push service as it is, its
    JSON.
    """
    shown, data = message.get("notification") or {}, message.get("data") or {}
    yield "Message", _text_bytes(shown) + _text_bytes(data)
    for version, notification in zip(
        ("android", "android_v2"), _ANDROID_NOTIFICATIONS, strict=True
    ):
        own = {
            name: text
            for name, text in _at(message, notification).items()
            if name in ("title", "body", "image")
        }
        yield (
            "Android message is",
            _text_bytes(shown | own) + _text_bytes(_at(message, version).get("data") or data),
        )
    webpush = message.get("webpush") or {}
    yield (
        "Webpush message is",
        _text_bytes(webpush.get("data") or {}) + _json_bytes(webpush.get("notification")),
    )
    yield "APNs payload is", _json_bytes(_at(message, "apns.payload"))


def _text_bytes(fields: Json) -> int:
    return sum(len(key.encode()) + len((value or "").encode()) for key, value in fields.items())


def _json_bytes(value: Any) -> int:
    if value:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    return 0


def _at(message: Json, path: str) -> Json:
    for name in path.split("."):
        message = message.get(name) or {}
    return message


def _fanout(message: Json) -> Iterator[Violation]:
    """Is the topic's name one, does the condition parse?"""
    topic, condition = message.get("topic"), message.get("condition")
    if topic and not _TOPIC.fullmatch(topic):
        yield Violation("message.topic", f"Invalid topic name: {topic[:100]}")
    if condition:
        reduced, topics = _IN_TOPICS.subn("\0", condition)
        for _ in range(20):  # deeper than anybody nests five topics
            reduced = _REDUCIBLE.sub("\0", reduced)
        if reduced.strip() != "\0" or not 0 < topics <= CONDITION_LIMIT_TOPICS:
            yield Violation("message.condition", "Invalid condition expression provided.")


def _message_violations(message: Json) -> Iterator[Violation]:
    for path in ("data", "android.data", "android_v2.data"):
        yield from _reserved(_at(message, path), f"message.{path}")
    for path in _IMAGES:
        yield from _image(_at(message, path), f"message.{path}.image")
    for path in ("android", "android_v2"):
        yield from _ttl(_at(message, path).get("ttl"), f"message.{path}.ttl")
    for path in _ANDROID_NOTIFICATIONS:
        yield from _colours(_at(message, path), f"message.{path}")
    for path in _OPTIONS:
        label = _at(message, path).get("analytics_label")
        if label and not _LABEL.fullmatch(label):
            why = f"Invalid analytics label: {label[:100]}. It must match [a-zA-Z0-9-_.~%]{{1,50}}"
            yield Violation(f"message.{path}.analytics_label", why)
    yield from _apns_headers(_at(message, "apns.headers"))
    link = _at(message, "webpush.fcm_options").get("link")
    if link and not link.startswith("https://"):
        yield Violation(
            "message.webpush.fcm_options.link", "WebpushFcmOptions.link must be a HTTPS URL."
        )


def _reserved(data: Json, path: str) -> Iterator[Violation]:
    for key in data:
        if key in _RESERVED_KEYS or key.startswith(("google.", "gcm.")):
            yield Violation(path, f"Invalid data payload key: {key[:100]}")


def _image(fields: Json, path: str) -> Iterator[Violation]:
    image = fields.get("image")
    if image and not _WEB_ADDRESS.fullmatch(image):
        yield Violation(path, f"Invalid image URL: {image[:200]}")


def _colours(notification: Json, path: str) -> Iterator[Violation]:
    colour, lights = notification.get("color"), notification.get("light_settings")
    if colour and not _COLOUR.fullmatch(colour):
        yield Violation(
            f"{path}.color", f"Invalid color: {colour[:50]}. It must be in the form #RRGGBB"
        )
    if lights is None:
        return
    for name in ("color", "light_on_duration", "light_off_duration"):
        if lights.get(name) is None:
            yield Violation(f"{path}.light_settings.{name}", f"LightSettings.{name} is required.")
    for name, share in (lights.get("color") or {}).items():
        if not 0 <= share <= 1:
            yield Violation(
                f"{path}.light_settings.color.{name}", f"{name} must be in the interval [0, 1]."
            )


def _ttl(ttl: str | None, path: str) -> Iterator[Violation]:
    if ttl is not None and not 0 <= float(ttl[:-1]) <= TTL_LIMIT_SECS:
        yield Violation(path, f"Invalid ttl: it must be between 0 and {TTL_LIMIT_SECS} seconds")


def _apns_headers(headers: Json) -> Iterator[Violation]:
    for name, value in headers.items():
        lowered = name.lower()
        if lowered == "apns-collapse-id" and len(value.encode()) > 64:
            yield Violation("message.apns.headers", "apns-collapse-id must not exceed 64 bytes")
        if lowered == "apns-priority" and value not in ("1", "5", "10"):
            yield Violation("message.apns.headers", f"Invalid apns-priority: {value[:20]}")
