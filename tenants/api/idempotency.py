"""Idempotency-Key: a request that is sent again is answered again and carried out once.

The claim is a row of its own, written before the work begins: the work may take transactions of
its own and ask other servers. So a server that dies in between leaves a claim without an answer.
Nobody knows then what was done, and the request is never carried out again under this key.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja.decorators import decorate_view
from ninja.operation import Operation
from ninja.utils import contribute_operation_callback

from pushpilot.lib.problems import CONTENT_TYPE, Problem, invalid
from tenants.api.security import caller_of, require, workspace_meant, workspace_named
from tenants.models import AnsweredRequest
from tenants.secrets import SecretUnreadable, decrypt, encrypt

logger = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT = timedelta(hours=24)
GIVEN_UP = timedelta(minutes=5)  # longer than the web server lets a request run
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PARAMETER = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "description": "1 to 255 visible characters of your own. The same request with the same key "
    "is carried out once; its answer is kept for 24 hours.",
    "schema": {"type": "string", "maxLength": 255},
}

View = TypeVar("View", bound=Callable[..., Any])


class Replay(Exception):
    """The request was answered before: `response` is that answer."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__("answered before")
        self.response = response


def idempotent(capability: str | None) -> Callable[[View], View]:
    """For an operation that creates, sends or schedules; below the router's decorator.
    `capability` is what the operation asks of a person in its workspace, None if it has no
    workspace: an answer is given again only to a caller who may still ask for it."""

    def decorate(view: View) -> View:
        # Not a wrapper of the view itself: ninja would read its annotations in this module.
        contribute_operation_callback(view, functools.partial(_claim_first, capability))
        return decorate_view(_keep_answer)(view)

    return decorate


def _claim_first(capability: str | None, operation: Operation) -> None:
    view = operation.view_func

    @functools.wraps(view)
    def claimed(request: HttpRequest, *args: Any, **values: Any) -> Any:
        key = request.headers.get(HEADER)
        if key is not None:
            place = ""
            if capability:
                place = _place(request, capability, values)
            request._claim = _claim(request, key, place)  # type: ignore[attr-defined]
        return view(request, *args, **values)

    operation.view_func = claimed
    extra = operation.openapi_extra or {}
    parameters = [*extra.get("parameters", []), _PARAMETER]
    operation.openapi_extra = {**extra, "parameters": parameters}


def _place(request: HttpRequest, capability: str, values: dict[str, Any]) -> str:
    named = values.get("workspace")
    workspace = workspace_named(named, caller_of(request)) if named else workspace_meant(request)
    require(request, capability, workspace)
    return str(workspace.pk)


def _claim(request: HttpRequest, key: str, place: str) -> AnsweredRequest:
    """The row of this request. Raises Replay, or Problem: 422 for a key that is none or belongs to
    another request, 409 while the first one is not answered."""
    if not _KEY.fullmatch(key):
        detail = _("Send 1 to 255 visible characters.")
        raise invalid([{"field": HEADER, "code": "invalid", "detail": detail}])
    caller = caller_of(request)
    who = f"key:{caller.key.id}" if caller.key else f"user:{caller.person.pk}"
    words = f"{request.method} {request.path_info}\n".encode() + request.body
    digest = hashlib.sha256(words).hexdigest()
    row, is_new = AnsweredRequest.objects.get_or_create(
        caller=f"{who}:{place}", key=key, defaults={"digest": digest}
    )
    if is_new:
        return row
    if row.digest != digest:
        detail = _("This key belongs to another request. Send this one with a key of its own.")
        raise Problem(422, "idempotency_key_reused", detail)
    raise _answered(row)


def _answered(row: AnsweredRequest) -> Exception:
    if row.status is not None:
        try:
            body = decrypt(row.answer)
        except SecretUnreadable:
            return _outcome_unknown()
        kind = "application/json"
        if row.status >= 400:
            kind = CONTENT_TYPE
        response = HttpResponse(body, status=row.status, content_type=kind)
        response.headers[REPLAYED] = "true"
        return Replay(response)
    if timezone.now() - row.claimed_at > GIVEN_UP:
        return _outcome_unknown()
    detail = _("The first request with this key is still being carried out. Try again shortly.")
    return Problem(409, "in_progress", detail, headers={"Retry-After": "1"})


def _outcome_unknown() -> Problem:
    detail = _(
        "The first request with this key got no answer, so it may have been carried out. Look "
        "whether it was, and send it with another key if not."
    )
    return Problem(409, "outcome_unknown", detail)


def _keep_answer(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """An error of the request itself, or 503, frees its key: nothing was done."""

    @functools.wraps(run)
    def kept(request: HttpRequest, **values: Any) -> HttpResponse:
        response = run(request, **values)
        claim: AnsweredRequest | None = getattr(request, "_claim", None)
        if claim is None:
            return response
        try:
            _settle(claim, response)
        except DatabaseError:  # the work is done: its answer goes out, and the key stays taken
            logger.warning("the answer to request %s could not be kept", claim.pk, exc_info=True)
        return response

    return kept


def _settle(claim: AnsweredRequest, response: HttpResponse) -> None:
    if 400 <= response.status_code < 500 or response.status_code == 503:
        claim.delete()
        return
    claim.status, claim.answer = response.status_code, encrypt(response.content.decode())
    claim.save(update_fields=["status", "answer"])


def forget_answers(now: datetime) -> None:
    """Delete what is older than a key is good for."""
    AnsweredRequest.objects.filter(claimed_at__lt=now - KEPT).delete()
