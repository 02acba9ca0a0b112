"""Planted faults: one change each, in a file that still compiles."""

import pytest

from tests.house.sources import ROOT
from tests.mutants.__main__ import AREAS
from tests.mutants.planting import faults

pytestmark = pytest.mark.once


def planted(source):
    return {fault.source for fault in faults(source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a == b", {"a != b"}),
        ("a < b", {"a <= b"}),
        ("a and b", {"(a or b)"}),
        ("not a", {"(a)"}),
        ("x = True", {"x = False"}),
        ("rows = rows.select_for_update(no_key=True)", set()),
        ("save(row)", {"pass"}),
        ("logger.info(row)", set()),
        (
            "x = rows.filter(state=1, owner=2)",
            {"x = rows.filter(owner=2)", "x = rows.filter(state=1)"},
        ),
        ("n += 1", {"n -= 1"}),
        ("x = at + wait", {"x = (at - wait)"}),
        ("x = 'a' + b", set()),
        ("x = 'ü'; y = a in b", {"x = 'ü'; y = a not in b"}),
    ],
)
def test_each_kind_is_planted_where_it_belongs(source, expected):
    assert planted(source) == expected


def test_every_area_has_files_that_compile_with_each_fault_and_tests_that_exist():
    for area in AREAS.values():
        assert all((ROOT / tests).exists() for tests in (*area.tests, *area.more))
        files = [file for pattern in area.files for file in ROOT.glob(pattern)]
        found = [fault for file in files for fault in faults(file.read_text(encoding="utf-8"))]
        assert found
        for fault in found:
            compile(fault.source, "planted", "exec")
