"""What a visitor may cause fills no log: one line for each refusal, a traceback only where our
own code failed."""

from __future__ import annotations

import io
import logging

import pytest
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from pushpilot.lib.redaction import Line

pytestmark = pytest.mark.once

ERRORS = {
    400: BadRequest("bad"),
    403: PermissionDenied("no"),
    404: Http404("none"),
    "suspicious": SuspiciousOperation("odd"),
    500: ZeroDivisionError("ours"),
}


def view(request: HttpRequest, name: str) -> HttpResponse:
    raise next((error for key, error in ERRORS.items() if str(key) == name), Http404("none"))


urlpatterns = [path("raise/<str:name>/", view)]


@pytest.fixture
def log(settings):
    """What the product's own handler writes."""
    settings.ROOT_URLCONF = __name__
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.setFormatter(Line())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def lines(log: io.StringIO) -> list[str]:
    return log.getvalue().splitlines()


@pytest.mark.parametrize("name", ["400", "403", "404"])
def test_a_refusal_writes_one_line(log, db, name):
    Client(raise_request_exception=False).get(f"/raise/{name}/")
    (line,) = lines(log)
    assert f"/raise/{name}/" in line


@pytest.mark.parametrize(
    ("address", "host"), [("/raise/suspicious/", "testserver"), ("/raise/404/", "evil.test")]
)
def test_what_django_calls_suspicious_writes_one_line_with_its_cause(log, db, address, host):
    assert (
        Client(raise_request_exception=False).get(address, headers={"host": host}).status_code
        == 400
    )
    (line,) = lines(log)
    assert host in line or "odd" in line


def test_a_line_break_in_an_address_makes_no_second_line(log, db):
    Client(raise_request_exception=False).get("/raise/403%0AERROR forged/")
    assert len(lines(log)) == 1


def test_a_fault_of_ours_keeps_its_traceback(log, db):
    Client(raise_request_exception=False).get("/raise/500/")
    assert "Traceback" in log.getvalue()
