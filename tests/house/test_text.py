"""What no committed file contains: paths and registries of the machine it was made on, and notes
of things undone."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.house.sources import ROOT, committed_files

pytestmark = pytest.mark.once

# Written in pieces, so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(
    "/(" + "|".join(("work/" + "main", "work/" + "shared", "ro" + "ot/", "Us" + "ers/")) + ")"
)
REGISTRIES = re.compile(
    "--(extra-)?index" + "-url|--trusted" + "-host|--find" + "-links"
    "|py" + r"pi\.org|files\.python" + "hosted|npm" + r"js\.org"
)
UNDONE = re.compile(r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b")
REFUSED = {
    "a path of one machine": MACHINE_PATHS,
    "a package registry": REGISTRIES,
    "a note of work left undone": UNDONE,
}
INDEX_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "NPM_CONFIG_REGISTRY",
)
BINARY = {".png", ".jpg", ".ico", ".woff2", ".xlsx", ".gz"}


def own_registries() -> set[str]:
    """The hosts that this machine installs from."""
    hosts = {urlsplit(os.environ.get(name, "")).hostname for name in INDEX_VARIABLES}
    return {host for host in hosts if host and host not in ("localhost", "127.0.0.1")}


def text_faults(root: Path, files: list[Path], hosts: set[str]) -> list[str]:
    found = []
    for file in files:
        if file.suffix in BINARY:
            continue
        for number, line in enumerate(
            file.read_text(encoding="utf-8", errors="replace").splitlines(), 1
        ):
            where = f"{file.relative_to(root)}:{number}"
            for what, pattern in REFUSED.items():
                if match := pattern.search(line):
                    found.append(f"{where} contains {what}: {match[0]}")
            found += [
                f"{where} contains a package registry: {host}" for host in hosts if host in line
            ]
    return found


def test_no_committed_file_names_this_machine_or_leaves_a_note():
    found = text_faults(ROOT, committed_files(), own_registries())
    assert not found, "\n".join(found)


def test_each_is_caught(tmp_path):
    file = tmp_path / "a.txt"
    for text in (
        "/work/" + "main/x",
        "--index" + "-url https://x",
        "# TO" + "DO: later",
        "https://mirror.test/simple",
    ):
        file.write_text(text)
        assert len(text_faults(tmp_path, [file], {"mirror.test"})) == 1, text
    file.write_text("A template for a to-do list, in the root of the project.")
    assert not text_faults(tmp_path, [file], {"mirror.test"})
