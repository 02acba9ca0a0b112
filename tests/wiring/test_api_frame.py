"""What every operation of the API has in common: limits, documented errors, the reading view."""

from __future__ import annotations

import pytest

from pushpilot.api import api
from tenants import keys
from tenants.models import ApiKey, Workspace
from tenants.scope import scope
from tests.tenants.api.app import App


@pytest.fixture
def reader(cast) -> App:
    key = ApiKey(
        workspace=cast.workspace,
        name="Backend",
        kind=ApiKey.Kind.SECRET,
        scopes=[keys.WORKSPACE_READ],
    )
    with scope(cast.workspace):
        return App(f"Bearer {keys.create(key, by=cast.owner)}")


# --- how often ------------------------------------------------------------------------------------
def test_every_answer_says_what_is_left_of_the_minute_and_the_last_one_when_to_come_back(
    reader, settings
):
    settings.API_PER_MINUTE = 2
    # a minute may end between two of them
    answers = [reader.get("/workspace") for _ in range(5)]
    first, last = answers[0], answers[-1]
    assert (first.status_code, last.status_code) == (200, 429)
    assert first.headers["RateLimit-Limit"] == "2"
    assert int(first.headers["RateLimit-Remaining"]) <= 1
    assert last.json()["code"] == "too_many_requests"
    assert last.headers["RateLimit-Remaining"] == "0"
    assert 1 <= int(last.headers["Retry-After"]) == int(last.headers["RateLimit-Reset"]) <= 60


def test_a_refused_request_counts_and_says_what_is_left(reader, settings):
    settings.API_PER_MINUTE = 100
    told = reader.get("/workspaces/nobodys")
    assert told.status_code == 404
    assert told.headers["RateLimit-Limit"] == "100"


def test_a_larger_plan_has_more_requests(reader, cast):
    assert reader.get("/workspace").headers["RateLimit-Limit"] == "1000000"
    Workspace.objects.filter(pk=cast.workspace.pk).update(plan=Workspace.Plan.PRO)
    assert reader.get("/workspace").headers["RateLimit-Limit"] == "5000000"


def test_sixty_sign_ins_of_an_address_in_a_minute_are_enough(cast):
    answers = [App().post("/auth/refresh", refresh_token="x") for _ in range(122)]
    assert answers[0].status_code == 401
    assert answers[0].headers["RateLimit-Limit"] == "60"
    assert answers[-1].status_code == 429


# --- what is documented ---------------------------------------------------------------------------
def test_errors_have_an_example_at_every_operation():
    document = api.get_openapi_schema()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            errors = {
                status: answer
                for status, answer in operation["responses"].items()
                if int(status) >= 400
            }
            assert {"422", "429", "503"} <= errors.keys(), (method, path)
            for status, answer in errors.items():
                example = answer["content"]["application/problem+json"]["example"]
                assert example["status"] == int(status), (method, path)
            if operation.get("security"):
                assert {"401", "403"} <= errors.keys(), (method, path)
            if "{" in path:
                assert "404" in errors, (method, path)


def test_the_reading_view_names_no_other_server(client):
    answer = client.get("/api/v1/reference")
    words = answer.content.decode()
    assert 'spec-url="/api/v1/openapi.json"' in words
    assert "ninja/redoc.standalone" in words
    assert "https:" not in words.replace('href^="https://redocly.com"', "")
    assert "img-src 'self' data:;" in answer.headers["Content-Security-Policy"] + ";"
