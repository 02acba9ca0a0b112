"""Headers of every answer."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from pushpilot.lib.problems import problem

# Alpine evaluates its expressions, hence unsafe-eval; Unfold writes style attributes, hence unsafe-inline for styles.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: https:",
        "frame-ancestors 'none'",
        "form-action 'self' https://accounts.google.com https://appleid.apple.com",
        "base-uri 'self'",
        "object-src 'none'",
    )
)


class ContentSecurityPolicy:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class ApiProblems:
    """Under /api/ Django's own error pages are problem+json too: unknown addresses, wrong methods, bad requests."""

    WORDS = {
        404: ("not_found", "There is nothing at this address; /api/v1/docs lists what there is."),
        405: ("method_not_allowed", "This address does not take this method; the header Allow names those it takes."),
        500: ("internal", "Something went wrong on our side. It has been logged."),
    }

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.status_code >= 400 and not response.headers.get("Content-Type", "").endswith("json")
        if not is_page or not request.path_info.startswith("/api/"):
            return response
        code, detail = self.WORDS.get(response.status_code, ("bad_request", "The request could not be read."))
        kept = {name: response.headers[name] for name in ("Allow", "Retry-After") if name in response.headers}
        return problem(response.status_code, code, detail, kept)
