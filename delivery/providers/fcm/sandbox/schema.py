"""FCM's request as Google's front end reads it: JSON into protobuf, with everything that
protobuf's mapping forgives.

Source of MESSAGES and ENUMS: the discovery document of FCM v1, revision 20261023. Source of the
mapping: protobuf's JSON mapping (names in snake_case or camelCase, null is unset, numbers and
enums may be text, enums may be numbers).
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from delivery.providers.fcm.sandbox.replies import Violation

Json = dict[str, Any]
Violations = list[Violation]


def _all(kind: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), kind)


_NOTIFICATION = {
    **_all("string", "title body icon color sound tag click_action body_loc_key title_loc_key"),
    **_all("string", "channel_id ticker image"),
    **_all(
        "bool", "sticky local_only default_sound default_vibrate_timings default_light_settings"
    ),
    **_all("list string", "body_loc_args title_loc_args"),
    "vibrate_timings": "list duration",
    "event_time": "timestamp",
    "notification_count": "int32",
    "notification_priority": "enum NotificationPriority",
    "visibility": "enum Visibility",
}
_CONFIG = {
    **_all("string", "collapse_key restricted_package_name"),
    **_all("bool", "direct_boot_ok bandwidth_constrained_ok restricted_satellite_ok"),
    "data": "map",
    "ttl": "duration",
    "fcm_options": "AndroidFcmOptions",
}
_LIGHTS = {"color": "Color", "light_on_duration": "duration", "light_off_duration": "duration"}
MESSAGES: dict[str, dict[str, str]] = {
    "SendMessageRequest": {"message": "Message", "validate_only": "bool"},
    "Message": {
        **_all("string", "name token fid topic condition"),
        "data": "map",
        "notification": "Notification",
        "android": "AndroidConfig",
        "android_v2": "AndroidConfigV2",
        "apns": "ApnsConfig",
        "webpush": "WebpushConfig",
        "fcm_options": "FcmOptions",
    },
    "Notification": _all("string", "title body image"),
    "FcmOptions": {"analytics_label": "string"},
    "AndroidFcmOptions": {"analytics_label": "string"},
    "AndroidConfig": {
        **_CONFIG,
        "priority": "enum AndroidMessagePriority",
        "notification": "AndroidNotification",
    },
    "AndroidConfigV2": {
        **_CONFIG,
        "background_sync": "AndroidBackgroundSyncMessage",
        "remote_notification": "AndroidRemoteNotification",
    },
    "AndroidBackgroundSyncMessage": {},
    "AndroidRemoteNotification": {
        **_all("bool", "mutable_content use_as_v1_data_message"),
        "notification": "AndroidNotificationV2",
    },
    "AndroidNotification": {
        **_NOTIFICATION,
        "bypass_proxy_notification": "bool",
        "proxy": "enum Proxy",
        "light_settings": "LightSettings",
    },
    "AndroidNotificationV2": {
        **_NOTIFICATION,
        "id": "int32",
        "light_settings": "GoogleFirebaseFcmV1AndroidNotificationV2LightSettings",
    },
    "LightSettings": _LIGHTS,
    "GoogleFirebaseFcmV1AndroidNotificationV2LightSettings": _LIGHTS,
    "Color": _all("float", "red green blue alpha"),
    "ApnsConfig": {
        "headers": "map",
        "payload": "struct",
        "fcm_options": "ApnsFcmOptions",
        "live_activity_token": "string",
    },
    "ApnsFcmOptions": _all("string", "analytics_label image"),
    "WebpushConfig": {
        "headers": "map",
        "data": "map",
        "notification": "struct",
        "fcm_options": "WebpushFcmOptions",
    },
    "WebpushFcmOptions": _all("string", "analytics_label link"),
}
ENUMS: dict[str, tuple[str, ...]] = {
    "AndroidMessagePriority": ("NORMAL", "HIGH"),
    "NotificationPriority": tuple(
        f"PRIORITY_{level}" for level in ("UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX")
    ),
    "Visibility": ("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
    "Proxy": ("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
}
"""Each value's number is its place."""

_OWNERS = {
    "AndroidMessagePriority": "AndroidConfig",
    **dict.fromkeys(("NotificationPriority", "Visibility", "Proxy"), "AndroidNotification"),
}
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_DURATION_LIMIT_SECS = 315_576_000_000
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_INTEGER = re.compile(r"-?\d{1,10}")
_TEXT_LIMIT = 50  # of a number, an enum or a time


def read_request(request: Any) -> tuple[Json, Violations]:
    """(the request as protobuf holds it, with names in snake_case; what does not fit the
    schema)."""
    violations: Violations = []
    if not isinstance(request, dict):
        return {}, [Violation("", "Invalid JSON payload received. Root element must be a message.")]
    return _message(request, "SendMessageRequest", "", violations), violations


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_NAMES = {
    message: {spelling: name for name in fields for spelling in (name, _camel(name))}
    for message, fields in MESSAGES.items()
}


def _message(value: Json, message: str, path: str, violations: Violations) -> Json:
    read: Json = {}
    for spelling, entry in value.items():
        name = _NAMES[message].get(spelling)
        if name is None:
            where = ""
            if path:
                where = f" at '{path}'"
            why = (
                f'Invalid JSON payload received. Unknown name "{spelling}"{where}: Cannot find '
                "field."
            )
            violations.append(Violation(path, why))
        elif entry is not None:
            read[name] = _value(
                entry, MESSAGES[message][name], f"{path}.{name}" if path else name, violations
            )
    return read


def _value(value: Any, kind: str, path: str, violations: Violations) -> Any:
    if kind in MESSAGES:
        if isinstance(value, dict):
            return _message(value, kind, path, violations)
        return _refuse(value, "message", path, violations)
    lead, _, of = kind.partition(" ")
    if lead == "enum":
        return _enum(value, of, path, violations)
    if lead == "list":
        if isinstance(value, list):
            return [
                _value(entry, of, f"{path}[{index}]", violations)
                for index, entry in enumerate(value)
            ]
        return _refuse(value, "repeated", path, violations)
    if lead == "map":
        return _map(value, path, violations)
    google_name, read = _SCALARS[kind]
    try:
        return read(value)
    except ValueError as error:
        return _refuse(value, google_name, path, violations, str(error))


def _refuse(value: Any, kind: str, path: str, violations: Violations, why: str = "") -> None:
    shown = why or json.dumps(value)[:200]
    violations.append(Violation(path, f"Invalid value at '{path}' ({kind}), {shown}"))


def _map(value: Any, path: str, violations: Violations) -> Json:
    if not isinstance(value, dict):
        _refuse(value, "map", path, violations)
        return {}
    for index, entry in enumerate(value.values()):
        if not isinstance(entry, str):
            _refuse(entry, "TYPE_STRING", f"{path}[{index}].value", violations)
    return value


def _enum(value: Any, name: str, path: str, violations: Violations) -> str:
    """A name however it is spelled, or a number, which may be text."""
    known = ENUMS[name]
    if isinstance(value, str) and len(value) <= _TEXT_LIMIT:
        wanted = value.upper().replace("-", "_")
        if wanted in known:
            return wanted
        value = int(value) if _INTEGER.fullmatch(value) else value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(known):
        return known[value]
    _refuse(
        value,
        f"type.googleapis.com/google.firebase.fcm.v1.{_OWNERS[name]}.{name}",
        path,
        violations,
    )
    return known[0]


# --- scalars: each returns the value as protobuf holds it, or raises ValueError ("": show the value
def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError


def _int32(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**31) <= value < 2**31:
        raise ValueError
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    if isinstance(value, str) and (
        len(value) > _TEXT_LIMIT or value != value.strip() or "_" in value
    ):
        raise ValueError
    try:
        return float(value)
    except (OverflowError, ValueError):
        raise ValueError("") from None


def _struct(value: Any) -> Json:
    if not isinstance(value, dict):
        raise ValueError
    return value


def _duration(value: Any) -> str:
    is_one = isinstance(value, str) and _DURATION.fullmatch(value) is not None
    if not is_one or abs(float(value[:-1])) > _DURATION_LIMIT_SECS:
        raise ValueError("Illegal duration format; duration must end with 's'")
    return str(value)


def _timestamp(value: Any) -> str:
    is_one = isinstance(value, str) and _TIMESTAMP.fullmatch(value) is not None
    try:
        # Python takes six digits of a second; protobuf nine.
        datetime.fromisoformat(re.sub(r"\.\d+", "", value) if is_one else "")
    except ValueError:
        raise ValueError(
            "Illegal timestamp format; timestamps must be RFC 3339, for example "
            "2026-10-23T00:00:00Z"
        ) from None
    return str(value)


_SCALARS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "string": ("TYPE_STRING", _string),
    "bool": ("TYPE_BOOL", _bool),
    "int32": ("TYPE_INT32", _int32),
    "float": ("TYPE_FLOAT", _float),
    "struct": ("type.googleapis.com/google.protobuf.Struct", _struct),
    "duration": ("type.googleapis.com/google.protobuf.Duration", _duration),
    "timestamp": ("type.googleapis.com/google.protobuf.Timestamp", _timestamp),
}
