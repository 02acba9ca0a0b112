"""Lists of the API: pages, order, search, filters and their errors (pushpilot.lib.lists)."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from pushpilot.lib.lists import ListFilters, Stream
from pushpilot.lib.problems import Problem
from tenants.api.schemas import Person
from tenants.models import User
from tenants.workspaces import create_workspace
from tests.tenants.api.app import ROOT, refused

NAMES = ["Alpha", "Beta", "Delta", "Epsilon", "Gamma", "Zeta"]


class PeopleFilters(ListFilters):
    searched = ("full_name", "email")
    ordered = {"full_name": "full_name"}

    class Meta:
        model = User
        fields = ("is_active",)


PEOPLE = Stream(PeopleFilters, Person)


@pytest.fixture
def six(ashas, asha):
    """Somebody with six workspaces."""
    for name in NAMES:
        create_workspace(name, owner=asha)
    return ashas


def names(answer) -> list[str]:
    return [one["name"] for one in answer.json()["results"]]


def walk(app, address: str, way: str = "next") -> list[list[str]]:
    """The names on each page from this one on."""
    found = []
    while address:
        answer = app.get(address)
        found.append(names(answer))
        address = (answer.json()[way] or "").partition(ROOT)[2]
    return found


def test_a_list_comes_in_pages_that_lead_to_each_other(six):
    assert walk(six, "/workspaces?page_size=4") == [NAMES[:4], NAMES[4:]]
    assert walk(six, "/workspaces?page_size=4&page=2", "previous") == [NAMES[4:], NAMES[:4]]
    assert walk(six, "/workspaces?page_size=3") == [NAMES[:3], NAMES[3:]]
    assert six.get("/workspaces").json()["count"] == 6


def test_a_page_beyond_the_last_is_empty_and_leads_back(six):
    answer = six.get("/workspaces?page=9&page_size=4").json()
    assert (answer["results"], answer["next"], answer["count"]) == ([], None, 6)
    assert "page=2" in answer["previous"]


def test_links_to_pages_keep_the_filters(six):
    pages = walk(six, "/workspaces?search=ta&ordering=-name&page_size=2")
    assert pages == [["Zeta", "Delta"], ["Beta"]]


@pytest.mark.parametrize(
    ("words", "found"),
    [("beta", ["Beta"]), ("A lph", ["Alpha"]), ("%", []), ("", NAMES), ("alpha beta", [])],
)
def test_a_search_finds_rows_that_hold_every_word(six, words, found):
    assert names(six.get(f"/workspaces?search={words.replace('%', '%25')}")) == found


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("page=0", "page", "min_value"),
        ("page=x", "page", "invalid"),
        (f"page={'9' * 30}", "page", "max_value"),
        ("page_size=201", "page_size", "max_value"),
        ("ordering=plan", "ordering", "invalid_choice"),
        (f"search={'a' * 201}", "search", "max_length"),
        ("serach=a", "serach", "unknown"),
        ("limit=5", "limit", "unknown"),
        ("page=1&page=2", "page", "repeated"),
    ],
)
def test_a_wrong_parameter_is_named(six, query, field, code):
    answer = six.get(f"/workspaces?{query}")
    assert refused(answer) == (422, "invalid")
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]


def test_every_wrong_parameter_is_named_at_once(six):
    answer = six.get("/workspaces?page=0&ordering=plan")
    assert {one["field"] for one in answer.json()["errors"]} == {"page", "ordering"}


@pytest.mark.parametrize("path", ["/workspaces/alpha?a=1", "/workspace?page=2"])
def test_an_address_that_is_no_list_takes_no_parameters(six, path):
    assert refused(six.get(path)) == (422, "invalid")


@pytest.mark.parametrize("path", ["/workspaces", "/workspaces/alpha", "/workspaces/alpha/members"])
def test_a_slash_at_the_end_changes_nothing(six, path):
    plain, slashed = six.get(path), six.get(f"{path}/")
    assert (slashed.status_code, slashed.json()) == (200, plain.json())


def test_invitations_are_filtered_by_what_became_of_them(six):
    for email in ("a@example.com", "b@example.com"):
        six.post("/workspaces/alpha/invitations", email=email)
    gone = six.get("/workspaces/alpha/invitations").json()["results"][0]["id"]
    six.delete(f"/workspaces/alpha/invitations/{gone}")
    by_state = {
        state: six.get(f"/workspaces/alpha/invitations?state={state}").json()["count"]
        for state in ("pending", "revoked", "accepted", "expired")
    }
    assert by_state == {"pending": 1, "revoked": 1, "accepted": 0, "expired": 0}
    assert refused(six.get("/workspaces/alpha/invitations?state=lost")) == (422, "invalid")


# --- streams --------------------------------------------------------------------------------------
def told(query: str) -> dict:
    return PEOPLE.page(RequestFactory().get(f"/api/v1/people?{query}"), User.objects.all())


def query_of(address: str | None) -> str:
    return (address or "").partition("?")[2]


@pytest.fixture
def seven(db):
    """Keys of seven people, the newest first."""
    return [User.objects.create_user(f"p{number}@example.com").pk for number in range(7)][::-1]


def test_a_stream_goes_on_where_its_last_page_ended(seven):
    first = told("page_size=3")
    assert first["count"] is None
    assert [row.pk for row in first["results"]] == seven[:3]
    User.objects.create_user("late@example.com")
    second = told(query_of(first["next"]))
    third = told(query_of(second["next"]))
    assert [[row.pk for row in page["results"]] for page in (second, third)] == [
        seven[3:6],
        seven[6:],
    ]
    assert third["next"] is None


def test_a_stream_goes_back(seven):
    third = told(query_of(told(query_of(told("page_size=3")["next"]))["next"]))
    second = told(query_of(third["previous"]))
    first = told(query_of(second["previous"]))
    assert [[row.pk for row in page["results"]] for page in (second, first)] == [
        seven[3:6],
        seven[:3],
    ]
    assert (told("page_size=3")["previous"], first["previous"]) == (None, None)


def test_a_stream_is_filtered(seven):
    User.objects.filter(pk__in=seven[:2]).update(is_active=False)
    assert [row.pk for row in told("is_active=false")["results"]] == seven[:2]


@pytest.mark.parametrize("cursor", ["1", "after-", "after-x", "after-" + "9" * 19, "before--1"])
def test_a_cursor_that_is_none_is_named(db, cursor):
    with pytest.raises(Problem) as refused:
        told(f"cursor={cursor}")
    assert refused.value.extra["errors"][0]["field"] == "cursor"


def test_the_document_lists_every_parameter_with_its_schema(client):
    operation = client.get("/api/v1/openapi.json").json()["paths"][f"{ROOT}/workspaces"]["get"]
    found = {one["name"]: one["schema"] for one in operation["parameters"]}
    assert found["page_size"] == {"type": "integer", "minimum": 1, "maximum": 200}
    assert set(found["ordering"]["enum"]) == {"name", "-name", "created_at", "-created_at"}
    assert found["search"] == {"type": "string", "maxLength": 200}
