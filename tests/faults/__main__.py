"""`python -m tests.faults --kills 200 --recipients 20000`: hurt a product that sends, compare
the sandbox's log with the ledger, and see whether the account of each run balances.

Each option names a kind of attack and how often it is done, in as many runs as that takes.
Without any: a few of each. On SQLite in a folder of its own, or with --database postgres://… in
a fresh database of that server.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults import laboratory
from tests.faults.checker import Report
from tests.faults.kills import Drills, KillAnything, KillSenders, KillWatchdogs, Restarts, Zombies
from tests.faults.laboratory import Attack, Plain, World
from tests.faults.outages import Outages
from tests.faults.stops import Stops
from tests.faults.weather import Weather

# option → (attack, how often in the short form, help)
ATTACKS: dict[str, tuple[type[Plain], int, str]] = {
    "kills": (KillSenders, 2, "kill -9 of processes that send"),
    "any-kills": (KillAnything, 1, "kill -9 of any q2 process"),
    "zombies": (Zombies, 1, "SIGSTOP for longer than the lease, then SIGCONT"),
    "stops": (Stops, 2, "pauses and cancels"),
    "restarts": (Restarts, 1, "SIGTERM of a worker"),
    "watchdogs": (KillWatchdogs, 1, "kill -9 of `manage.py worker` itself"),
    "drills": (Drills, 0, "the crash drill of the console"),
    "outages": (Outages, 1, "the database goes away"),
    "weather": (Weather, 2, "storms of the sandbox, resets, GOAWAYs, stalls"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, (_, _, says) in ATTACKS.items():
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N", help=says)
    parser.add_argument(
        "--policy", choices=("hold", "resend"), default="hold", help="for what is ambiguous"
    )
    parser.add_argument("--recipients", type=int, default=2000, help="of each run")
    parser.add_argument(
        "--per-second",
        type=int,
        default=0,
        help="pace of the connection; 0: 10,000, or 800 if short",
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="`manage.py worker`, of two processes each"
    )
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, or postgres://user@host/database of a server"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    chosen = parser.parse_args()
    counts = {name: getattr(chosen, name.replace("-", "_")) for name in ATTACKS}
    is_short = not any(counts.values())
    if is_short:
        counts = {name: short for name, (_, short, _) in ATTACKS.items()}
    print(
        f"seed {chosen.seed}, {chosen.database.partition(':')[0]}, policy {chosen.policy}",
        flush=True,
    )
    dice = random.Random(chosen.seed)
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: nohup ignores it
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="faults") as name:
        options = {"policy": chosen.policy, "recipients": chosen.recipients}
        with laboratory.world(
            Path(name), chosen.database, chosen.workers, dice, **options
        ) as world:
            laboratory.populate(world, chosen.per_second or (800 if is_short else 10_000))
            is_clean = attack_all(world, {name: count for name, count in counts.items() if count})
    return 0 if is_clean else 1


def attack_all(world: World, counts: dict[str, int]) -> bool:
    table = []
    for name, count in counts.items():
        attack: Attack = ATTACKS[name][0]()  # type: ignore[assignment]
        table.append((attack.title, laboratory.experiment(world, attack, count)))
    print(f"\n{'':36}{'attacks':>8}{'runs':>6}{'sent to':>10}{'takeovers':>11}{'lost':>6}{'unacc.':>8}"
          f"{'unknown':>9}{'allowed':>9}{'twice':>7}{'unflagged':>11}{'silence':>9}")  # fmt: skip
    for title, reports in table:
        print(row(title, reports))
    problems = [
        f"{title}: {problem}"
        for title, reports in table
        for one in reports
        for problem in one.problems()
    ]
    print("\n" + ("\n".join(problems) or "Every account balances."))
    return not problems


def row(title: str, reports: list[Report]) -> str:
    def total(name: str) -> int:
        return sum(getattr(report, name) for report in reports)

    return (
        f"{title:36}{total('attacks'):8,}{len(reports):6,}{total('recipients'):10,}{total('takeovers'):11,}"
        f"{total('lost'):6,}{total('unaccounted'):8,}{total('unknown'):9,}{total('most_unknown'):9,}{total('twice'):7,}"
        f"{total('unflagged'):11,}{max(report.silence_secs for report in reports):7.1f} s"
    )


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    sys.exit(main())
