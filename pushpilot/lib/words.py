"""The words of scripts: one catalogue for each language, at an address that changes with it."""

from __future__ import annotations

import functools
import hashlib

from django import template
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import get_language, override
from django.views.i18n import JavaScriptCatalog

register = template.Library()

# The admin's jquery.init.js puts a new object in the place of window.django, and its jsi18n then
# other functions in the place of these.
_KEPT = b"\nglobalThis.pushpilot = { gettext, ngettext };\n"


@functools.cache
def _script(language: str) -> bytes:
    # With `packages` Django leaves out what other apps bring; LOCALE_PATHS it reads in any case.
    words = JavaScriptCatalog(packages=["pushpilot"])
    with override(language):
        return bytes(words.get(HttpRequest()).content) + _KEPT


@register.simple_tag(name="words_script")
def address() -> str:
    """Of the reader's catalogue. The version makes that caches need never ask again."""
    language = get_language() or settings.LANGUAGE_CODE
    version = hashlib.sha256(_script(language)).hexdigest()[:12]
    return f"/words/{language}.js?v={version}"


def catalogue(request: HttpRequest, language: str) -> HttpResponse:
    if language not in dict(settings.LANGUAGES):
        raise Http404("no such language")
    return HttpResponse(
        _script(language),
        'text/javascript; charset="utf-8"',
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )
