"""`python -m tests.mutants engine --most 40`: plant faults one at a time and run the tests that
should see them: first in a fork of a process that has Django loaded, then, if none did, in a
process of its own.

A fault that no test sees is printed as `survived`. Without an area: all of them, `--most` faults
in each. The same --seed plants the same faults. A time-out counts as seen if it repeats; on a
busy machine give more --timeout. A seen fault is printed with the test that saw it, which passes
without the fault.
"""

from __future__ import annotations

import argparse
import json
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
from tests.mutants.host import OPTIONS, TIMED_OUT, first_failed
from tests.mutants.planting import Fault, faults


@dataclass(frozen=True)
class Area:
    """Files to plant faults in; the tests that should see them, the most likely
    first; and what else is asked about a fault that survives them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    more: tuple[str, ...] = ()


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
        ),
        ("tests/delivery", "tests/reports/test_digest.py"),
    ),
    "gates": Area(
        ("campaigns/audience/gates.py", "campaigns/contacts/consent.py"),
        (
            "tests/campaigns/test_words_that_wait.py",
            "tests/delivery/test_gates.py",
            "tests/delivery/test_consent.py",
        ),
        (
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
            "tests/campaigns/test_selection.py",
            "tests/campaigns/test_segments.py",
            "tests/delivery/test_gates.py",
        ),
        (
            "tests/delivery/test_pipeline.py",
            "tests/campaigns/test_review_pages.py",
            "tests/campaigns/test_campaign_form.py",
        ),
    ),
    "digest": Area(
        ("reports/digest.py", "reports/effects.py", "reports/store.py", "reports/intake.py"),
        (
            "tests/reports/test_digest.py",
            "tests/reports/test_events_api.py",
            "tests/reports/test_event_bodies.py",
            "tests/reports/test_ignored.py",
            "tests/reports/test_consent_events.py",
            "tests/reports/test_proof.py",
            "tests/reports/test_trials.py",
        ),
        ("tests/reports",),
    ),
    "keys": Area(
        ("tenants/keys.py", "tenants/identity.py", "tenants/secrets.py", "tenants/rotation.py"),
        (
            "tests/tenants/test_keys.py",
            "tests/tenants/test_identity.py",
            "tests/tenants/test_rotation.py",
        ),
        ("tests/tenants", "tests/reports/test_events_api.py"),
    ),
    "walls": Area(
        (
            "tenants/scope.py",
            "tenants/access.py",
            "tenants/roles.py",
            "tenants/middleware.py",
            "tenants/people.py",
        ),
        (
            "tests/tenants/test_roles.py",
            "tests/tenants/test_prefix.py",
            "tests/tenants/test_members.py",
            "tests/tenants/identity/test_addresses.py",
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
        for _ in range(asked.jobs):
            host = copies.get().host
            host.stdin.close()
            host.wait()
    planted = sum(total for total, _ in seen)
    caught = sum(killed for _, killed in seen)
    sys.stdout.write(
        f"\nTogether: {caught} of {planted} seen, {100 * caught / max(planted, 1):.0f} %\n"
    )
    return 0


@dataclass(frozen=True)
class Copy:
    """A copy of the tree to plant faults in, and the process that tries them quickly."""

    folder: Path
    timeout_secs: int
    host: subprocess.Popen[str]

    def run_in_fork(self, file: Path, source: str, tests: tuple[str, ...]) -> tuple[int, str]:
        """(pytest's exit code, the first test that failed) with that text as the file."""
        order = {
            "file": str(file),
            "source": source,
            "tests": tests,
            "timeout": self.timeout_secs,
        }
        self.host.stdin.write(json.dumps(order) + "\n")
        self.host.stdin.flush()
        answer = json.loads(self.host.stdout.readline())
        return answer["code"], answer["failed"]

    def run_planted(self, file: Path, source: str, tests: tuple[str, ...]) -> tuple[int, str]:
        """The same in a process that begins with that text; the copy is whole again afterwards."""
        target = self.folder / file
        before = target.read_bytes()
        target.write_text(source, encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *OPTIONS, *tests],
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=self.timeout_secs,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return TIMED_OUT, ""
        finally:
            target.write_bytes(before)
        return done.returncode, first_failed(done.stdout)


def _copied(to: Path, timeout_secs: int) -> Copy:
    for file in committed_files():
        target = to / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    host = subprocess.Popen(
        [sys.executable, "-m", "tests.mutants.host"],
        cwd=to,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Copy(to, timeout_secs, host)


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

    def attempt(planted: tuple[Path, Fault]) -> bool:
        file, fault = planted
        copy = copies.get()
        try:
            code, failed = _seen_by(copy, file, fault, area)
        finally:
            copies.put(copy)
        word = {0: "SURVIVED", 1: "seen", TIMED_OUT: "seen (time-out)"}.get(
            code, f"seen (exit {code})"
        )
        by = f"   by {failed}" if failed else ""
        sys.stdout.write(f"  {word:<16}{file}:{fault}{by}\n")
        sys.stdout.flush()
        return code != 0

    found = sum(pool.map(attempt, chosen))
    sys.stdout.write(f"{name}: {found} of {len(chosen)} seen\n")
    return len(chosen), found


def _seen_by(copy: Copy, file: Path, fault: Fault, area: Area) -> tuple[int, str]:
    """(pytest's exit code, the first test that failed), the tests most likely to see it first."""
    for _ in range(2):  # a time-out may only mean that the machine was busy
        code, failed = copy.run_in_fork(file, fault.source, area.tests)
        if code != TIMED_OUT:
            break
    if code == TIMED_OUT:
        return code, failed
    if failed:
        whole = (ROOT / file).read_text(encoding="utf-8")
        if copy.run_in_fork(file, whole, (failed,))[0] == 0:
            return code, failed
        # To execute that file a second time is a fault of its own: its classes are made anew.
    for _ in range(2):
        code, failed = copy.run_planted(file, fault.source, (*area.tests, *area.more))
        if code != TIMED_OUT:
            break
    return code, failed


if __name__ == "__main__":
    sys.exit(main())
