"""Whatever goes wrong under /api/ is problem+json with a sentence, Django's own pages included."""

from __future__ import annotations

import pytest
from django.db import IntegrityError
from django.test import Client
from django.utils.translation import trans_real

from pushpilot import api
from tenants import workspaces
from tenants.api import tokens
from tests.tenants.api.app import App, refused
from tests.translations import Marked


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/workspaces//", "/auth", "/../", "/workspaces/x/members/y"]
)
@pytest.mark.parametrize("debug", [True, False])
def test_an_unknown_address_is_a_problem(app, settings, path, debug):
    settings.DEBUG = debug
    answer = app.get(path)
    assert refused(answer) == (404, "not_found")
    assert "/api/v1/docs" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v2/workspaces"])
def test_so_are_those_beside_the_version(db, path):
    response = Client().get(path)
    assert response.status_code == 404
    assert (response.headers["Content-Type"] == "application/problem+json") is path.startswith(
        "/api/"
    )


def test_a_wrong_method_names_the_right_ones(app):
    answer = app.ask("PUT", "/workspaces")
    assert refused(answer) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


def test_a_host_that_is_not_ours_is_a_problem(db):
    response = Client(headers={"Host": "evil.test"}).get(
        "/api/v1/workspaces/x/", SERVER_NAME="evil.test"
    )
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_body_that_is_too_large_is_a_problem(app, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert refused(app.post("/auth/login", email="x" * 200, password="y")) == (413, "too_large")


def test_two_who_write_the_same_in_one_moment_get_409(ashas, monkeypatch):
    def refuse(*args, **kwargs):
        raise IntegrityError("UNIQUE constraint failed: secret detail")

    monkeypatch.setattr(workspaces, "create_workspace", refuse)
    answer = ashas.post("/workspaces", name="FreshCart")
    assert refused(answer) == (409, "conflict")
    assert "UNIQUE" not in answer.json()["detail"]


def test_a_fault_of_ours_is_answered_without_its_trace(ashas, monkeypatch):
    monkeypatch.setattr(workspaces, "create_workspace", lambda *args, **kwargs: 1 / 0)
    answer = ashas.post("/workspaces", name="FreshCart")
    assert refused(answer) == (500, "internal")
    assert "division" not in answer.content.decode()


def test_every_wrong_field_is_listed(app):
    answer = app.post("/auth/login", email=5, passwort="x")
    assert {error["field"]: error["code"] for error in answer.json()["errors"]} == {
        "email": "string_type", "password": "missing", "passwort": "unknown",
    }  # fmt: skip


def test_pages_outside_of_the_api_stay_pages(db):
    assert Client().get("/nowhere").headers["Content-Type"].startswith("text/html")


def test_there_is_one_api():
    assert App().get("/openapi.json").json()["info"]["title"] == api.api.title


# --- in the reader's language ---------------------------------------------------------------------
@pytest.fixture
def german(settings, monkeypatch):
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    monkeypatch.setitem(trans_real._translations, "de", Marked("de"))
    return {"Accept-Language": "de"}


CHUNKED = {"Transfer-Encoding": "chunked"}
LARGE = {"Content-Length": "700000"}


@pytest.mark.parametrize(
    ("authorization", "path", "headers", "refusal"),
    [
        (None, "/nowhere", {}, (404, "not_found")),
        (None, "/workspaces?q=%00", {}, (400, "bad_text")),
        (None, "/auth/login", {}, (405, "method_not_allowed")),
        (None, "/auth/login", CHUNKED, (411, "length_required")),
        (None, "/auth/login", LARGE, (413, "body_too_large")),
        (None, "/workspaces", {}, (401, "unauthenticated")),
        ("Bearer x", "/workspaces", {}, (401, "token_invalid")),
        ("Bearer pp_live_sk_x", "/workspaces", {}, (401, "unauthenticated")),
    ],
)
def test_a_refusal_speaks_the_language_of_its_own_request(
    db, german, authorization, path, headers, refusal
):
    """Also what is refused before a view, right after a request in another language."""
    stranger = App(authorization)
    english = stranger.get(path, **headers)
    assert refused(english) == refusal
    answer = stranger.get(path, **headers, **german)
    assert refused(answer) == refusal
    assert answer.json()["detail"].startswith("⟦")
    assert stranger.get(path, **headers).json() == english.json()


@pytest.mark.parametrize("name", ["owner", "viewer"])
def test_so_does_what_a_role_or_a_workspace_refuses(apps, german, name):
    unknown = apps[name].get("/workspaces/nowhere", **german)
    assert refused(unknown) == (404, "workspace_not_found")
    missing = apps[name].ask("DELETE", "/workspaces/biddano-tech/members/0", **german)
    assert missing.status_code == {"owner": 404, "viewer": 403}[name]
    for answer in (unknown, missing):
        assert answer.json()["detail"].startswith("⟦")


@pytest.mark.parametrize("use", ["access", "refresh", "second_factor"])
def test_each_use_of_a_token_has_its_sentences(use):
    told = {str(words[use]) for words in (tokens._EXPIRED, tokens._FOREIGN)}
    assert len(told) == 2
    assert all(use.replace("_", " ") in text for text in told)
