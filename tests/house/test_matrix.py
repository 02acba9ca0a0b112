"""The permission matrix: every surface, as every role, with our rows and with another tenant's.

A surface is found, not listed: the URLconf, the console's pages with their actions, filters,
inlines, imports and exports, every relation that could be completed, the parameters that our
code reads, the API's operations. What is found and classified nowhere fails, and says where to
classify it. That the matrix sees leaks is shown by test_leaks.py.
"""

from __future__ import annotations

import pytest

from pushpilot.sites import console
from tenants.models import Membership, Workspace
from tests.house import routes
from tests.house.matrix import api, consent, files, lists, programs, surfaces
from tests.house.matrix.cells import run
from tests.house.matrix.proofs import row_of
from tests.house.matrix.world import ROLES, World
from tests.house.rows import MAKERS

# {surface: (its cells for a role, the least number of them for all roles)}. Below that something
# was not found: the numbers only grow.
SURFACES = {
    "forms": (surfaces.form_cells, 8),
    "selections": (lists.selection_cells, 228),
    "filters": (lists.filter_cells, 361),
    "completion": (lists.completion_cells, 383),
    "inlines": (lists.inline_cells, 8),
    "palette": (lists.palette_cells, 96),
    "imports": (files.import_cells, 39),
    "exports": (files.export_cells, 32),
    "parameters": (lists.parameter_cells, 1),
    "API by key": (api.key_cells, 1250),
    "API as a person": (api.person_cells, 226),
    "consent by key": (consent.word_cells, 168),
    "rights": (programs.right_cells, 831),
    "closed": (programs.closed_cells, 457),
    "invitations": (programs.invitation_cells, 16),
}
LEAST_ROUTES, LEAST_CELLS_OF_A_ROLE = 263, 655


@pytest.mark.parametrize("role", ROLES)
def test_routes(world: World, role: str, record_property):
    outcome = run(world, surfaces.route_cells(world, role))
    assert not outcome.faults, str(outcome)
    assert outcome.cells >= LEAST_CELLS_OF_A_ROLE
    record_property("cells", outcome.cells)


@pytest.mark.parametrize("surface", SURFACES)
def test_surface(world: World, surface: str, record_property):
    cells_of, least = SURFACES[surface]
    if surface == "inlines" and not any(page.inlines for page in console._registry.values()):
        pytest.skip("no page of the console has an inline; test_leaks.py plants one and it is seen")
    outcome = run(world, (cell for role in ROLES for cell in cells_of(world, role)))
    assert not outcome.faults, str(outcome)
    assert outcome.cells >= least
    record_property("cells", outcome.cells)


def test_every_route_is_classified():
    listed = routes.all_routes()
    missing = [*surfaces.unclassified(listed), *api.unclassified_operations()]
    assert not missing, "\n".join(missing)
    assert len(listed) >= LEAST_ROUTES


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
