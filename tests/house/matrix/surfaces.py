"""The surfaces of the product, found in the URLconf and the registries, each as cells for a
role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import models
from django.forms import FileField, ModelChoiceField
from django.http import HttpResponse

from pushpilot.sites import console
from tenants import roles
from tests.house import routes
from tests.house.matrix.cells import Cell, any_of, is_insider, refusal_of
from tests.house.matrix.proofs import OTHER_ROW, Post, Proof, proof_of, row_of
from tests.house.matrix.world import (
    ABSENT,
    ALLOWED,
    FORBIDDEN,
    LOGIN,
    MISSING,
    NO_KEY,
    WRONG_METHOD,
    World,
    forms_of,
    visit,
)  # fmt: skip
from tests.house.routes import Route
from tests.pages import YES

METHODS = ("GET", "POST")


def asker(
    world: World, role: str, method: str, url: str, data: Any = None, **more: Any
) -> Callable[[], HttpResponse]:
    def ask() -> HttpResponse:
        client = world.clients[role]
        return (
            client.get(url, data, **more)
            if method == "GET"
            else client.post(url, data or {}, **more)
        )

    return ask


# --- routes ---------------------------------------------------------------------------------------
def expected(route: Route, method: str, role: str, capabilities: frozenset[str]) -> frozenset[str]:
    """The classes of answer that are right for this role."""
    assert route.rule is not None
    rule = route.rule.get if method == "GET" else route.rule.post
    if not route.path.startswith("admin/"):
        return any_of(*_outside_of_workspaces(route, rule, role))
    if not is_insider(role):
        return any_of(refusal_of(role))
    if rule == routes.GONE:
        return any_of(MISSING)
    if rule == routes.NO_SUCH_METHOD:
        return any_of(WRONG_METHOD, FORBIDDEN)
    return any_of(ALLOWED if rule in capabilities else FORBIDDEN)


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
    # Third-party pages: their lists must open; what else they answer an operator is theirs, but
    # they do not break.
    opens = route.name.endswith(("_changelist", ":index"))
    return {ALLOWED} if opens else {ALLOWED, WRONG_METHOD, FORBIDDEN, MISSING}


def unclassified(listed: list[Route]) -> list[str]:
    """Routes of which nobody has said who may use them, or what they show to who may."""
    found = [
        f"{route.path} ({route.name}): say in tests/house/routes.py (CONSOLE or SITE) which "
        "capability it needs"
        for route in listed
        if route.rule is None
    ]
    return found + [
        f"{route.path} ({route.name}): say in tests/house/matrix/proofs.py (PROOFS) what it shows "
        "or changes"
        for route in listed
        if route.rule is not None and _is_provable(route) and proof_of(route) is None
    ]


def _is_provable(route: Route) -> bool:
    shut = (
        routes.GONE,
        routes.NOBODY,
        routes.NO_SUCH_METHOD,
        routes.ENTRANCE,
        routes.OPERATORS,
        routes.BY_KEY,
    )
    return route.rule is not None and not {route.rule.get, route.rule.post} <= set(shut)


def route_cells(world: World, role: str, listed: list[Route] | None = None) -> Iterator[Cell]:
    """Every address by GET and by POST: with rows of ours and, where it names a row, with the
    other tenant's."""
    for route in routes.all_routes() if listed is None else listed:
        if route.rule is None:
            continue
        proof = proof_of(route) or Proof()
        for method in METHODS:
            yield _route_cell(world, role, route, method, proof)
            if route.path.startswith("admin/") and route.model is not None and "<" in route.path:
                yield _foreign_cell(world, role, route, method, proof)
                if role == "other_owner":
                    yield replace(
                        _foreign_cell(world, role, route, method, proof, home_of="theirs"), tenant="theirs",
                        whose="ours, from their own workspace",
                    )  # fmt: skip


def _route_cell(world: World, role: str, route: Route, method: str, proof: Proof) -> Cell:
    in_console = route.path.startswith("admin/")
    url = url_of(world, route, row_of(world, route, "ours"))
    right = expected(route, method, role, world.capabilities(role))
    insider = is_insider(role)
    post = (
        body_of(world, route, proof, world.ours, with_draft=insider) if method == "POST" else None
    )
    opens = right == {ALLOWED} if in_console else ALLOWED in right
    proves = opens and (insider or route.rule.get == routes.PUBLIC)  # type: ignore[union-attr]
    changes = proof.changes if method == "POST" and role not in proof.spares else None
    return Cell(
        f"{method} {route.name or route.path}",
        role,
        "ours",
        asker(world, role, method, url, post),
        right,
        asked=f"{url} {post}",
        before=partial(proof.before, world.ours) if proof.before else None,
        shows=(proof.get if method == "GET" else proof.said) if proves else "",
        changes=changes._meta.label if changes and proves else "",
        tenant="theirs" if role == "other_owner" and not in_console else "ours",
        on_platform=route.path.startswith(("platform/", "accounts/"))
        or route.name in ("home", "account_profile"),
        reads_only=method == "GET",
    )


def _foreign_cell(
    world: World, role: str, route: Route, method: str, proof: Proof, home_of: str = "ours"
) -> Cell:
    """With the id of a row that the door's tenant does not have."""
    rows = world.theirs if home_of == "ours" else world.ours
    row = rows.get(OTHER_ROW.get(route.name, route.model))  # type: ignore[arg-type]
    url = url_of(world, route, row, home_of=home_of)
    nowhere = url_of(world, route, None, home_of=home_of)
    insider = is_insider(role) or home_of == "theirs"
    post = (
        body_of(world, route, proof, world.ours, with_draft=insider) if method == "POST" else None
    )
    is_old_address = route.path.endswith("/<path:object_id>/")  # redirects, whatever the id
    if insider:
        right = any_of(MISSING, FORBIDDEN, WRONG_METHOD, *([ALLOWED] if is_old_address else []))
        capability = route.rule.get if method == "GET" else route.rule.post  # type: ignore[union-attr]
        held = world.capabilities(role if home_of == "ours" else "owner")
        if capability in held and not is_old_address:
            right = any_of(MISSING)
    else:
        right = any_of(refusal_of(role))
    return Cell(
        f"{method} {route.name or route.path}",
        role,
        "theirs",
        asker(world, role, method, url, post),
        right,
        asked=f"{url} {post}",
        before=partial(proof.before, rows) if proof.before else None,
        twin=asker(world, role, method, nowhere, post) if len(right) > 1 else None,
        reads_only=method == "GET",
    )


def url_of(world: World, route: Route, row: models.Model | None, home_of: str = "ours") -> str:
    """The address with the row's id in it; without a row, one that no row has."""
    path = routes.fill(route.path, row) if row is not None else routes.fill(route.path, _Nothing())  # type: ignore[arg-type]
    return (
        world.url(path.removeprefix("admin/"), home_of=home_of)
        if path.startswith("admin/")
        else f"/{path}"
    )


class _Nothing:
    pk = ABSENT


# --- what is posted -------------------------------------------------------------------------------
def body_of(
    world: World, route: Route, proof: Proof, rows: Any, *, with_draft: bool = True
) -> Post:
    """What the proof says; for the forms of a row, all that the form showed too."""
    post = proof.post(world, rows) if callable(proof.post) else dict(proof.post or {})
    if with_draft and route.model is not None and route.name.endswith(("_add", "_change")):
        return {**draft(world, route), **post}
    return post or dict(YES)


def draft(world: World, route: Route) -> Post:
    """What the form of our row posts if nobody changes anything."""
    if route.name not in world.drafts:
        world.drafts[route.name] = {}
        for form in _forms_shown(world, route):
            world.drafts[route.name] |= _filled(form)
    return world.drafts[route.name]


def _forms_shown(world: World, route: Route) -> list[Any]:
    """The forms that an owner sees at the address of our row."""
    url = url_of(world, route, row_of(world, route, "ours"))
    shown: list[HttpResponse] = []

    def ask() -> HttpResponse:
        shown.append(world.clients["owner"].get(url))
        return shown[0]

    visit(world, ask)
    return forms_of(shown[0]) if shown else []


def _filled(form: Any) -> Post:
    post = {}
    for name, one in form.fields.items():
        value = one.prepare_value(form.get_initial_for_field(one, name))
        if value not in (None, False) and not isinstance(one, FileField):
            post[form.add_prefix(name)] = "on" if value is True else value
    return post


# --- who may at all -------------------------------------------------------------------------------
def form_cells(world: World, role: str) -> Iterator[Cell]:
    """Every form with a choice of rows, posted with a row of the other tenant in its place."""
    foreign = {model: row.pk for model, row in world.theirs.items()}
    for route in routes.all_routes():
        proof = proof_of(route) or Proof()
        if (
            not route.path.startswith("admin/")
            or route.rule is None
            or route.rule.post not in roles.CAPABILITIES
        ):
            continue
        for name, model in _choices(world, route):
            pk = foreign.get(model, world.cast.other_owner.pk)
            post = {**body_of(world, route, proof, world.ours), name: str(pk)}
            url = url_of(world, route, row_of(world, route, "ours"))
            yield Cell(
                f"POST {route.name} with {name} of theirs", role, "theirs", asker(world, role, "POST", url, post),
                expected(route, "POST", role, world.capabilities(role)), asked=f"{url} {post}",
                reads_only=True,
            )  # fmt: skip


def _choices(world: World, route: Route) -> list[tuple[str, type[models.Model]]]:
    """(field, model) of every field of the route's form that chooses a row."""
    key = f"choices of {route.name}"
    if key not in world.drafts:
        world.drafts[key] = {
            form.add_prefix(name): one.queryset.model
            for form in _forms_shown(world, route)
            for name, one in form.fields.items()
            if isinstance(one, ModelChoiceField)
        }
    return list(world.drafts[key].items())


def pages() -> list[tuple[type[models.Model], Any]]:
    return list(console._registry.items())
