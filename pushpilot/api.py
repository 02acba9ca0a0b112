"""The HTTP API: mounts each app's router and answers every error as problem+json (RFC 9457)."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError
from ninja.parser import Parser

import campaigns.api.slots
from campaigns.api import router as campaigns_router
from delivery.api import router as delivery_router
from delivery.engine import record
from pushpilot.lib import openapi
from pushpilot.lib.bounded import OutOfBounds, read_json
from pushpilot.lib.limits import Standing
from pushpilot.lib.problems import BUSY, Problem, invalid, problem, too_many_attempts
from reports.api import router as reports_router
from tenants.api import router as tenants_router
from tenants.api.idempotency import Replay

logger = logging.getLogger(__name__)


# A campaign with its audience rule, which nests, the dates that it skips and a message in twenty
# languages. An address has the name of its first operation.
_CAMPAIGN = {"values_limit": 3000, "depth_limit": 24}
WIDER = dict.fromkeys(("list_campaigns", "get_campaign", "schedule_campaign"), _CAMPAIGN)
WIDER["post_send_now"] = {"values_limit": 20_000}  # 500 people with their data


class BoundedParser(Parser):
    """Refuses what is deep or wide before pydantic makes an error, or an object, of every part."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type == "multipart/form-data":
            detail = _("Send the body as application/json.")
            raise Problem(415, "unsupported_media_type", detail)
        match = request.resolver_match
        bounds = WIDER.get(match.url_name or "", {}) if match else {}
        try:
            return read_json(request.body, **bounds)
        except OutOfBounds as error:
            raise Problem(
                422 if error.code == "too_many_values" else 400, error.code, error.detail
            ) from error


class Api(NinjaAPI):
    """NinjaAPI that documents every error, and the keys which routes check by themselves."""

    def get_openapi_schema(self, *args: Any, **kwargs: Any) -> Any:
        schema = super().get_openapi_schema(*args, **kwargs)
        schema["components"].setdefault("securitySchemes", {}).update(
            WriteKey={"type": "http", "scheme": "bearer"},
            WriteKeyAsUserName={"type": "http", "scheme": "basic"},
        )
        openapi.complete(schema)
        return schema


def only_known_parameters(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Refuse a parameter in the address that the operation's `openapi_extra` does not list: a
    filter with a slip in its name would otherwise answer with everything."""
    extra = inspect.unwrap(run).__self__.openapi_extra or {}
    known = {one["name"] for one in extra.get("parameters", ()) if one["in"] == "query"}

    @functools.wraps(run)
    def checked(request: HttpRequest, **values: Any) -> HttpResponse:
        unknown = [name for name in request.GET if name not in known]
        if not unknown:
            return run(request, **values)
        detail = _("There is no such parameter. Take it out.")
        errors = [{"field": name, "code": "unknown", "detail": detail} for name in unknown]
        return on_problem(request, invalid(errors))

    return checked


def with_standing(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Tell the caller in headers what is left of the minute, also with a refusal."""

    @functools.wraps(run)
    def told(request: HttpRequest, **values: Any) -> HttpResponse:
        try:
            response = run(request, **values)
        except Problem as refused:  # by a throttle: ninja lets its errors pass
            response = on_problem(request, refused)
        standing: Standing | None = getattr(request, "standing", None)
        if standing is not None:
            for name, value in standing.headers.items():
                response.headers[name] = value
        return response

    return told


api = Api(
    title="PushPilot", version="1", docs_url="docs", urls_namespace="api", parser=BoundedParser()
)
api.add_decorator(only_known_parameters, mode="view")
api.add_decorator(with_standing, mode="view")
campaigns.api.slots.tally_of = record.live_tally
api.add_router("", tenants_router)
api.add_router("", campaigns_router)
api.add_router("", delivery_router)
api.add_router("", reports_router)


@api.exception_handler(Problem)
def on_problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return problem(error.status, error.code, error.detail, error.headers, **error.extra)


@api.exception_handler(Replay)
def on_replay(request: HttpRequest, error: Replay) -> HttpResponse:
    return error.response


@api.exception_handler(AuthenticationError)
def on_authentication(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    detail = _("Send a valid API key as `Authorization: Bearer <key>`.")
    return problem(401, "unauthenticated", detail)


@api.exception_handler(ValidationError)
def on_validation(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Without what was sent: it may be a password."""
    return on_problem(request, invalid([_of_field(found) for found in error.errors]))


def _of_field(found: dict[str, Any]) -> dict[str, str]:
    """{"field", "code", "detail"} of an error of pydantic's, whose loc is ("body", name of the
    parameter, field)."""
    source, *path = map(str, found["loc"])
    if source == "body" and len(path) > 1:
        path = path[1:]
    if found["type"] == "extra_forbidden":
        return {
            "field": path[-1],
            "code": "unknown",
            "detail": _("There is no such field. Take it out."),
        }
    return {
        "field": ".".join(path) or source,
        "code": found["type"],
        "detail": _sentence(found["msg"]),
    }


def _sentence(words: str) -> str:
    return words.removeprefix("Value error, ").rstrip(".") + "."


@api.exception_handler(Http404)
def on_missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "not_found", _("There is no such thing here."))


@api.exception_handler(PermissionDenied)
def on_forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(403, "forbidden", str(error) or _("You may not do this."))


@api.exception_handler(RequestDataTooBig)
def on_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problem(413, "too_large", _("The body is too large."))


@api.exception_handler(IntegrityError)
def on_conflict(request: HttpRequest, error: IntegrityError) -> HttpResponse:
    """Two requests in the same moment. The database took one of them."""
    logger.warning("%s %s conflicts", request.method, request.path, exc_info=error)
    return problem(
        409,
        "conflict",
        _("Somebody changed the same thing in the same moment. Look at it and try again."),
    )


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def on_busy(request: HttpRequest, error: Exception) -> HttpResponse:
    """Away, locked, or a deadlock that cost this request its transaction."""
    logger.warning(
        "%s %s: the database did not answer", request.method, request.path, exc_info=error
    )
    return problem(503, *BUSY, {"Retry-After": "5"})


@api.exception_handler(Throttled)
def on_throttle(request: HttpRequest, error: Throttled) -> HttpResponse:
    return on_problem(request, too_many_attempts(error.wait or 60))


@api.exception_handler(HttpError)
def on_refusal(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, Problem):  # ninja's word for whatever its parser raises
        return on_problem(request, error.__cause__)
    return problem(error.status_code, "refused", str(error))


@api.exception_handler(Exception)
def on_fault(request: HttpRequest, error: Exception) -> HttpResponse:
    """A fault of ours: logged with its trace, answered without it."""
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return problem(
        500, "internal", _("Something went wrong on our side. The server has logged it.")
    )
