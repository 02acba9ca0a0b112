"""Templates by API: written, listed, changed, deleted, and copied from the global library."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns.content import library as verbs
from campaigns.models import Template
from tenants import keys
from tenants.models import AuditEntry
from tenants.scope import every_workspace, scope
from tests.campaigns.api.conftest import backend_of
from tests.tenants.api.app import App, refused, wrong_fields
from tests.tenants.api.calls import app_of, audited

SEED = {
    "name": "Festival Offer",
    "category": "festive",
    "title": "Happy Diwali",
    "subtitle": "Sweets for all",
    "tone": "cheerful",
}


@pytest.fixture
def writer(cast) -> App:
    return backend_of(cast, keys.TEMPLATES_READ, keys.TEMPLATES_WRITE)


def created(app: App, **body: Any) -> dict[str, Any]:
    answer = app.post("/templates", **{**SEED, **body})
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def listed(app: App, query: str = "") -> list[str]:
    answer = app.get(f"/templates{query}")
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


# --- create and read ------------------------------------------------------------------------------
def test_the_seeds_body_makes_a_template(writer, cast):
    answer = writer.post("/templates", **SEED)
    assert answer.status_code == 201, answer.content
    template = answer.json()
    told = {name: template.pop(name) for name in ("id", "created_at", "updated_at")}
    assert template == {
        "workspace_id": cast.workspace.pk,
        "is_global": False,
        "name": "Festival Offer",
        "channel": "app_push",
        "language": "en",
        "category": "festive",
        "tone": "cheerful",
        "title": "Happy Diwali",
        "body": "Sweets for all",
    }
    read = writer.get(f"/templates/{told['id']}")
    assert read.json() == {**template, **told}
    assert read.headers["ETag"] == answer.headers["ETag"]
    entry = audited("template created")
    assert (entry.actor, entry.actor_label) == (None, "API key “Backend”")


def test_a_person_is_named_in_the_trail(cast):
    created(app_of(cast.member))
    assert audited("template created").actor == cast.member


def test_a_template_holds_every_field_of_its_channel(writer):
    options = {
        "ttl_secs": 0,
        "data": {"screen": "x"},
        "buttons": [{"text": "Go", "url": "app://x"}],
    }
    template = created(writer, **options)
    assert {name: template[name] for name in options} == options


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"category": "sport"}, "category"),
        ({"tone": "loud"}, "tone"),
        ({"channel": "fax"}, "channel"),
        ({"language": "english"}, "language"),
        ({"title": ""}, "title"),
        ({"title": 5}, "title"),
        ({"title": ["x"]}, "title"),
        ({"title": "{{ n"}, "title"),
        ({"body": "too"}, "subtitle"),
        ({"image_url": "ftp://a.b/c"}, "image_url"),
        ({"headline": "x"}, "headline"),
        ({"id": 5}, "id"),
        ({"is_global": True}, "is_global"),
        ({"workspace_id": None}, "workspace_id"),
        ({"buttons": [5]}, "buttons.0"),
        ({"buttons": [{"text": "x" * 31}]}, "buttons.0.text"),
        ({"data": {"from": "x"}}, "data"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(writer, cast, body, field):
    assert wrong_fields(writer.post("/templates", **{**SEED, **body})) == [field]
    with scope(cast.workspace):
        assert not Template.objects.exists()


def test_the_name_of_another_template_is_refused_in_any_case(writer):
    created(writer)
    answer = writer.post("/templates", **{**SEED, "name": "FESTIVAL offer"})
    assert wrong_fields(answer) == ["name"]
    created(writer, name="FESTIVAL offer", language="hi")


def test_the_same_request_with_a_key_of_its_own_makes_one_template(writer, cast):
    first, again = (
        writer.ask("POST", "/templates", SEED, **{"Idempotency-Key": "k1"}) for _ in range(2)
    )
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    with scope(cast.workspace):
        assert Template.objects.count() == 1


# --- lists ----------------------------------------------------------------------------------------
def test_the_list_holds_own_and_global_templates_with_their_texts(writer, own, library, foreign):
    answer = writer.get("/templates").json()
    assert answer["count"] == 2
    assert [(row["name"], row["is_global"], row["workspace_id"]) for row in answer["results"]] == [
        ("Ours", False, own.workspace_id),
        ("Welcome", True, None),
    ]
    assert answer["results"][0]["body"] == "A line of ours"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?library=own", ["Ours"]),
        ("?library=global", ["Welcome"]),
        ("?category=welcome", ["Welcome"]),
        ("?channel=web_push", []),
        ("?tone=formal", []),
        ("?language=EN", ["Ours", "Welcome"]),
        ("?language=hi", []),
        ("?search=line+ours", ["Ours"]),
        ("?search=welcome", ["Welcome"]),
        ("?ordering=-name", ["Welcome", "Ours"]),
        ("?created_after=2090-01-01T00:00:00Z", []),
        ("?updated_before=2090-01-01T00:00:00Z", ["Ours", "Welcome"]),
        ("/?page_size=1&page=2", ["Welcome"]),
    ],
)
def test_the_list_is_filtered_searched_and_ordered(writer, own, library, query, names):
    assert listed(writer, query) == names


@pytest.mark.parametrize(
    "query", ["library=mine", "category=x", "colour=red", "language=" + "x" * 36]
)
def test_a_filter_that_is_wrong_is_named(writer, query):
    assert wrong_fields(writer.get(f"/templates?{query}")) == [query.partition("=")[0]]


# --- change and delete ----------------------------------------------------------------------------
def test_a_change_tells_absent_from_null(writer):
    template = created(writer, deep_link="app://offers", ttl_secs=60)
    answer = writer.patch(f"/templates/{template['id']}/", title="New", deep_link=None, tone=None)
    assert answer.status_code == 200, answer.content
    changed = answer.json()
    assert (changed["title"], changed["body"], changed["tone"]) == ("New", "Sweets for all", "")
    assert changed["ttl_secs"] == 60
    assert not changed.get("deep_link")
    assert wrong_fields(writer.patch(f"/templates/{template['id']}", title=None)) == ["title"]
    assert wrong_fields(writer.patch(f"/templates/{template['id']}", category=None)) == ["category"]
    entry = audited("template changed")
    assert entry.changes["title"] == ["Happy Diwali", "New"]
    assert "body" not in entry.changes


def test_of_two_editors_the_second_is_told(writer):
    template = created(writer)
    address = f"/templates/{template['id']}"
    seen = writer.get(address).headers["ETag"]
    first = writer.ask("PATCH", address, {"title": "First"}, **{"If-Match": seen})
    assert first.status_code == 200
    assert first.headers["ETag"] != seen
    for method, body in (("PATCH", {"title": "Second"}), ("DELETE", None)):
        late = writer.ask(method, address, body, **{"If-Match": seen})
        assert refused(late) == (412, "changed_meanwhile")
        assert late.json()["current"]["title"] == "First"
    assert writer.ask("DELETE", address, **{"If-Match": first.headers["ETag"]}).status_code == 204
    assert refused(writer.get(address)) == (404, "template_not_found")
    assert audited("template deleted").changes["title"] == ["First", None]


def test_a_change_of_nothing_keeps_the_tag(writer):
    template = created(writer)
    address = f"/templates/{template['id']}"
    seen = writer.get(address).headers["ETag"]
    assert writer.patch(address, title="Happy Diwali").headers["ETag"] == seen
    assert writer.patch(address).headers["ETag"] == seen


# --- the global library ---------------------------------------------------------------------------
def test_a_global_template_is_read_and_copied_and_never_changed(writer, cast, library):
    address = f"/templates/{library.pk}"
    assert writer.get(address).json()["is_global"]
    for answer in (writer.patch(address, title="Mine"), writer.delete(address)):
        assert refused(answer) == (409, "global_template")
    first, second = (writer.post(f"{address}/copy{slash}") for slash in ("", "/"))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["name"] == "Welcome"
    assert second.json()["name"] == "Welcome (2)"
    assert first.json()["workspace_id"] == cast.workspace.pk
    assert audited("template copied").detail == {"source": "Welcome"}
    assert writer.patch(f"/templates/{first.json()['id']}", title="Mine").status_code == 200
    assert writer.get(address).json()["title"].startswith("Welcome")


def test_an_own_template_needs_no_copy(writer, own):
    assert refused(writer.post(f"/templates/{own.pk}/copy")) == (409, "refused")


# --- who may --------------------------------------------------------------------------------------
CALLS = [
    ("GET", "", None),
    ("PATCH", "", {"title": "New"}),
    ("DELETE", "", None),
    ("POST", "/copy", None),
]


@pytest.mark.parametrize(("method", "tail", "body"), CALLS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_what_is_not_there_and_what_is_anothers_are_the_same(
    writer, foreign, method, tail, body, slash
):
    for pk in (foreign.pk, 987_654_321, 10**30):
        answer = writer.ask(method, f"/templates/{pk}{tail}{slash}", body)
        assert answer.status_code == 404
    with every_workspace():
        foreign.refresh_from_db()
    assert foreign.title == "Secret title"


@pytest.mark.parametrize(("method", "tail", "body"), CALLS)
def test_a_key_needs_the_scope(cast, own, method, tail, body):
    reader = backend_of(cast, keys.TEMPLATES_READ, keys.CAMPAIGNS_WRITE)
    answer = reader.ask(method, f"/templates/{own.pk}{tail}", body)
    if method == "GET":
        assert answer.status_code == 200
    else:
        assert refused(answer) == (403, "scope_missing")
    writes_only = backend_of(cast, keys.TEMPLATES_WRITE)
    assert refused(writes_only.get(f"/templates/{own.pk}")) == (403, "scope_missing")


def test_a_viewer_reads_and_writes_nothing(cast, own):
    app = app_of(cast.viewer)
    assert app.get(f"/templates/{own.pk}").status_code == 200
    for method, tail, body in CALLS[1:]:
        assert refused(app.ask(method, f"/templates/{own.pk}{tail}", body)) == (403, "forbidden")
    assert refused(app.post("/templates", **SEED)) == (403, "forbidden")
    with scope(cast.workspace):
        assert not AuditEntry.objects.filter(action__startswith="template").exists()


def test_a_name_that_is_taken_in_this_moment_is_said_at_its_field(writer, monkeypatch):
    created(writer)
    monkeypatch.setattr(verbs, "faults", lambda *args, **kwargs: {})
    assert wrong_fields(writer.post("/templates", **SEED)) == ["name"]
