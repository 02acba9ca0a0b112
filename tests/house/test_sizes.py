"""Sizes: a file is read in one go, a function at a glance; and no folder of code beside the
layers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.sources import ROOT, committed_files

pytestmark = pytest.mark.once

MOST_FILE_LINES, MOST_FUNCTION_LINES = 500, 60
PACKAGES = {"pushpilot", "tenants", "campaigns", "delivery", "reports", "tests"}


def size_faults(root: Path, files: list[Path]) -> list[str]:
    found = []
    for file in files:
        name = file.relative_to(root)
        if file.suffix != ".py" or "migrations" in name.parts:
            continue
        text = file.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > MOST_FILE_LINES:
            found.append(f"{name} has {lines} lines; {MOST_FILE_LINES} are the most.")
        if name.parts[0] == "tests":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MOST_FUNCTION_LINES:
                    found.append(
                        f"{name}:{node.lineno} {node.name} has {length} lines; "
                        f"{MOST_FUNCTION_LINES} are most."
                    )
    return found


def stray_packages(root: Path, files: list[Path]) -> list[str]:
    """Top-level folders with Python code that are no layer."""
    tops = {
        file.relative_to(root).parts[0]
        for file in files
        if file.suffix == ".py" and file.parent != root
    }
    return sorted(tops - PACKAGES)


def test_files_and_functions_are_small():
    found = size_faults(ROOT, committed_files())
    assert not found, "\n".join(found)


def test_there_is_no_python_package_beside_the_layers():
    assert stray_packages(ROOT, committed_files()) == []


def _written(root: Path, name: str, text: str) -> list[Path]:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return [file]


def test_a_long_file_is_caught(tmp_path):
    assert (
        "501 lines"
        in size_faults(tmp_path, _written(tmp_path, "delivery/big.py", "x = 1\n" * 501))[0]
    )
    assert not size_faults(tmp_path, _written(tmp_path, "delivery/big.py", "x = 1\n" * 500))


def test_a_long_function_is_caught_also_inside_a_class(tmp_path):
    body = "".join("        x = 1\n" for _ in range(60))
    text = f"class A:\n    def long(self):\n{body}"
    assert (
        "long has 61 lines" in size_faults(tmp_path, _written(tmp_path, "delivery/big.py", text))[0]
    )
    assert not size_faults(tmp_path, _written(tmp_path, "tests/big.py", text))


def test_a_stray_package_is_caught(tmp_path):
    assert stray_packages(tmp_path, _written(tmp_path, "scripts/tool.py", "")) == ["scripts"]
