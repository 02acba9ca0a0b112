"""Every address of the product, visited by every role, by GET and by POST with an empty form."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from django.db import models, transaction
from django.http import HttpResponse
from django.test import Client

from campaigns.models import Campaign, Run, Template
from pushpilot.sites import console
from tenants import keys, roles
from tenants.models import ApiKey
from tenants.scope import every_workspace, scope
from tests.conftest import Cast
from tests.house import routes
from tests.house.routes import Route, Rule
from tests.house.rows import MAKERS, Rows, rows_of

ROLES = ("anonymous", "outsider", "viewer", "member", "admin", "owner", "operator")
LOGIN, MISSING, FORBIDDEN, ALLOWED, WRONG_METHOD, NO_KEY = "login", "404", "403", "allowed", "405", "401"
# Below this many something was not enumerated: the numbers only grow.
LEAST_ROUTES, LEAST_CELLS = 200, 2500
# Pages about a row of another model than the one under which their address lies.
OTHER_ROW = {
    "admin:reports_run_funnel": Run,
    "admin:reports_run_figures": Run,
    "admin:reports_campaign_funnel": Campaign,
}
COPY_GLOBAL = "admin:campaigns_template_copy_to_workspace"


@pytest.fixture(autouse=True)
def _quiet(settings):
    """Thousands of refusals are meant; their warnings would bury a failure's message."""
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def expected(route: Route, method: str, role: str, capabilities: frozenset[str]) -> set[str]:
    """The classes of answer that are right for this role."""
    assert route.rule is not None
    rule = route.rule.get if method == "GET" else route.rule.post
    if not route.path.startswith("admin/"):
        return _outside_of_workspaces(route, rule, role)
    if role == "anonymous":
        return {LOGIN}
    if role in ("outsider", "operator") or rule == routes.GONE:
        return {MISSING}
    if rule == routes.NO_SUCH_METHOD:
        return {WRONG_METHOD, FORBIDDEN}
    return {ALLOWED} if rule in capabilities else {FORBIDDEN}


def _outside_of_workspaces(route: Route, rule: str, role: str) -> set[str]:
    plain = {
        routes.PUBLIC: {ALLOWED, WRONG_METHOD},
        routes.ENTRANCE: {ALLOWED, WRONG_METHOD, LOGIN, MISSING, FORBIDDEN, NO_KEY},
        routes.BY_KEY: {NO_KEY},
        routes.GONE: {MISSING},
        routes.NO_SUCH_METHOD: {WRONG_METHOD},
    }
    if rule in plain:
        return plain[rule]
    if role == "anonymous":
        return {LOGIN}
    if rule == routes.SIGNED_IN:
        return {ALLOWED}
    if role != "operator":
        return {MISSING}
    # Third-party pages: their lists must open; what else they answer an operator is theirs, but they do not break.
    opens = route.name.endswith(("_changelist", ":index"))
    return {ALLOWED} if opens else {ALLOWED, WRONG_METHOD, FORBIDDEN, MISSING}


def classify(response: HttpResponse) -> str:
    status = response.status_code
    if status in (301, 302) and response.headers["Location"].startswith("/accounts/login/"):
        return LOGIN
    named = {404: MISSING, 403: FORBIDDEN, 405: WRONG_METHOD, 401: NO_KEY}
    if status in named:
        return named[status]
    # 400, 409 and 422 are the page's own word on an empty body, 503 on the sandbox that is not there: the role is in.
    return ALLOWED if status < 500 or status == 503 else f"{status}"


def visit(client: Client, method: str, url: str) -> str:
    """The class of the answer. What the visit did to the database and to the session is undone."""
    cookies = client.cookies.copy()
    with transaction.atomic():
        try:
            # The form without fields that Unfold's dialogs post as the answer "yes".
            response = client.get(url) if method == "GET" else client.post(url, {"_form_submitted": "on"})
            answer = classify(response)
        except Exception as error:  # a page that raises is this test's catch
            answer = f"raised {type(error).__name__}: {error}"
        transaction.set_rollback(True)
    client.cookies = cookies
    return answer


def client_of(cast: Cast, role: str) -> Client:
    return cast.client(role)


def url_of(cast: Cast, route: Route, rows: Rows) -> str:
    row = rows.get(OTHER_ROW.get(route.name, route.model)) if route.model else None
    if route.path.startswith("admin/"):
        return cast.url(routes.fill(route.path.removeprefix("admin/"), row))
    return "/" + routes.fill(route.path, row)


def capabilities_of(role: str) -> frozenset[str]:
    return roles.ROLE_CAPABILITIES.get(role, frozenset())


def faults(cast: Cast, role: str, listed: list[Route], rows: Rows) -> list[str]:
    client = client_of(cast, role)
    with every_workspace():
        shared, _ = Template.objects.get_or_create(workspace=None, name="Shared", category="offer", title="x", body="y")
    found = []
    for route in listed:
        url = url_of(cast, route, {**rows, Template: shared} if route.name == COPY_GLOBAL else rows)
        for method in ("GET", "POST"):
            answer = visit(client, method, url)
            right = expected(route, method, role, capabilities_of(role))
            if answer not in right:
                found.append(f"{role}: {method} {url} ({route.name}): {answer}, not {' or '.join(sorted(right))}")
    return found


def unclassified(listed: list[Route]) -> list[str]:
    return [f"{route.path} ({route.name})" for route in listed if route.rule is None]


def test_every_route_is_classified():
    listed = routes.all_routes()
    hint = "Say in tests/house/routes.py (CONSOLE or SITE) which capability each of these needs:"
    assert not unclassified(listed), "\n".join([hint, *unclassified(listed)])
    cells = len(listed) * len(ROLES) * 2
    print(f"{len(listed)} routes, {cells} cells")
    assert len(listed) >= LEAST_ROUTES
    assert cells >= LEAST_CELLS


def test_every_page_of_the_console_has_an_example_row():
    known = {*MAKERS, *rows_without_makers()}
    missing = [model._meta.label for model in console._registry if model not in known]
    assert not missing, f"Make a row of these in tests/house/rows.py: {missing}"


def rows_without_makers() -> set[type[models.Model]]:
    from tenants.models import Membership, Workspace

    return {Membership, Workspace}


@pytest.mark.parametrize("role", ROLES)
def test_every_route_answers_each_role_as_its_capabilities_say(cast, role):
    found = faults(cast, role, [route for route in routes.all_routes() if route.rule], rows_of(cast.workspace))
    assert not found, "\n".join(found)


def test_every_classified_route_lets_somebody_in(cast):
    """The positive control: a page that refuses everybody would pass every other test."""
    shut = []
    for route in routes.all_routes():
        for rule in (route.rule.get, route.rule.post) if route.rule else ():
            holders = [role for role in ROLES if rule in capabilities_of(role)]
            if rule in roles.CAPABILITIES and "owner" not in holders:
                shut.append(route.path)
    assert not shut


def test_rows_of_another_workspace_are_404_whatever_the_role(cast):
    theirs = rows_of(cast.other_workspace)
    client = cast.client("owner")
    found = []
    for route in routes.all_routes():
        if not route.model or "<" not in route.path or route.path.endswith("/<path:object_id>/"):
            continue
        url = url_of(cast, route, theirs)
        for method in ("GET", "POST"):
            answer = visit(client, method, url)
            if answer not in (MISSING, FORBIDDEN, WRONG_METHOD):
                found.append(f"{method} {url}: {answer}")
    assert not found, "\n".join(found)


def test_the_events_door_opens_with_a_write_key(cast):
    """The positive control of the one address that no sign-in opens."""
    key = ApiKey(workspace=cast.workspace, name="Android app")
    with scope(cast.workspace):
        secret = keys.create(key, by=None)
    headers = {"Authorization": f"Bearer {secret}"}
    assert Client().post("/api/v1/events", {}, content_type="application/json", headers=headers).status_code == 422


# --- the test itself is shown to catch what it looks for ---------------------------------------------------------
def _route(name: str) -> Route:
    return next(route for route in routes.all_routes() if route.name == name)


def test_a_page_that_lets_a_viewer_in_is_caught(cast, monkeypatch):
    from tenants.admin.keys import ApiKeyAdmin

    monkeypatch.setattr(ApiKeyAdmin, "has_view_permission", lambda self, request, obj=None: True)
    found = faults(cast, "viewer", [_route("admin:tenants_apikey_changelist")], rows_of(cast.workspace))
    assert len(found) == 2
    assert "allowed, not 403" in found[0]


def test_a_page_that_raises_is_caught(cast, monkeypatch):
    from tenants.admin.members import MembershipAdmin

    monkeypatch.setattr(MembershipAdmin, "get_queryset", lambda self, request: 1 / 0)
    found = faults(cast, "owner", [_route("admin:tenants_membership_changelist")], rows_of(cast.workspace))
    assert "raised ZeroDivisionError" in found[0]


def test_a_page_that_refuses_its_owner_is_caught(cast, monkeypatch):
    from tenants.admin.keys import ApiKeyAdmin

    monkeypatch.setattr(ApiKeyAdmin, "has_add_permission", lambda self, request: False)
    found = faults(cast, "owner", [_route("admin:tenants_apikey_add")], rows_of(cast.workspace))
    assert "403, not allowed" in found[0]


def test_a_route_without_a_rule_is_caught():
    assert unclassified([replace(_route("home"), rule=None)]) == [" (home)"]


def test_a_rule_that_is_too_strict_is_caught(cast):
    wrong = replace(_route("admin:index"), rule=Rule(roles.BILLING, roles.BILLING))
    assert "allowed, not 403" in faults(cast, "viewer", [wrong], rows_of(cast.workspace))[0]
