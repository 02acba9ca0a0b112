"""Is this a valid FCM message? First as Google's front end checks JSON against the protobuf schema, then as FCM does.

Source of the schema: FCM REST reference, projects.messages (as of the `fid` target). Names are accepted in snake_case
and camelCase, null means unset, as protobuf's JSON mapping says.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from delivery.channels.sandbox.replies import Violation, bad_json, invalid_argument

Json = dict[str, Any]
LIMIT_BYTES = 4096
TOPIC_LIMIT_BYTES = 2048
CONDITION_LIMIT_TOPICS = 5
TTL_LIMIT_SECS = 28 * 24 * 3600
TARGETS = ("token", "fid", "topic", "condition")

Check = Callable[[Any, str], Iterator[Violation]]
_CAMEL = re.compile(r"(?<=[a-z])([A-Z])")
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)
_TOPIC = re.compile(r"[a-zA-Z0-9-_.~%]+")
_IN_TOPICS = re.compile(r"'[a-zA-Z0-9-_.~%]+' in topics")
_REDUCIBLE = re.compile("\\( *\0 *\\)|\0 *(&&|\\|\\|) *\0")
_RESERVED_KEYS = frozenset({"from", "message_type", "gcm", "google", "notification"})


def _shown(value: Any) -> str:
    return json.dumps(value)[:200]


def _invalid(path: str, kind: str, value: Any) -> Violation:
    return Violation(path, f"Invalid value at '{path}' ({kind}), {_shown(value)}")


def _scalar(types: tuple[type, ...], kind: str) -> Check:
    def check(value: Any, path: str) -> Iterator[Violation]:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            yield _invalid(path, kind, value)

    return check


_STRING = _scalar((str,), "TYPE_STRING")
_BOOL = _scalar((bool,), "TYPE_BOOL")
_NUMBER = _scalar((int, float), "TYPE_FLOAT")


def _int32(value: Any, path: str) -> Iterator[Violation]:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
        yield _invalid(path, "TYPE_INT32", value)


def _struct(value: Any, path: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield _invalid(path, "type.googleapis.com/google.protobuf.Struct", value)


def _duration(value: Any, path: str) -> Iterator[Violation]:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        why = "Illegal duration format; duration must end with 's'"
        name = path.rpartition(".")[2]
        kind = "type.googleapis.com/google.protobuf.Duration"
        yield Violation(path, f"Invalid value at '{path}' ({kind}), Field '{name}', {why}")


def _enum(name: str, *values: str) -> Check:
    def check(value: Any, path: str) -> Iterator[Violation]:
        if not isinstance(value, str) or value.upper() not in values:
            yield _invalid(path, f"type.googleapis.com/google.firebase.fcm.v1.{name}", value)

    return check


def _string_map(value: Any, path: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield _invalid(path, "map", value)
        return
    for index, entry in enumerate(value.values()):
        yield from _STRING(entry, f"{path}[{index}].value")


def _list(each: Check) -> Check:
    def check(value: Any, path: str) -> Iterator[Violation]:
        if not isinstance(value, list):
            yield _invalid(path, "repeated", value)
            return
        for index, entry in enumerate(value):
            yield from each(entry, f"{path}[{index}]")

    return check


def _fields(**known: Check) -> Check:
    def check(value: Any, path: str) -> Iterator[Violation]:
        if not isinstance(value, dict):
            yield _invalid(path, "message", value)
            return
        for name, entry in value.items():
            each = known.get(name) or known.get(_CAMEL.sub(lambda found: "_" + found[1].lower(), name))
            if each is None:
                why = f"Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."
                yield Violation(path, why)
            elif entry is not None:
                yield from each(entry, f"{path}.{name}")

    return check


_LABEL = _fields(analytics_label=_STRING)
_COLOR = _fields(red=_NUMBER, green=_NUMBER, blue=_NUMBER, alpha=_NUMBER)
_LIGHTS = _fields(color=_COLOR, light_on_duration=_duration, light_off_duration=_duration)


def _alike(names: str, each: Check) -> dict[str, Check]:
    return dict.fromkeys(names.split(), each)


_ANDROID_NOTIFICATION = _fields(
    **_alike("title body icon color sound tag click_action body_loc_key title_loc_key channel_id", _STRING),
    **_alike("ticker image event_time", _STRING),
    **_alike("sticky local_only default_sound default_vibrate_timings default_light_settings", _BOOL),
    **_alike("bypass_proxy_notification", _BOOL),
    body_loc_args=_list(_STRING),
    title_loc_args=_list(_STRING),
    vibrate_timings=_list(_duration),
    notification_count=_int32,
    light_settings=_LIGHTS,
    notification_priority=_enum(
        "AndroidNotification.NotificationPriority",
        *(f"PRIORITY_{level}" for level in ("UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX")),
    ),
    visibility=_enum("AndroidNotification.Visibility", "VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
    proxy=_enum("AndroidNotification.Proxy", "PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
)
_ANDROID = _fields(
    collapse_key=_STRING,
    priority=_enum("AndroidConfig.AndroidMessagePriority", "NORMAL", "HIGH"),
    ttl=_duration,
    restricted_package_name=_STRING,
    data=_string_map,
    notification=_ANDROID_NOTIFICATION,
    fcm_options=_LABEL,
    direct_boot_ok=_BOOL,
    bandwidth_constrained_ok=_BOOL,
    restricted_satellite_ok=_BOOL,
)
_APNS = _fields(
    headers=_string_map,
    payload=_struct,
    fcm_options=_fields(analytics_label=_STRING, image=_STRING),
    live_activity_token=_STRING,
)
_WEBPUSH = _fields(
    headers=_string_map,
    data=_string_map,
    notification=_struct,
    fcm_options=_fields(link=_STRING, analytics_label=_STRING),
)
_MESSAGE = _fields(
    name=_STRING,
    data=_string_map,
    notification=_fields(title=_STRING, body=_STRING, image=_STRING),
    android=_ANDROID,
    webpush=_WEBPUSH,
    apns=_APNS,
    fcm_options=_LABEL,
    **dict.fromkeys(TARGETS, _STRING),
)
_REQUEST = {"message": _MESSAGE, "validate_only": _BOOL}


def check_request(request: Any) -> tuple[Json, bool]:
    """Return (message, validate_only) of a decoded request body. Raises Reply with what Google says otherwise."""
    violations = list(_request_violations(request))
    if violations:
        raise bad_json(violations[:20])
    message = request.get("message")
    if message is None:
        raise invalid_argument(Violation("message", "Message is not set."))
    validate_only = request.get("validate_only") or request.get("validateOnly")
    _check_message(message)
    return message, bool(validate_only)


def _request_violations(request: Any) -> Iterator[Violation]:
    if not isinstance(request, dict):
        yield Violation("", "Invalid JSON payload received. Root element must be a message.")
        return
    for name, value in request.items():
        check = _REQUEST.get("validate_only" if name == "validateOnly" else name)
        if check is None:
            yield Violation("", f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
        elif value is not None:
            yield from check(value, name)


def target_of(message: Json) -> tuple[str, str]:
    """The one (kind, address) of a checked message."""
    kind = next(name for name in TARGETS if message.get(name))
    return kind, message[kind]


def _check_message(message: Json) -> None:
    targets = [name for name in TARGETS if message.get(name)]
    if not targets:
        raise invalid_argument(Violation("message", "Recipient of the message is not set."))
    if len(targets) > 1:
        why = f"Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '{targets[1]}'"
        raise bad_json([Violation("message", why)])
    for violation in (*_fanout(message), *_message_violations(message)):
        raise invalid_argument(violation)
    if message_bytes(message) > (LIMIT_BYTES if targets[0] in ("token", "fid") else TOPIC_LIMIT_BYTES):
        raise invalid_argument(Violation("message", "Message too big"))


def message_bytes(message: Json) -> int:
    """Bytes of keys and values of notification and data."""
    counted = [*(message.get("notification") or {}).items(), *(message.get("data") or {}).items()]
    return sum(len(key.encode()) + len((value or "").encode()) for key, value in counted)


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
    android, apns, webpush = (_section(message, name) for name in ("android", "apns", "webpush"))
    yield from _reserved(message.get("data"), "message.data")
    yield from _reserved(android.get("data"), "message.android.data")
    yield from _image(_section(message, "notification"), "message.notification.image")
    yield from _image(_section(android, "notification"), "message.android.notification.image")
    yield from _image(_section(apns, "fcm_options", "fcmOptions"), "message.apns.fcm_options.image")
    yield from _ttl(android.get("ttl"))
    yield from _apns_headers(_section(apns, "headers"))
    link = _section(webpush, "fcm_options", "fcmOptions").get("link")
    if link and not link.startswith("https://"):
        yield Violation("message.webpush.fcm_options.link", "WebpushFcmOptions.link must be a HTTPS URL.")


def _section(parent: Json, *names: str) -> Json:
    return next((parent[name] for name in names if parent.get(name)), {})


def _reserved(data: Json | None, path: str) -> Iterator[Violation]:
    for key in data or {}:
        if key in _RESERVED_KEYS or key.startswith(("google.", "gcm.")):
            yield Violation(path, f"Invalid data payload key: {key[:100]}")


def _image(fields: Json, path: str) -> Iterator[Violation]:
    image = fields.get("image")
    if image and not _WEB_ADDRESS.fullmatch(image):
        yield Violation(path, f"Invalid image URL: {image[:200]}")


def _ttl(ttl: str | None) -> Iterator[Violation]:
    if ttl is not None and not 0 <= float(ttl[:-1]) <= TTL_LIMIT_SECS:
        yield Violation("message.android.ttl", f"Invalid ttl: it must be between 0 and {TTL_LIMIT_SECS} seconds")


def _apns_headers(headers: Json) -> Iterator[Violation]:
    for name, value in headers.items():
        lowered = name.lower()
        if lowered == "apns-collapse-id" and len(value.encode()) > 64:
            yield Violation("message.apns.headers", "apns-collapse-id must not exceed 64 bytes")
        if lowered == "apns-priority" and value not in ("1", "5", "10"):
            yield Violation("message.apns.headers", f"Invalid apns-priority: {value[:20]}")
