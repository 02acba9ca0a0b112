"""`python -m tests.mutants engine --most 40`: plant faults one at a time and run the tests that
should see them.

A fault that no test sees is printed as `survived`. Without an area: all of them, `--most` faults
in each. The same --seed plants the same faults. A time-out counts as seen if it repeats; on a
busy machine give more --timeout. A seen fault is printed with the first test that failed: it
should have to do with the fault.
"""

from __future__ import annotations

import argparse
import random
import re
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
            "tests/campaigns/test_words_that_wait.py",
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
    parser.add_argument(
        "--timeout", type=int, default=600, help="seconds for the tests of one fault"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(asked.jobs):
            copies.put(_copied(Path(folder) / str(number), asked.timeout))
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


@dataclass(frozen=True)
class Copy:
    """A copy of the tree, to plant faults in."""

    folder: Path
    timeout_secs: int

    def run_planted(self, file: Path, fault: Fault, tests: tuple[str, ...]) -> tuple[int, str]:
        """Like `run`, with the fault planted; the copy is whole again afterwards."""
        target = self.folder / file
        before = target.read_bytes()
        target.write_text(fault.source, encoding="utf-8")
        try:
            code, failed = self.run(tests)
            if code == _TIMED_OUT:  # perhaps the machine was busy
                code, failed = self.run(tests)
        finally:
            target.write_bytes(before)
        return code, failed

    def run(self, tests: tuple[str, ...]) -> tuple[int, str]:
        """pytest's exit code, and the first test that failed ("" for none)."""
        command = [
            sys.executable,
            *["-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:randomly"],
            *tests,
        ]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=self.timeout_secs,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _TIMED_OUT, ""
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        return done.returncode, failed[1] if failed else ""


def _copied(to: Path, timeout_secs: int) -> Copy:
    for file in committed_files():
        target = to / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    return Copy(to, timeout_secs)


def _try_area(
    name: str, most: int, seed: int, copies: SimpleQueue[Copy], pool: ThreadPoolExecutor
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
    code, failed = copy.run(area.tests)
    if code:
        raise SystemExit(
            f"{name}: its tests fail without a fault too ({failed or code}), so they would see "
            "nothing."
        )
    copies.put(copy)

    def attempt(planted: tuple[Path, Fault]) -> bool:
        file, fault = planted
        copy = copies.get()
        try:
            code, failed = copy.run_planted(file, fault, area.tests)
        finally:
            copies.put(copy)
        word = {0: "SURVIVED", _TESTS_FAILED: "seen", _TIMED_OUT: "seen (time-out)"}.get(
            code, f"seen (exit {code})"
        )
        by = f"   by {failed}" if failed else ""
        sys.stdout.write(f"  {word:<16}{file}:{fault}{by}\n")
        sys.stdout.flush()
        return code != 0

    found = list(pool.map(attempt, chosen))
    sys.stdout.write(f"{name}: {sum(found)} of {len(found)} seen\n")
    return len(found), sum(found)


if __name__ == "__main__":
    sys.exit(main())
