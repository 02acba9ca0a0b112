"""Headers of every answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext_lazy

from pushpilot.lib.compat.django import set_address
from pushpilot.lib.display import Words
from pushpilot.lib.problems import BUSY, problem

# Alpine evaluates its expressions, hence unsafe-eval; Unfold writes style attributes, hence
# unsafe-inline for styles.
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


_ADDRESS = gettext_lazy(
    "The address holds a NUL character, which no text has. Take it out and try again."
)
_COOKIE = gettext_lazy(
    "A cookie holds a NUL character, which no text has. Take it out and try again."
)
_FORM = gettext_lazy(
    "The form holds a NUL character, which no text has. Take it out and try again."
)


class OwnAddress:
    """Makes every absolute link of PUBLIC_URL, never of the Host header. The sender of a request
    chooses that header, and a mail would lead its reader to another machine, with the token that
    opens the account.

    Load balancers ask for /healthz by whatever name or number they know the machine, so there
    the header says nothing.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        set_address(request, settings.PUBLIC_URL)
        if request.path_info == "/healthz":
            request.META["HTTP_HOST"] = urlsplit(settings.PUBLIC_URL).netloc
        return self.get_response(request)


class SafeHeaders:
    """The content policy; and no cache keeps an answer that does not ask for it: any may hold a
    token or an address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class NoNul:
    """Refuses what holds a NUL character: nobody types one, and PostgreSQL takes it in no text,
    not even to compare.

    Bodies of the API are not read here: its routes name the field (pushpilot.lib.bounded).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path_info:
            raise Http404("no address of ours holds a NUL character")
        if any("\0" in name or "\0" in value for name, value in request.COOKIES.items()):
            return self._refusal(request, _COOKIE)  # quoted ones spell it \\000
        if _has_nul(request.GET):
            return self._refusal(request, _ADDRESS)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *args: Any) -> HttpResponse | None:
        """A form is read only here, where strangers were turned away from the console."""
        is_page = not request.path_info.startswith("/api/")
        if is_page and _has_nul(request.POST):
            return self._refusal(request, _FORM)
        return None

    def _refusal(self, request: HttpRequest, words: Words) -> HttpResponse:
        sentence = str(words)
        if request.path_info.startswith("/api/"):
            return problem(400, "bad_text", sentence)
        return render(request, "400.html", {"sentence": sentence}, status=400)


def _has_nul(fields: QueryDict) -> bool:
    return any("\0" in text for name, values in fields.lists() for text in (name, *values))


_OPERATION = re.compile("/api/v1/[^/]")


class ApiProblems:
    """Under /api/ Django's own error pages are problem+json too: unknown addresses, wrong
    methods, bad requests. And an address answers with a slash at its end as without."""

    WORDS: Mapping[int, tuple[str, Words]] = {
        404: (
            "not_found",
            gettext_lazy("There is nothing at this address. /api/v1/docs lists all addresses."),
        ),
        405: (
            "method_not_allowed",
            gettext_lazy(
                "This address does not take this method. The header Allow names its methods."
            ),
        ),
        503: BUSY,
        500: (
            "internal",
            gettext_lazy("Something went wrong on our side. The server has logged it."),
        ),
    }
    OTHER: tuple[str, Words] = (
        "bad_request",
        gettext_lazy("The server could not read the request."),
    )

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _OPERATION.match(request.path_info):
            request.path_info = request.path_info.removesuffix("/")
        response = self.get_response(request)
        is_page = response.status_code >= 400 and not response.headers.get(
            "Content-Type", ""
        ).endswith("json")
        if not is_page or not request.path_info.startswith("/api/"):
            return response
        code, detail = self.WORDS.get(response.status_code, self.OTHER)
        kept = {
            name: response.headers[name]
            for name in ("Allow", "Retry-After")
            if name in response.headers
        }
        return problem(response.status_code, code, detail, kept)
