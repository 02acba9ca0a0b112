"""How tests are written, and what no committed file leaves behind."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.sources import ROOT, committed_files

pytestmark = pytest.mark.once

UNDONE = re.compile(r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b")  # in pieces: this file is read too
BINARY = {".png", ".jpg", ".ico", ".woff2", ".xlsx", ".gz", ".mo"}


def imported(source: str) -> Iterator[str]:
    """Dotted names of the modules that a source imports, at its top or later."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def shared_by_tests(source: str) -> list[str]:
    return [name for name in imported(source) if re.match(r"tests\.(\w+\.)*test_\w+", name)]


def test_what_tests_share_stands_in_no_test_module():
    """pytest would read that module under two names, and a change of one test would break
    another."""
    found = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / "tests").rglob("*.py")
        for name in shared_by_tests(file.read_text())
    }
    assert not found, "\n".join(sorted(found))


def undone(file: Path) -> list[str]:
    if file.suffix in BINARY:
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return [f"{file.name}:{at}" for at, line in enumerate(lines, 1) if UNDONE.search(line)]


def test_no_committed_file_leaves_a_note_of_work_undone():
    found = [place for file in committed_files() for place in undone(file)]
    assert not found, "\n".join(found)


def test_each_is_caught(tmp_path):
    assert shared_by_tests("from tests.house.test_deploy import start")
    assert shared_by_tests("def f():\n    from tests.house import test_deploy")
    assert not shared_by_tests("from tests.house.starting import start")
    file = tmp_path / "a.txt"
    file.write_text("# TO" + "DO: later")
    assert undone(file)
    file.write_text("A template for a to-do list.")
    assert not undone(file)
