"""The permission matrix: every surface, as every role, with our rows and with another tenant's.

A surface is found, not listed: the URLconf, the console's pages with their actions, filters,
inlines, imports and exports, every relation that could be completed, the parameters that our
code reads, the API's operations. What is found and classified nowhere fails, and says where to
classify it. That the matrix sees leaks is shown by test_leaks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from pushpilot.sites import console
from tenants import roles
from tenants.models import Membership, Workspace
from tests.house import routes
from tests.house.matrix import api, consent, files, lists, programs, surfaces
from tests.house.matrix.cells import Cell, run
from tests.house.matrix.proofs import row_of
from tests.house.matrix.world import ROLES, World
from tests.house.rows import MAKERS

SURFACES = {
    "forms": surfaces.form_cells,
    "selections": lists.selection_cells,
    "filters": lists.filter_cells,
    "completion": lists.completion_cells,
    "inlines": lists.inline_cells,
    "palette": lists.palette_cells,
    "imports": files.import_cells,
    "exports": files.export_cells,
    "parameters": lists.parameter_cells,
    "API by key": api.key_cells,
    "API as a person": api.person_cells,
    "consent by key": consent.word_cells,
    "rights": programs.right_cells,
    "closed": programs.closed_cells,
    "invitations": programs.invitation_cells,
}


def console_routes() -> set[str]:
    return {route.name for route in routes.all_routes() if route.path.startswith("admin/")}


# {surface: what its cells must speak of}: what a search missed is asked nothing.
SPEAKS_OF: dict[str, Callable[[], set[str]]] = {
    "selections": lambda: {model._meta.label for model, page in surfaces.pages() if page.actions},
    "filters": lambda: {model._meta.label for model in console._registry},
    "API by key": lambda: set(api.OPERATIONS),
    "API as a person": lambda: {name for name, one in api.OPERATIONS.items() if one.person},
    "rights": lambda: set(roles.CAPABILITIES),
    "closed": console_routes,
}


def told(cells: Iterable[Cell], names: set[str]) -> Iterator[Cell]:
    """The cells as they come; their names are noted."""
    for cell in cells:
        names.add(cell.name)
        yield cell


@pytest.mark.parametrize("role", ROLES)
def test_routes(world: World, role: str, record_property):
    names: set[str] = set()
    outcome = run(world, told(surfaces.route_cells(world, role), names))
    assert not outcome.faults, str(outcome)
    assert names >= {
        f"{method} {route.name or route.path}"
        for route in routes.all_routes()
        for method in surfaces.METHODS
    }
    record_property("cells", outcome.cells)


@pytest.mark.parametrize("surface", SURFACES)
def test_surface(world: World, surface: str, record_property):
    if surface == "inlines" and not any(page.inlines for page in console._registry.values()):
        pytest.skip("no page of the console has an inline; test_leaks.py plants one and it is seen")
    names: set[str] = set()
    cells = (cell for role in ROLES for cell in SURFACES[surface](world, role))
    outcome = run(world, told(cells, names))
    assert not outcome.faults, str(outcome)
    wanted = SPEAKS_OF.get(surface, set)()
    missing = {one for one in wanted if not any(one in name for name in names)}
    assert names, f"nothing was found for {surface}"
    assert not missing, f"{surface} asks nothing of {sorted(missing)}"
    record_property("cells", outcome.cells)


def test_every_route_is_classified():
    listed = routes.all_routes()
    missing = [*surfaces.unclassified(listed), *api.unclassified_operations()]
    assert not missing, "\n".join(missing)


def test_every_folder_whose_code_reads_parameters_is_asked_with_them(world: World):
    asked = {
        app
        for route in routes.all_routes()
        if route.path.startswith("admin/") and route.rule is not None
        for app in lists.apps_behind(surfaces.url_of(world, route, row_of(world, route, "ours")))
    }
    assert asked >= {
        app
        for method in ("GET", "POST")
        for app, names in lists.parameters(method).items()
        if names
    }


def test_every_page_of_the_console_has_an_example_row():
    known = {*MAKERS, Membership, Workspace}
    missing = [model._meta.label for model in console._registry if model not in known]
    assert not missing, f"Make a row of these in tests/house/rows.py: {missing}"


def test_every_route_lets_somebody_in_and_is_seen_to_work(world: World):
    """The positive control: a page that refuses everybody would pass every other test."""
    proven = {
        cell.name for role in ("member", "owner") for cell in surfaces.route_cells(world, role)
        if cell.whose == "ours" and (cell.shows or cell.changes)
    }  # fmt: skip
    open_to_a_role = {
        f"{method} {route.name or route.path}"
        for route in routes.all_routes()
        for method, rule in (("GET", route.rule.get), ("POST", route.rule.post))  # type: ignore[union-attr]
        if rule in (*world.capabilities("owner"), routes.PUBLIC)
    }
    without = {"POST api:openapi-json", "POST api:openapi-view"}  # 405
    assert sorted(open_to_a_role - proven - without) == []
