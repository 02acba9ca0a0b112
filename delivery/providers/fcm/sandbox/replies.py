"""Replies in Google's words: the error model of google.rpc and FCM's own error codes."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

_TYPE = "type.googleapis.com/"
_SIGN_IN = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


@dataclass(slots=True, eq=False)
class Reply(Exception):
    """One HTTP reply; raised by whatever finds the reason for it."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Violation:
    """One google.rpc.BadRequest field violation."""

    field: str
    description: str


def json_reply(value: Any, status: int = 200) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, msgspec.json.encode(value))


def _error(status: int, rpc_status: str, message: str, details: list[dict[str, Any]]) -> Reply:
    error: dict[str, Any] = {"code": status, "message": message, "status": rpc_status}
    if details:
        error["details"] = details
    return json_reply({"error": error}, status)


def _fcm_detail(code: str) -> dict[str, Any]:
    return {"@type": f"{_TYPE}google.firebase.fcm.v1.FcmError", "errorCode": code}


def _violations_detail(violations: list[Violation]) -> dict[str, Any]:
    listed = [{"field": v.field, "description": v.description} for v in violations]
    return {"@type": f"{_TYPE}google.rpc.BadRequest", "fieldViolations": listed}


def bad_json(violations: list[Violation]) -> Reply:
    """The front end's refusal: the JSON does not fit the protobuf message (no FcmError in it)."""
    message = "\n".join(violation.description for violation in violations)
    return _error(400, "INVALID_ARGUMENT", message, [_violations_detail(violations)])


def unreadable_json(reason: str) -> Reply:
    """The body is no JSON at all."""
    return _error(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {reason}", [])


def invalid_argument(violation: Violation, message: str = "") -> Reply:
    """FCM's own refusal of a well-formed message, with the field named."""
    details = [_fcm_detail("INVALID_ARGUMENT"), _violations_detail([violation])]
    return _error(400, "INVALID_ARGUMENT", message or violation.description, details)


def invalid_token(field_name: str) -> Reply:
    """The address has not the form of a registration token."""
    return invalid_argument(
        Violation(field_name, "Invalid registration token"),
        "The registration token is not a valid FCM registration token",
    )


def unauthenticated(reason: str) -> Reply:
    """401 of the front end. `reason`: CREDENTIALS_MISSING or ACCESS_TOKEN_EXPIRED and the like."""
    lead = "Request had invalid"
    if reason == "CREDENTIALS_MISSING":
        lead = "Request is missing required"
    noun = "credentials"
    if reason == "CREDENTIALS_MISSING":
        noun = "credential"
    reply = _error(
        401, "UNAUTHENTICATED", f"{lead} authentication {noun}. {_SIGN_IN}", [_info_detail(reason)]
    )
    reply.headers.append(("www-authenticate", 'Bearer realm="https://accounts.google.com/"'))
    return reply


def permission_denied(project_id: str) -> Reply:
    """403 for an access token of somebody else's project."""
    resource = f"//cloudresourcemanager.googleapis.com/projects/{project_id}"
    message = (
        f"Permission 'cloudmessaging.messages.create' denied on resource '{resource}' (or "
        f"it may not exist)."
    )
    return _error(403, "PERMISSION_DENIED", message, [_info_detail("IAM_PERMISSION_DENIED")])


def scope_insufficient() -> Reply:
    """403 for an access token that was not asked for with a messaging scope."""
    message = "Request had insufficient authentication scopes."
    return _error(
        403, "PERMISSION_DENIED", message, [_info_detail("ACCESS_TOKEN_SCOPE_INSUFFICIENT")]
    )


def _info_detail(reason: str) -> dict[str, Any]:
    metadata = {
        "service": "fcm.googleapis.com",
        "method": "google.firebase.fcm.v1.FcmService.SendMessage",
    }
    return {
        "@type": f"{_TYPE}google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata,
    }


_BY_CODE = {
    "UNREGISTERED": (404, "NOT_FOUND", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED", "SenderId mismatch"),
    "QUOTA_EXCEEDED": (
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric 'Messages sent to a device'.",
    ),
    "UNAVAILABLE": (503, "UNAVAILABLE", "The service is currently unavailable."),
    "INTERNAL": (500, "INTERNAL", "Internal error encountered."),
    "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"),
}
CODES = frozenset({*_BY_CODE, "INVALID_ARGUMENT"})
"""The error codes that the sandbox can be asked for, by device token or by rate."""


def fcm_error(code: str, *, retry_after_secs: int = 0) -> Reply:
    """FCM's documented reply for one of CODES. Raises KeyError for another."""
    if code == "INVALID_ARGUMENT":
        return invalid_token("message.token")
    status, rpc_status, message = _BY_CODE[code]
    reply = _error(status, rpc_status, message, [_fcm_detail(code)])
    if retry_after_secs:
        reply.headers.append(("retry-after", str(retry_after_secs)))
    return reply


def grant_error(error: str, description: str, status: int = 400) -> Reply:
    """OAuth2's error shape (RFC 6749 §5.2), as oauth2.googleapis.com answers."""
    return json_reply({"error": error, "error_description": description}, status)


def control_error(status: int, message: str) -> Reply:
    """An error of the sandbox's own control API."""
    return json_reply({"error": message}, status)
