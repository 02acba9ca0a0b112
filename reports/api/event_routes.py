"""Events in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import msgspec
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router

from pushpilot.lib.limits import Limiter
from pushpilot.lib.openapi import refusal, schema_of
from pushpilot.lib.problems import Problem
from reports import intake
from tenants import keys

router = Router()

# A write key is public and no cookie is read here, so every web page may post events.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}
_limiter = Limiter("events")
_encoder = msgspec.json.Encoder()


def _for_browsers(
    view: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Without these headers on errors too a browser hides from its page what was wrong."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        try:
            response = view(request)
        except Problem as problem:
            problem.headers = {**CORS, **(problem.headers or {})}
            raise
        for name, value in CORS.items():
            response.headers[name] = value
        return response

    return answer


_DOCUMENTED = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [schema_of(intake.PostedBatch), schema_of(intake.PostedEvent)]},
            }
        },
    },
    "responses": {
        202: {
            "description": "Stored. `rejected` names the events that were not, by their index.",
            "content": {"application/json": {"schema": schema_of(intake.Receipt)}},
        },
        **{
            status: refusal(status, meaning)
            for status, meaning in {
                400: "The body is not JSON.",
                401: "No write key, or it is unknown or revoked.",
                413: "More than 500 events or 512 KB; send the batch in parts.",
                415: "Not application/json.",
                422: "No event could be accepted; `rejected` says why.",
                429: "Too many requests with this key; see Retry-After.",
                503: "The events could not be stored; send them again after Retry-After seconds.",
            }.items()
        },
    },
    "security": [{"WriteKey": []}, {"WriteKeyAsUserName": []}],
}


@router.post(
    "/events",
    response={202: None},
    summary="Post events",
    openapi_extra=_DOCUMENTED,
    tags=["Events"],
)
@_for_browsers
def post_events(request: HttpRequest) -> HttpResponse:
    """One event, or a batch of at most 500. Answered 202 once they are stored durably; a
    repeated `event_id` counts once. One bad event never sinks a batch."""
    key = keys.authenticate(request.headers.get("Authorization", ""), keys.EVENTS_WRITE)
    _limiter.spend(request, str(key.id), settings.EVENTS_PER_MINUTE)
    body = _body(request)
    try:
        receipt = intake.receive(body, key, timezone.now())
    except DatabaseError as error:
        raise Problem(
            503,
            "not_stored",
            _("The events could not be stored. Send them again."),
            headers={"Retry-After": "5"},
        ) from error
    return HttpResponse(_encoder.encode(receipt), status=202, content_type="application/json")


@router.api_operation(["OPTIONS"], "/events", include_in_schema=False)
@_for_browsers
def preflight(request: HttpRequest) -> HttpResponse:
    """A browser asks whether it may post."""
    return HttpResponse(status=204)


def _body(request: HttpRequest) -> bytes:
    """The bounded body. Raises Problem 413 or 415."""
    if request.content_type != "application/json":
        raise Problem(415, "unsupported_media_type", _("Send the events as application/json."))
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported_encoding", _("Send the events uncompressed."))
    declared = request.META.get("CONTENT_LENGTH") or ""
    is_chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    # Django reads nothing of a body without a Content-Length; WSGI servers end the stream where the
    # chunks end.
    stream = request
    if is_chunked and not declared:
        stream = request.META["wsgi.input"]
    try:
        return intake.read_body(stream, int(declared) if declared.isdecimal() else None)
    except OSError as error:
        raise Problem(
            400,
            "body_cut_short",
            _("The connection ended before the whole body arrived. Send the request again."),
        ) from error
