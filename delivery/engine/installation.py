"""May this process send from this database at all? A copy of a database must never send by itself.

* A clone on another machine (staging) carries the name of the installation that it was copied from.
* A backup that was restored has seen fewer ticks than the machine remembers.
* A database that slept for hours wakes up with runs half done: what is left of them is late.
* A clock that is wrong sends at the wrong time.

The machine's own memory is a small file in DATA_DIR, with one entry per database: a folder may
work with one database today and with another one tomorrow. Without a lasting file a restored
backup goes unnoticed. Machines that share a database are told its name by INSTANCE_ID.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Subquery
from django.utils import timezone

from campaigns import plan
from campaigns.models import Run
from delivery.engine import statements
from delivery.models import Fingerprint, Installation
from tenants.scope import every_workspace

CLOCK_LIMIT = timedelta(seconds=30)
TICK_KEPT = timedelta(seconds=10)  # the row is not written more often
ADOPTED = 10_000_000  # ticks: more than another machine can remember beyond the one that adopts
_NEVER = datetime.min.replace(tzinfo=UTC)
SLEPT_LEAST = timedelta(minutes=10)  # shorter outages need no look at each run's limit


class _Memory(msgspec.Struct):
    """What this machine remembers of one database."""

    name: str = ""
    ticks: int = 0
    ticked_at: datetime | None = None


class _File(_Memory):
    """All that it remembers: {fingerprint: memory}. The fields of its own are those of a machine
    that knew one database and no fingerprints."""

    databases: dict[str, _Memory] = {}


def locked_because() -> str:
    """Why this machine may not send, as a sentence for operators with the remedy; "" if it may."""
    row, memory = _look()
    if row is None:
        return ""
    return _strange(row, memory) or _wrong_clock()


def check_in(now: datetime) -> str:
    """Call before taking any work. Returns `locked_because`, and pauses the runs that an outage
    made late."""
    row, memory = _look()
    if row is None:
        row = _create_installation()
        memory = _read()
    if why := _strange(row, memory) or _wrong_clock():
        if why != row.locked and _is_behind(row, memory):  # for the machines that cannot know
            Installation.objects.filter(pk=row.pk).update(locked=why)
        return why
    # One that lies ahead was written by a clock that was wrong.
    if row.ticked_at is None or not -2 * CLOCK_LIMIT < now - row.ticked_at <= TICK_KEPT:
        _tick(row, now)
    elif row.ticks != memory.ticks:  # another machine's tick
        _remember(row)
    return ""


@transaction.atomic
def adopt(*, by: str) -> int:
    """Take the database as the right one for this machine, on a person's word. Runs under way
    are paused: recipients may have got the message since the copy was made. Returns how many
    runs were paused."""
    row = Installation.objects.select_for_update().first() or _create_installation()
    memory = _read()
    row.name = settings.INSTANCE_ID or memory.name or secrets.token_hex(8)
    row.ticks, row.locked = max(row.ticks, memory.ticks) + ADOPTED, ""
    row.ticked_at = timezone.now()
    row.save()
    copied = f"The database was restored or moved ({by} confirmed it)."
    why = (
        f"{copied} Recipients that still wait here may have got the message since the copy was "
        "made."
    )
    paused = _pause_late(timedelta(), why)
    transaction.on_commit(lambda: _remember(row))
    return paused


def _look() -> tuple[Installation | None, _Memory]:
    """Read the machine's memory before the database, which only moves on: a tick in between
    never makes it look old."""
    databases = _read_file().databases
    own = Fingerprint.objects.values("value")[:1]
    row = Installation.objects.annotate(fingerprint=Subquery(own)).first()
    return row, _Memory() if row is None else _memory_of(databases, row.fingerprint or "")


def _create_installation() -> Installation:
    """Name a new database. The machine remembers the name first: killed in between, it would not
    know its own database. One without runs stands in for one that was thrown away and counts on;
    one with runs that the machine remembers is a backup from before it had a name."""
    if not _read().name:
        _write(_Memory(settings.INSTANCE_ID or secrets.token_hex(8)), is_first=True)
    memory = _read()
    with every_workspace():
        ticks = 0 if Run.objects.exists() else memory.ticks
    name = settings.INSTANCE_ID or memory.name or secrets.token_hex(8)
    row, _ = Installation.objects.get_or_create(pk=1, defaults={"name": name, "ticks": ticks})
    return row


def _strange(row: Installation, memory: _Memory) -> str:
    ours = settings.INSTANCE_ID or memory.name
    if ours != row.name:
        whose = f"installation {row.name!r}"
        if not ours:
            whose = f"{whose}, which this machine does not know"
        return (
            f"Sending is locked: the database belongs to {whose}. If this machine should send for "
            f"it, set INSTANCE_ID={row.name}; if it is a copy that should send by itself, run "
            "manage.py adopt."
        )
    if row.locked or not _is_behind(row, memory):
        return row.locked
    was, until = (
        f"{at:%d %b %Y %H:%M:%S} UTC" if at else "an early day"
        for at in (row.ticked_at, memory.ticked_at)
    )
    return (
        f"Sending is locked: the database is as of {was}, but the machine {socket.gethostname()} "
        f"worked with it until {until}. It was restored from a backup, and does not know what was "
        f"sent since: look at the runs, then run manage.py adopt."
    )


def _is_behind(row: Installation, memory: _Memory) -> bool:
    return memory.name == row.name and row.ticks < memory.ticks


def _wrong_clock() -> str:
    if not statements.is_postgresql():
        return ""  # the same clock
    off = abs(statements.run("SELECT clock_timestamp()", [])[0][0] - timezone.now())
    if off <= CLOCK_LIMIT:
        return ""
    return (
        "Sending is locked: the clocks of this machine and the database differ by "
        f"{off.total_seconds():.0f} s."
    )


@transaction.atomic
def _tick(row: Installation, now: datetime) -> None:
    """Count a tick. After an outage only one process pauses what is late: the one whose update
    counts."""
    before, row.ticked_at, row.ticks = row.ticked_at, now, row.ticks + 1
    same = Installation.objects.filter(pk=row.pk, ticks=row.ticks - 1)
    moved = same.update(ticks=row.ticks, ticked_at=now)
    if moved:
        transaction.on_commit(lambda: _remember(row))
    if not moved or before is None or now - before < SLEPT_LEAST:
        return
    slept = now - before
    _pause_late(
        slept,
        f"No worker was running for {int(slept.total_seconds() // 60)} minutes; "
        "the remaining messages are late.",
    )


def _pause_late(late: timedelta, why: str) -> int:
    """Pause runs under way that are later than their own limit for starting; a person decides
    and resumes."""
    paused = 0
    with every_workspace():
        for run in Run.objects.filter(state__in=plan.STARTED).select_related(
            "workspace", "campaign"
        ):
            if late and late < run.not_after - run.intended_at:
                continue
            paused += plan.pause_for_cause(run, why)
    return paused


def _file() -> Path:
    return Path(settings.DATA_DIR) / "installation.json"


def _read() -> _Memory:
    """What the machine remembers of this database."""
    return _memory_of(_read_file().databases, _fingerprint())


def _fingerprint() -> str:
    """ "" of a database that is older than fingerprints and names."""
    return Fingerprint.objects.values_list("value", flat=True).first() or ""


def _memory_of(databases: dict[str, _Memory], fingerprint: str) -> _Memory:
    """A database without a fingerprint may be a backup of any: compare it with the one used
    last."""
    if fingerprint or fingerprint in databases:
        return databases.get(fingerprint, _Memory())
    return max(databases.values(), key=lambda known: known.ticked_at or _NEVER, default=_Memory())


def _read_file() -> _File:
    try:
        found = msgspec.json.decode(_file().read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError):
        return _File()
    if found.name:  # of before databases had fingerprints: theirs is the name that they had
        found.databases.setdefault(found.name, _Memory(found.name, found.ticks, found.ticked_at))
    return found


def _remember(row: Installation) -> None:
    _write(_Memory(row.name, row.ticks, row.ticked_at))


def _write(memory: _Memory, *, is_first: bool = False) -> None:
    """Whole or not at all; `is_first`: unless another process was faster. Without a place to
    write, the machine only does not remember."""
    fingerprint, path = _fingerprint(), _file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock")):
            databases = _read_file().databases
            if is_first and _memory_of(databases, fingerprint).name:
                return
            databases[fingerprint] = memory
            draft = path.with_suffix(f".{os.getpid()}")
            with draft.open("wb") as file:
                file.write(msgspec.json.encode({"databases": databases}))
                file.flush()
                # with an empty file after a power cut it would not know its database
                os.fsync(file.fileno())
            draft.replace(path)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time: the file holds what others remember of their databases."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
