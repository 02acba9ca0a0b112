"""A product under attack: its own database, sandbox, network and workers, runs that send, and
who hurts them."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tests.faults.checker import Report, SandboxLog, compare, differences
from tests.faults.processes import Workers
from tests.faults.proxy import Proxy, running_proxy
from tests.providers.sandbox_server import Sandbox, running_sandbox

if TYPE_CHECKING:
    from campaigns.models import Run

LEASE_SECS = 2
RUN_MOST_SECS = 600
LATENCY_MS = [50, 100]
LOOK_SECS = 0.5  # between two looks at the counters of a run that is sent


@dataclass
class World:
    sandbox: Sandbox
    proxy: Proxy
    workers: Workers
    log: SandboxLog
    dice: random.Random
    database_url: str
    policy: str
    recipients: int
    owner: Any = None
    workspace: Any = None

    def weather(self, **settings: Any) -> None:
        """Replace the sandbox's settings; without any, fair weather."""
        self.sandbox.settings(latency_ms=LATENCY_MS, **settings)


@dataclass
class Scene:
    """One run under attack."""

    world: World
    run: Run
    last: bool = False  # the blow that is struck next is the last one of this run
    excused: int = 0  # messages of which the attack itself took the answer
    found: list[str] = field(default_factory=list)  # what the attack saw go wrong
    notes: list[str] = field(default_factory=list)

    def refresh(self) -> Run:
        from campaigns.models import Run
        from tenants.scope import every_workspace

        with every_workspace():
            self.run = Run.objects.select_related("workspace", "campaign").get(pk=self.run.pk)
        return self.run

    def leased(self) -> int:
        """How many shards are being worked on."""
        from delivery.models import Shard
        from tenants.scope import every_workspace

        with every_workspace():
            return Shard.objects.filter(run=self.run, state=Shard.State.LEASED).count()

    def look(self) -> None:
        """Do the counters agree with the rows at this moment?"""
        from django.db import connection, transaction

        from tenants.scope import scope

        with scope(self.run.workspace), transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "postgresql":  # in SQLite every transaction is a snapshot
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.found += [] if self.found else differences(self.run)


class Attack(Protocol):
    title: str
    per_run: int
    pause_secs: tuple[float, float]  # between two blows
    is_orderly: bool  # nobody dies, so nothing may become unknown
    # what it may make of recipients besides accepted and unknown: slugs of reasons
    ends: frozenset[str]

    def begin(self, scene: Scene) -> None: ...
    def strike(self, scene: Scene) -> bool:
        """One blow, while the run sends; False if there was nothing to hit."""
        ...

    def judge(self, scene: Scene, report: Report) -> None:
        """After the run: add to the report what only the attack can know."""
        ...


class Plain:
    """What most attacks share."""

    per_run = 10
    pause_secs = (0.1, 1.0)
    is_orderly = False
    ends: frozenset[str] = frozenset()

    def begin(self, scene: Scene) -> None:
        pass

    def judge(self, scene: Scene, report: Report) -> None:
        pass


@contextlib.contextmanager
def world(
    folder: Path, database: str, workers: int, dice: random.Random, **chosen: Any
) -> Iterator[World]:
    """Everything is running when it is entered, and gone when it is left."""
    with (
        running_sandbox(folder / "sandbox") as sandbox,
        running_proxy(int(sandbox.url.rpartition(":")[2])) as proxy,
        fresh_database(database, folder) as url,
    ):
        prepare_environment(folder, url, proxy.url)
        import django

        django.setup()
        from tests.database import migrate

        migrate()
        running = Workers(workers, folder / "workers.log")
        try:
            yield World(
                sandbox, proxy, running, SandboxLog(folder / "sandbox"), dice, url, **chosen
            )
        finally:
            running.stop()
            from django.db import connection

            connection.close()


def prepare_environment(folder: Path, database_url: str, sandbox_url: str) -> None:
    """Point this process and its children at a database and folder of their own. Call before
    Django is set up."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "pushpilot.settings",
        "DATA_DIR": str(folder),
        "DATABASE_URL": database_url,
        "SANDBOX_URL": sandbox_url,
        "LEASE_SECS": str(LEASE_SECS),
        "SEND_UNDO_SECS": "0",
        "LOG_LEVEL": os.environ.get("FAULTS_LOG_LEVEL", "ERROR"),
    }
    for name in ("REDIS_URL", "ROW_SECURITY", "INSTANCE_ID"):
        os.environ.pop(name, None)


@contextlib.contextmanager
def fresh_database(wanted: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database: a SQLite file, or a new one on the PostgreSQL server that
    `wanted` names."""
    if not wanted.startswith("postgres"):
        yield f"sqlite:///{folder / 'faults.sqlite3'}"
        return
    import psycopg

    name = f"faults_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(wanted, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{wanted.rpartition('/')[0]}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def empty_product(database: str) -> Iterator[Path]:
    """Django on a fresh database in a folder of its own, for benchmarks of pages: nothing is
    sent. Gives the folder."""
    with tempfile.TemporaryDirectory() as name, fresh_database(database, Path(name)) as url:
        prepare_environment(Path(name), url, "http://127.0.0.1:9")
        import django

        django.setup()
        yield Path(name)


def populate(world: World, per_second: int) -> None:
    """A workspace with phones and a connection to the sandbox."""
    from delivery.connections import connect_sandbox
    from tenants.models import Connection, User
    from tenants.scope import scope
    from tenants.workspaces import create_workspace
    from tests.story import add_people

    world.owner = User.objects.create_user("owner@faults.test", "irrelevant")
    world.workspace = create_workspace("Faults", owner=world.owner)
    connected = connect_sandbox(world.workspace, by=world.owner)
    with scope(world.workspace):
        Connection.objects.filter(pk=connected.pk).update(per_second=per_second)
    add_people(world.workspace, world.recipients)
    world.weather()


def experiment(world: World, attack: Attack, count: int) -> list[Report]:
    """Strike `count` times, in as many runs as that takes; prints a line for each."""
    reports: list[Report] = []
    scenes: list[Scene] = []
    print(f"\n{attack.title}", flush=True)
    while (left := count - sum(report.attacks for report in reports)) > 0:
        started = time.monotonic()
        scene = Scene(world, _launch(world, f"{attack.title} {len(reports) + 1}"))
        attack.begin(scene)
        struck = _fight(scene, attack, min(left, attack.per_run))
        world.weather()
        # answers on their way to a worker that was killed reach the sandbox's log first
        time.sleep(1)
        world.log.read()
        report = compare(
            scene.run,
            world.log,
            world.recipients,
            scene.excused,
            ends=attack.ends,
            is_orderly=attack.is_orderly,
        )
        report.attacks, report.seconds = struck, time.monotonic() - started
        report.found += scene.found
        if scene.run.ambiguity_policy != world.policy:
            report.found.append(f"the run was sent with the policy {scene.run.ambiguity_policy}")
        report.notes += scene.notes
        attack.judge(scene, report)
        reports.append(report)
        scenes.append(scene)
        print(f"{len(reports):3}. {report.line()}", flush=True)
        if not any(report.attacks for report in reports[-3:]):
            raise AssertionError(
                "three runs were over before they could be attacked: more --recipients, or a lower "
                "pace"
            )
    _find_strays(world, scenes, reports)
    return reports


def _find_strays(world: World, scenes: list[Scene], reports: list[Report]) -> None:
    """What was sent after its run had ended and was compared, by a zombie for instance."""
    world.log.read()
    for scene, report in zip(scenes, reports, strict=True):
        late = compare(scene.run, world.log, world.recipients)
        if (late.twice, late.unaccounted, late.unseen) != (
            report.twice,
            report.unaccounted,
            report.unseen,
        ):
            report.found.append("messages were sent after the run had ended")


def _launch(world: World, name: str) -> Run:
    from django.utils import timezone

    from campaigns import plan
    from campaigns.models import Run
    from tenants.scope import scope
    from tests.story import write_campaign

    campaign = write_campaign(world.workspace, name=name, ambiguity_policy=world.policy)
    with scope(world.workspace):
        run = plan.schedule(campaign, by=world.owner, now=timezone.now())
        Run.objects.filter(pk=run.pk).update(not_after=timezone.now() + timedelta(hours=1))
        return run


def _fight(scene: Scene, attack: Attack, most: int) -> int:
    """Strike while the run sends, at most so often; wait until it has ended. Returns how often."""
    struck, until = 0, time.monotonic() + RUN_MOST_SECS
    dice = scene.world.dice
    next_strike = next_look = time.monotonic()
    while time.monotonic() < until:
        run = scene.refresh()
        if run.is_ended and run.finished_at:
            return struck
        if run.state == run.State.PAUSED:
            _resume(scene)
        if time.monotonic() >= next_look:
            scene.look()
            next_look = time.monotonic() + LOOK_SECS
        if struck < most and time.monotonic() >= next_strike and scene.leased():
            scene.last = struck == most - 1
            if attack.strike(scene):
                struck += 1
                next_strike = time.monotonic() + dice.uniform(*attack.pause_secs)
        time.sleep(0.05)
    raise AssertionError(
        f"the run did not end within {RUN_MOST_SECS} s: {scene.run.state}, {scene.run.last_error}"
    )


def _resume(scene: Scene) -> None:
    """The engine paused by itself: its owner reads why and goes on, as they would."""
    from campaigns import plan
    from tenants.scope import scope

    scene.notes.append(f"paused: {scene.run.last_error[:120]}")
    time.sleep(1)
    with scope(scene.run.workspace):
        plan.resume(scene.run, by=scene.world.owner)
