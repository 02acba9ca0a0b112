"""Surfaces around the lists of the console: actions, filters, completion, inlines, the palette,
parameters."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.apps import apps
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.http import HttpResponse, QueryDict
from django.test import RequestFactory
from django.urls import resolve

from pushpilot.sites import console
from tenants import roles
from tenants.models import Membership
from tenants.scope import belongs_to_workspace, scope
from tests.house import routes
from tests.house.matrix.cells import Cell, any_of, is_insider, refusal_of
from tests.house.matrix.proofs import MARK, Proof, proof_of, row_of
from tests.house.matrix.surfaces import METHODS, asker, body_of, expected, pages, url_of
from tests.house.matrix.world import (
    ABSENT,
    ALLOWED,
    FORBIDDEN,
    MISSING,
    OURS,
    THEIR_IDS,
    THEIRS,
    World,
    visit,
)

ROOT = Path(__file__).parents[3]
# The doors of a QueryDict, and the modules that go through all that was sent without acting on it.
ONE_BY_ONE = ("__getitem__", "__contains__", "get", "getlist", "pop")
ALL_OF_THEM = ("__iter__", "items", "lists", "values", "dict")
LOOK_AT_NO_VALUE = (
    "django.http.request",
    "django.utils.datastructures",
    "pushpilot.middleware",
    "unfold.templatetags.unfold",
)
# Files, a dialog's "yes", and what is no page of the console.
ASKED_ELSEWHERE = frozenset({"upload", "_form_submitted", "verbose"})


def address(model: type[models.Model], last: str = "") -> str:
    options = model._meta
    return f"{options.app_label}/{options.model_name}/{last}"


def allowed(
    world: World, role: str, model: type[models.Model], action: str = "view"
) -> frozenset[str]:
    if not is_insider(role):
        return any_of(refusal_of(role))
    capability = getattr(model, "capabilities", {}).get(action)
    return any_of(ALLOWED if capability in world.capabilities(role) else FORBIDDEN)


# --- actions on a selection -----------------------------------------------------------------------
def selection_cells(world: World, role: str) -> Iterator[Cell]:
    """Every action of every list, on a row of ours and on one of theirs, ticked and across all
    pages."""
    for model, page in pages():
        if page.model._meta.label == "tenants.Workspace":  # its list is its one row
            continue
        url = world.url(address(model))
        for _, name, _ in page._get_base_actions():
            offered = is_insider(role) and name in _offered(world, role, page)
            for whose, row in (
                ("ours", world.ours.get(model)),
                ("theirs", world.theirs.get(model)),
            ):
                for across in ("0", "1"):
                    if row is None or (across == "1" and whose == "ours"):
                        continue
                    post = {
                        "action": name,
                        "_selected_action": str(row.pk),
                        "select_across": across,
                        "post": "yes",
                    }
                    acts = offered and whose == "ours"
                    right = allowed(world, role, model)
                    # takes in the library, whose rows refuse it
                    if across == "1" and ALLOWED in right:
                        right |= any_of(FORBIDDEN)
                    yield Cell(
                        f"action {name} of {model._meta.label}, across {across}", role, whose,
                        asker(world, role, "POST", url, post), right, asked=f"{post}",
                        changes=model._meta.label if acts else "", reads_only=not offered,
                    )  # fmt: skip


def _offered(world: World, role: str, page: Any) -> set[str]:
    """Actions that the page offers, without those that change rows which the role may not
    delete."""
    request = RequestFactory().get("/")
    request.user, request.workspace = getattr(world.cast, role), world.cast.workspace  # type: ignore[attr-defined]
    request.user.__dict__.pop("_workspace_grants", None)
    with scope(world.cast.workspace):
        offered = set(page.get_actions(request))
    may_delete = routes.model_rules(page)["delete"].get in world.capabilities(role)
    return offered if may_delete else offered - {"delete_selected"}


# --- filters --------------------------------------------------------------------------------------
def filter_cells(world: World, role: str) -> Iterator[Cell]:
    """Every list: with each of its filters' own values, with a foreign id in each filter, and in
    the look-ups that nobody offers."""
    for model, page in pages():
        url = world.url(address(model))
        right = allowed(world, role, model)
        queries = [*_foreign_values(page), *_stray_lookups(model)]
        queries = [*_own_choices(world, page), *queries] if role == "owner" else queries[:2]
        for query in dict.fromkeys(queries):
            yield Cell(
                f"list of {model._meta.label}?{query}", role, "theirs", asker(world, role, "GET", f"{url}?{query}"),
                right | any_of(FORBIDDEN) if ALLOWED in right else right, asked=query, reads_only=True,
            )  # fmt: skip
        # Both tenants' rows begin alike: a search finds ours alone.
        term = _common_beginning(world, model)
        if page.search_fields and term:
            yield Cell(
                f"search of {model._meta.label}", role, "ours", asker(world, role, "GET", url, {"q": term}), right,
                shows=MARK if ALLOWED in right and model is not Membership else "", reads_only=True,
            )  # fmt: skip


def _common_beginning(world: World, model: type[models.Model]) -> str:
    words = {
        "Contact": "asha",
        "AuditEntry": "Diwali",
        "Invitation": "new",
        "ApiKey": "Android",
        "Membership": "a",
    }
    return words.get(model.__name__, "Diwali")


def _changelist(world: World, page: Any) -> ChangeList:
    request = RequestFactory().get("/")
    request.user, request.workspace = world.cast.owner, world.cast.workspace  # type: ignore[attr-defined]
    with scope(world.cast.workspace):
        return page.get_changelist_instance(request)


def _own_choices(world: World, page: Any) -> list[str]:
    """The links that the filters offer to the owner."""
    if page.model._meta.label == "tenants.Workspace":
        return []
    changelist = _changelist(world, page)
    found = []
    with scope(world.cast.workspace):
        for spec in changelist.filter_specs:
            values = [choice.get("query_string", "") for choice in spec.choices(changelist)]
            values += [
                f"?{spec.expected_parameters()[0]}={value}"
                for value, _ in getattr(spec, "lookup_choices", [])
            ]
            found += [value.removeprefix("?") for value in values if value.strip("?")]
    return found


def _foreign_values(page: Any) -> list[str]:
    """The parameters of the filters, each with an id and a text of the other tenant."""
    found = []
    for entry in page.list_filter:
        field = (
            entry
            if isinstance(entry, str)
            else entry[0]
            if isinstance(entry, tuple | list)
            else None
        )
        names = (
            [field, f"{field}__exact", f"{field}__id__exact"] if field else [entry.parameter_name]
        )
        found += [f"{name}={value}" for name in names for value in (THEIR_IDS, THEIRS)]
    return found


def _stray_lookups(model: type[models.Model]) -> list[str]:
    """What no page offers: other tenants by name or number, through each relation."""
    relations = [one.name for one in model._meta.concrete_fields if one.is_relation]
    paths = [f"{name}__id__exact={THEIR_IDS}" for name in relations]
    paths += [f"{name}__workspace__slug__contains={THEIRS}" for name in relations]
    return [
        *paths,
        f"id__exact={THEIR_IDS}",
        f"_to_field=id&id={THEIR_IDS}",
        "all=&p=0",
        "_facets=True",
    ]


# --- completion -----------------------------------------------------------------------------------
def completion_cells(world: World, role: str) -> Iterator[Cell]:
    """The autocomplete address with every relation of every model, from either side: what a form
    asks for is answered with rows of ours, all else refused."""
    url = world.url("autocomplete/")
    strangers_ask = {"Campaign", "User"}  # to whom the address does not exist, whatever they name
    for model in apps.get_models():
        if not (
            belongs_to_workspace(model) or model._meta.app_label in ("tenants", "auth", "account")
        ):
            continue
        for one in model._meta.get_fields():
            if not one.is_relation or not (is_insider(role) or model.__name__ in strangers_ask):
                continue
            options = model._meta
            query = {
                "app_label": options.app_label,
                "model_name": options.model_name,
                "field_name": one.name,
            }
            right, answers = any_of(refusal_of(role)), False
            if is_insider(role):
                answers = one.name in _completed(model) and roles.EDIT in world.capabilities(role)
                right = any_of(ALLOWED) if answers else any_of(FORBIDDEN)
            yield Cell(
                f"completes {options.label}.{one.name}", role, "theirs",
                asker(world, role, "GET", url, {**query, "term": ""}), right,
                shows=MARK if answers else "", reads_only=True,
            )  # fmt: skip


def _completed(model: type[models.Model]) -> set[str]:
    page = console._registry.get(model)
    return set(page.autocomplete_fields) if page is not None else set()


# --- inlines --------------------------------------------------------------------------------------
def inline_cells(world: World, role: str) -> Iterator[Cell]:
    """Every inline on the page of our row; what it holds and offers is looked at by `visit`."""
    for model, page in pages():
        for inline in page.inlines:
            row = world.ours[model]
            right = allowed(world, role, model)
            yield Cell(
                f"inline {inline.model._meta.label} of {model._meta.label}", role, "theirs",
                asker(world, role, "GET", world.url(address(model, f"{row.pk}/change/"))), right,
                shows="-TOTAL_FORMS" if ALLOWED in right else "", reads_only=True,
            )  # fmt: skip


# --- the palette ----------------------------------------------------------------------------------
def palette_cells(world: World, role: str) -> Iterator[Cell]:
    """What both tenants have, by the beginning of its name; and the other one's by its mark."""
    right = any_of(ALLOWED) if is_insider(role) else any_of(refusal_of(role))
    for term in ("Diwali", "asha", "20", THEIRS, str(THEIR_IDS), ""):
        for extended in ({}, {"extended": "1"}):
            yield Cell(
                f"palette “{term}”{' extended' if extended else ''}", role, "ours",
                asker(world, role, "GET", world.url("search/"), {"s": term, **extended}), right, asked=term,
                shows=OURS if is_insider(role) and term in ("Diwali", "asha") else "", reads_only=True,
            )  # fmt: skip


# --- stray parameters -----------------------------------------------------------------------------
@cache
def parameters(method: str) -> dict[str, tuple[str, ...]]:
    """{app: names that its code reads from the address (GET) or the body (POST)}, found in its
    sources."""
    given = rf"(?:request\.{method}|\bquery)"
    pattern = re.compile(rf'{given}(?:\.get\(|\.getlist\(|\[)\s*"(\w+)"|"(\w+)" in {given}')
    found: dict[str, set[str]] = {}
    for source in ROOT.glob("*/**/*.py"):
        app = source.relative_to(ROOT).parts[0]
        if app in ("tenants", "campaigns", "delivery", "reports", "pushpilot"):
            names = {name for pair in pattern.findall(source.read_text()) for name in pair if name}
            found.setdefault(app, set()).update(names)
    return {app: tuple(sorted(names)) for app, names in found.items()}


def parameter_cells(
    world: World, role: str, named: Iterable[routes.Route] | None = None
) -> Iterator[Cell]:
    """Every page of ours (or each of `named`), with each parameter that the code of its app knows
    and the page reads, set to an id of theirs."""
    if role != "owner":
        return
    asked: dict[str, set[str]] = {method: set() for method in METHODS}
    for route in routes.all_routes() if named is None else named:
        if (
            not route.path.startswith("admin/")
            or route.rule is None
            or route.path.endswith("/<path:object_id>/")
        ):
            continue
        proof = proof_of(route) or Proof()
        for method in METHODS:
            right = expected(route, method, role, world.capabilities(role))
            # What the role may not do, it may not do with a parameter either: that is the routes'
            # surface.
            if right != {ALLOWED}:
                continue
            url = url_of(world, route, row_of(world, route, "ours"))
            post = body_of(world, route, proof, world.ours) if method == "POST" else {}
            known = _known_to(route, method, url)
            read = read_of(known, asking(world, role, method, url, post)) if known else []
            asked[method].update(read)
            for name in read:
                data, absent = ({**post, name: str(pk)} for pk in (THEIR_IDS, ABSENT))
                yield Cell(
                    f"{method} {route.name} with {name} of theirs", role, "theirs",
                    asker(world, role, method, url, data), any_of(ALLOWED, MISSING), asked=f"{data}",
                    twin=asker(world, role, method, url, absent),
                    reads_only=method == "GET",
                )  # fmt: skip
    if named is not None:
        return
    yield Cell(
        "every parameter",
        role,
        "theirs",
        lambda: HttpResponse(),
        any_of(),
        check=lambda: unasked(asked),
    )


def unasked(asked: dict[str, set[str]]) -> list[str]:
    """Names that our code reads and that no page was asked with."""
    return [
        f"no page that an owner opens reads “{name}” of {app}: the surface does not find it"
        for method, names in asked.items()
        for app, known in parameters(method).items()
        for name in sorted({*known} - names - ASKED_ELSEWHERE)
    ]


def _known_to(route: routes.Route, method: str, url: str) -> tuple[str, ...]:
    """What the code behind the page reads: that of the view, and that of its ModelAdmin where
    the view is Django's."""
    if route.name.endswith(("_changelist", "_delete", "_history")):
        return ()  # Django reads these; their filters are a surface
    names = {name for app in apps_behind(url) for name in parameters(method).get(app, ())}
    return tuple(sorted(names - ASKED_ELSEWHERE))


def asking(
    world: World, role: str, method: str, url: str, post: dict[str, Any]
) -> Callable[[dict[str, str]], object]:
    return lambda more: visit(world, asker(world, role, method, url, {**post, **more}))


def read_of(names: tuple[str, ...], ask: Callable[[dict[str, str]], object]) -> list[str]:
    """Those of the names that the code behind a page looks at: without any of them, or with all
    of them set.

    A page that goes through everything that was sent, looks at each.
    """
    seen: set[str] = set()

    def noting(method: Callable[..., Any], *, each: bool) -> Callable[..., Any]:
        def noted(self: QueryDict, *arguments: Any, **more: Any) -> Any:
            if sys._getframe(1).f_globals["__name__"] not in LOOK_AT_NO_VALUE:
                seen.update(names if each else (str(name) for name in arguments[:1]))
            return method(self, *arguments, **more)

        return noted

    doors = {**dict.fromkeys(ONE_BY_ONE, False), **dict.fromkeys(ALL_OF_THEM, True)}
    with ExitStack() as patched:
        for name, each in doors.items():
            method = noting(getattr(QueryDict, name), each=each)
            patched.enter_context(patch.object(QueryDict, name, method))
        ask({})
        ask(dict.fromkeys(names, str(THEIR_IDS)))
    return [name for name in names if name in seen]


def apps_behind(url: str) -> set[str]:
    """The folders that the code of a console page stands in."""
    view = resolve(f"/admin/{url.partition('/admin/')[2]}").func
    owner = getattr(view, "model_admin", None)
    return {module.partition(".")[0] for module in (view.__module__, type(owner).__module__)}
