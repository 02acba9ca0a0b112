"""The benchmarks are commands that nobody runs for weeks: that each still runs is a test, what
it measures is not."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.house.sources import ROOT

pytestmark = pytest.mark.once

# name: (small sizes, every line of its table, what it says when a target is missed)
COMMANDS: dict[str, tuple[list[str], list[str], str]] = {
    "api": (
        ["--campaigns", "60", "--workspaces", "2", "--rounds", "1", "--requests", "1"],
        [
            "a page of 20 campaigns, bare", "a page of 20 campaigns, the product",
            "one campaign, bare", "one campaign, the product",
        ],
        "An answer of the API costs more than",
    ),
    "lists": (
        ["--campaigns", "60", "--workspaces", "2", "--rounds", "1", "--pages", "1"],
        [
            "plain workspace filter, whole page", "campaign list ",
            "plain workspace filter, queries alone", "campaign list, queries alone",
        ],
        "The campaign list costs more than",
    ),
    "million": (
        ["--recipients", "300", "--latency-ms", "0", "5"],
        ["rate at the start", "largest process", "CPU per 1,000 messages", "Reached"],
        "Reached: no",
    ),
    "recipients": (
        ["--recipients", "300"],
        [
            "first page", "page at nine tenths", "one contact", "refused, 0.1 %", "refused, page at nine tenths",
            "unknown, ten rows", "unknown, by its code", "a reason that nobody has", "skipped before the cut, ten rows",
            "a code without its reason", "all codes with counts and examples", "API, the newest ",
            "API, behind 2,000 small sends", "API, one contact in all sends", "API, a minute in which nothing was sent",
        ],
        "",
    ),
    "send_now": (
        ["--per-second", "5", "--seconds", "2", "--latency-ms", "0", "5"],
        ["answer 202", "accepted → wire", "accepted → provider's answer", "request → wire", "CPU of a message"],
        "Direct messages take too long",
    ),
    "sending": (
        ["--recipients", "300", "--baseline-recipients", "20", "--latency-ms", "0", "5"],
        [
            "firebase-admin send_each_async", "firebase-admin send_each ", "PushPilot's send step",
            "ORM + send_each_async + bulk_create", "PushPilot's pipeline",
        ],
        "",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("django_db_setup")  # leaves the copy that they begin with
@pytest.mark.parametrize("name", COMMANDS)
def test_the_benchmark_still_runs(name):
    """Its table is complete; it ends with 1 only to say that a target was missed, as small sizes
    do."""
    options, lines, missed = COMMANDS[name]
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{name}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = f"{done.stdout}\n{done.stderr[-2000:]}"
    missing = [
        line
        for line in lines
        if not re.search(rf"^ *{re.escape(line)}.*\d", done.stdout, re.MULTILINE)
    ]
    assert not missing, said
    assert "Traceback" not in done.stderr, said
    assert done.returncode == int(bool(missed) and missed in done.stdout), said


def test_every_benchmark_is_tried():
    commands = {
        file.stem
        for file in (ROOT / "tests/benchmarks").glob("*.py")
        if "def main()" in file.read_text()
    }
    assert commands == COMMANDS.keys()
