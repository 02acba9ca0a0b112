"""The matrix is shown to catch what it looks for: each leak is planted in the product, and has
to be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.conf import settings

from tests.house import routes
from tests.house.matrix import api, surfaces
from tests.house.matrix.cells import run
from tests.house.matrix.leaks_of_rights import LEAKS
from tests.house.matrix.world import World

LEAST_LEAKS = 69
# What a page says that only stopped working.
BREAKDOWN = (": raised ", ": 500, ", ": does not show ", ": changes no ")
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        settings.ROW_SECURITY, reason="the third wall holds what is planted before the first two"
    ),
]


@pytest.mark.parametrize("name", LEAKS)
def test_the_matrix_catches(world: World, name: str, monkeypatch, record_property):
    leak = LEAKS[name]
    leak.before(world, monkeypatch)
    clean = run(world, leak.part(world))
    assert clean.cells, "the part of the matrix that should catch it is empty"
    assert not clean.faults, str(clean)
    cells = list(leak.part(world))
    leak.plant(world, monkeypatch)
    faults = run(world, cells).faults
    # A page that breaks down under the leak shows nothing of it; only where that is the leak does
    # it count.
    assert [
        fault
        for fault in faults
        if leak.is_breakdown or not any(sign in fault for sign in BREAKDOWN)
    ], faults
    record_property("leak", name)


def test_there_are_enough_leaks():
    assert len(LEAKS) >= LEAST_LEAKS


def test_a_route_that_nobody_classified_is_caught():
    home = next(route for route in routes.all_routes() if route.name == "home")
    assert "tests/house/routes.py" in surfaces.unclassified([replace(home, rule=None)])[0]


def test_a_page_of_which_nobody_said_what_it_shows_is_caught():
    index = next(route for route in routes.all_routes() if route.name == "admin:index")
    assert "proofs.py" in surfaces.unclassified([replace(index, name="admin:new_page")])[0]


def test_an_operation_that_nobody_classified_is_caught(monkeypatch):
    monkeypatch.delitem(api.OPERATIONS, "post_events")
    assert "matrix/api.py" in api.unclassified_operations()[0]
