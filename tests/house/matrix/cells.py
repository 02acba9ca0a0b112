"""A cell: one role at one surface with one tenant's rows. `judge` uses it and says what was
wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.http import HttpResponse

from tests.house.matrix.world import ALLOWED, INSIDERS, MISSING, Visit, World, changed, seen, visit

REFUSED = frozenset({"login", "404", "403", "405", "401"})


@dataclass(frozen=True)
class Cell:
    """`ask` makes the request; `asked` is its text. `right` are the classes of answer that are
    right.

    `tenant` is whose door it is: the rows of the other one must neither be seen nor changed.
    With ALLOWED `shows` stands in the answer, and the door's own rows of `changes` (a model's
    label) are not what they were. `twin` asks the same of a row that does not exist: the answer
    must be the same.
    """

    name: str
    role: str
    whose: str
    ask: Callable[[], HttpResponse]
    right: frozenset[str]
    asked: str = ""
    tenant: str = "ours"
    before: Callable[[], None] | None = None
    shows: str = ""
    changes: str = ""
    twin: Callable[[], HttpResponse] | None = None
    on_platform: bool = False
    reads_only: bool = False
    audited: bool = False  # what is refused is written into the other tenant's trail
    # A check of its own instead of a request: the sentences that say what is wrong.
    check: Callable[[], list[str]] | None = None

    def __str__(self) -> str:
        return f"{self.role} · {self.name} · {self.whose}"


@dataclass
class Outcome:
    cells: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([f"{len(self.faults)} faults in {self.cells} cells:", *self.faults])


def run(world: World, cells: Iterable[Cell]) -> Outcome:
    outcome = Outcome()
    for cell in cells:
        outcome.cells += 1
        outcome.faults += [f"{cell}: {fault}" for fault in judge(world, cell)]
    return outcome


def judge(world: World, cell: Cell) -> list[str]:
    if cell.check is not None:
        return cell.check()
    found = visit(world, cell.ask, before=cell.before, tenant=cell.tenant, asked=cell.asked)
    faults = []
    if found.answer not in cell.right:
        faults.append(f"{found.answer}, not {' or '.join(sorted(cell.right))}")
    faults += [
        f"shows “{mark}”"
        for mark in seen(cell.role, found.body, cell.asked, on_platform=cell.on_platform)
    ]
    faults += found.choices
    if found.wrote:
        faults += _written(cell, found)
    if found.answer == ALLOWED:
        if cell.shows and cell.shows not in found.body:
            faults.append(f"does not show “{cell.shows}”")
        if cell.changes and cell.changes not in changed(found.before, found.after, cell.tenant):
            faults.append(f"changes no {cell.changes}")
    if cell.twin is not None:
        absent = visit(world, cell.twin, before=cell.before, tenant=cell.tenant).answer
        if absent != found.answer:
            faults.append(f"{found.answer}, but {absent} for a row that does not exist")
    return faults


def _written(cell: Cell, found: Visit) -> list[str]:
    other = "theirs" if cell.tenant == "ours" else "ours"
    faults = [
        f"changes {other}: {label}"
        for label in changed(found.before, found.after, other, trail=not cell.audited)
    ]
    faults += [
        f"changes the library: {label}" for label in changed(found.before, found.after, "shared")
    ]
    faults += [f"carries over into {label}" for label in found.smuggled]
    own = changed(found.before, found.after, cell.tenant)
    if own and (found.answer in REFUSED or cell.reads_only):
        faults.append(f"answers {found.answer} and changes {', '.join(sorted(own))}")
    return faults


def any_of(*answers: str) -> frozenset[str]:
    return frozenset(answers)


def is_insider(role: str) -> bool:
    return role in INSIDERS


def refusal_of(role: str) -> str:
    """What somebody who is no member gets in the console."""
    return "login" if role == "anonymous" else MISSING
