"""The HTTP API: mounts each app's router and answers every error as problem+json (RFC 9457)."""

from __future__ import annotations

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from pushpilot.lib.problems import Problem
from reports.api import router as reports_router

logger = logging.getLogger(__name__)


class Api(NinjaAPI):
    """NinjaAPI that documents the keys which routes check by themselves."""

    def get_openapi_schema(self, *args: Any, **kwargs: Any) -> Any:
        schema = super().get_openapi_schema(*args, **kwargs)
        schema["components"].setdefault("securitySchemes", {}).update(
            WriteKey={"type": "http", "scheme": "bearer"}, WriteKeyAsUserName={"type": "http", "scheme": "basic"}
        )
        return schema


api = Api(title="PushPilot", version="1", docs_url="docs", urls_namespace="api")
api.add_router("", reports_router)


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **extra: Any) -> HttpResponse:
    body = {"type": f"about:blank#{code}", "title": code.replace("_", " "), "status": status, "code": code}
    return JsonResponse(
        {**body, "detail": detail, **extra}, status=status, headers=headers, content_type="application/problem+json"
    )


@api.exception_handler(Problem)
def on_problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return problem(error.status, error.code, error.detail, error.headers, **error.extra)


@api.exception_handler(AuthenticationError)
def on_authentication(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problem(401, "unauthenticated", "Send a valid API key as `Authorization: Bearer <key>`.")


@api.exception_handler(ValidationError)
def on_validation(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return problem(422, "invalid", "The request does not fit the schema.", errors=error.errors)


@api.exception_handler(Http404)
def on_missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "not_found", "There is no such thing here.")


@api.exception_handler(HttpError)
def on_refusal(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, "refused", str(error))


@api.exception_handler(Exception)
def on_fault(request: HttpRequest, error: Exception) -> HttpResponse:
    """A fault of ours: logged with its trace, answered without it."""
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return problem(500, "internal", "Something went wrong on our side. It has been logged.")
