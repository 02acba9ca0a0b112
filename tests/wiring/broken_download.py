"""The product's WSGI application, with none but two addresses: a long CSV file, and one whose
rows fail on the way.

`granian --interface wsgi tests.wiring.broken_download:application`, for
tests/wiring/test_downloads.py. No test imports it, because it changes the settings of its
process.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path

from pushpilot.lib.downloads import csv_answer
from pushpilot.wsgi import application

__all__ = ["application"]

ROWS = 20_000
settings.ROOT_URLCONF = __name__


def _rows(ends_well: bool) -> Iterator[tuple[object, ...]]:
    yield "number", "square"
    for number in range(ROWS):
        yield number, f"{number}: {number * number:,}"
    if not ends_well:
        raise RuntimeError("the database went away")


def whole(request: HttpRequest) -> HttpResponseBase:
    return csv_answer(request, "whole.csv", _rows(ends_well=True))


def broken(request: HttpRequest) -> HttpResponseBase:
    return csv_answer(request, "broken.csv", _rows(ends_well=False))


urlpatterns = [path("whole.csv", whole), path("broken.csv", broken)]
