"""`python -m tests.mutants engine --most 40`: plant faults one at a time and run the tests that
should see them.

A fault that no test sees is printed as `survived`. Without an area: all of them, `--most` faults
in each. The same --seed plants the same faults. Run it on a quiet machine: a time-out counts as
seen.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.house.sources import ROOT, committed_files
from tests.mutants.planting import Fault, faults

TIMEOUT_SECS = 600
_TESTS_FAILED, _TIMED_OUT = 1, -1


@dataclass(frozen=True)
class Area:
    """Files to plant faults in, and the tests that should see them, those that are most likely
    to first."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = {
    "engine": Area(
        ("delivery/engine/*.py",),
        (
            "tests/delivery/test_pipeline.py",
            "tests/delivery/test_between_steps.py",
            "tests/delivery/test_breaker.py",
            "tests/delivery/test_pace.py",
            "tests/delivery/test_reach.py",
            "tests/delivery/test_decisions.py",
            "tests/delivery",
            "tests/reports/test_digest.py",
        ),
    ),
    "gates": Area(
        ("campaigns/audience/gates.py", "campaigns/contacts/consent.py"),
        (
            "tests/delivery/test_gates.py",
            "tests/delivery/test_consent.py",
            "tests/reports/test_consent_events.py",
            "tests/reports/test_ignored.py",
            "tests/reports/test_proof.py",
            "tests/campaigns/test_contact_pages.py",
            "tests/campaigns/test_devices_api.py",
        ),
    ),
    "audience": Area(
        ("campaigns/audience/segments.py", "campaigns/audience/selection.py"),
        (
            "tests/campaigns/test_segments.py",
            "tests/delivery/test_gates.py",
            "tests/delivery/test_pipeline.py",
        ),
    ),
    "digest": Area(
        ("reports/digest.py", "reports/effects.py", "reports/store.py", "reports/intake.py"),
        ("tests/reports",),
    ),
    "keys": Area(
        ("tenants/keys.py", "tenants/identity.py", "tenants/secrets.py", "tenants/rotation.py"),
        (
            "tests/tenants/test_keys.py",
            "tests/tenants/test_identity.py",
            "tests/tenants/test_rotation.py",
            "tests/tenants",
        ),
    ),
    "walls": Area(
        (
            "tenants/scope.py",
            "tenants/access.py",
            "tenants/roles.py",
            "tenants/middleware.py",
            "tenants/people.py",
        ),
        ("tests/tenants", "tests/house/test_leaks.py", "tests/house/test_matrix.py"),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "areas", nargs="*", choices=[[], *AREAS], metavar="area", help=", ".join(AREAS)
    )
    parser.add_argument("--most", type=int, default=30, help="faults in each area")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--jobs", type=int, default=2, help="copies of the tree that are tested side by side"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(asked.jobs):
            copies.put(_copied(Path(folder) / str(number)))
        with ThreadPoolExecutor(asked.jobs) as pool:
            seen = [
                _try_area(name, asked.most, asked.seed, copies, pool)
                for name in asked.areas or AREAS
            ]
    planted = sum(total for total, _ in seen)
    caught = sum(killed for _, killed in seen)
    sys.stdout.write(
        f"\nTogether: {caught} of {planted} seen, {100 * caught / max(planted, 1):.0f} %\n"
    )
    return 0


def _copied(to: Path) -> Path:
    for file in committed_files():
        target = to / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    return to


def _try_area(
    name: str, most: int, seed: int, copies: SimpleQueue[Path], pool: ThreadPoolExecutor
) -> tuple[int, int]:
    """(faults planted, faults seen)."""
    area = AREAS[name]
    every = [
        (file.relative_to(ROOT), fault)
        for pattern in area.files
        for file in sorted(ROOT.glob(pattern))
        for fault in faults(file.read_text(encoding="utf-8"))
    ]
    chosen = random.Random(f"{seed} {name}").sample(every, min(most, len(every)))
    sys.stdout.write(f"\n{name}: {len(chosen)} of {len(every)} faults\n")
    copy = copies.get()
    if _pytest(copy, area.tests):
        raise SystemExit(f"{name}: its tests fail without a fault too, so they would see nothing.")
    copies.put(copy)

    def attempt(planted: tuple[Path, Fault]) -> bool:
        file, fault = planted
        copy = copies.get()
        try:
            code = _run(copy, file, fault, area.tests)
        finally:
            copies.put(copy)
        word = {0: "SURVIVED", _TESTS_FAILED: "seen", _TIMED_OUT: "seen (time-out)"}.get(
            code, f"seen (exit {code})"
        )
        sys.stdout.write(f"  {word:<16}{file}:{fault}\n")
        sys.stdout.flush()
        return code != 0

    found = list(pool.map(attempt, chosen))
    sys.stdout.write(f"{name}: {sum(found)} of {len(found)} seen\n")
    return len(found), sum(found)


def _run(copy: Path, file: Path, fault: Fault, tests: tuple[str, ...]) -> int:
    """pytest's exit code with the fault planted; the copy is whole again afterwards."""
    target = copy / file
    before = target.read_bytes()
    target.write_text(fault.source, encoding="utf-8")
    try:
        return _pytest(copy, tests)
    finally:
        target.write_bytes(before)


def _pytest(copy: Path, tests: tuple[str, ...]) -> int:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:randomly", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, capture_output=True, timeout=TIMEOUT_SECS, check=False
        )
    except subprocess.TimeoutExpired:
        return _TIMED_OUT
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
