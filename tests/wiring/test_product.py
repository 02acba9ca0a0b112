"""`manage.py demo` and `run`: one per folder, ports that never collide, and sentences where
something is wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import Value
from django.db.models.functions import Concat
from django.utils import timezone

from campaigns import plan
from campaigns.models import Endpoint, Run
from delivery.engine import pipeline
from delivery.models import Heartbeat, Installation
from pushpilot import product
from pushpilot.demo import Demo, read_story
from pushpilot.management.commands import demo as demo_command
from pushpilot.management.commands import run as run_command
from pushpilot.processes import PortTaken, claim_port
from tenants.scope import scope
from tests.house.sources import ROOT
from tests.story import add_people, write_campaign

pytestmark = pytest.mark.once


@contextlib.contextmanager
def listening(host: str = "127.0.0.1"):
    """A foreign server on a port of its own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        yield server.getsockname()[1]


# --- ports ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_somebody_listens_on_is_passed_over(host):
    with listening(host) as taken:
        assert claim_port(taken).number > taken


def test_two_that_choose_at_the_same_moment_get_different_ports():
    with listening() as near:
        pass
    first, second = claim_port(near), claim_port(near)
    assert first.number != second.number
    first.claim.close()
    third = claim_port(first.number, is_exact=True)
    assert third.number == first.number, "a claim ends with its holder"
    second.claim.close()
    third.claim.close()


def test_another_process_cannot_claim_what_this_one_has_claimed():
    with listening() as near:
        pass
    claimed = claim_port(near)
    code = f"from pushpilot.processes import claim_port; print(claim_port({claimed.number}).number)"
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(other.stdout) != claimed.number
    claimed.claim.close()


def test_a_port_that_was_asked_for_is_taken_or_refused_but_never_exchanged():
    with listening() as taken:
        with pytest.raises(PortTaken):
            claim_port(taken, is_exact=True)
        with pytest.raises(CommandError) as refused:
            product.choose_ports(taken, None)
    assert refused.value.returncode == 2
    assert str(taken) in str(refused.value)


@pytest.mark.parametrize("port", ["0", "70000", "x", "-1", "²"])
def test_a_port_that_is_none_is_refused_by_name(port):
    with pytest.raises(CommandError, match="is no port"):
        call_command("run", f"--port={port}")


@pytest.mark.parametrize("command", ["demo", "run"])
def test_make_hands_the_port_on(command):
    done = subprocess.run(
        ["make", "--dry-run", command, "PORT=9000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"manage.py {command} --port 9000" in done.stdout


@pytest.mark.parametrize(
    ("url", "ours"),
    [("http://127.0.0.1:8765", True), ("http://localhost", True), ("http://sandbox.test", False)],
)
def test_a_sandbox_of_another_machine_is_used_and_not_started(settings, url, ours):
    settings.SANDBOX_URL = url
    ports = product.choose_ports(None, None)
    assert (ports.sandbox is not None) == ours
    assert ours or ports.sandbox_url == url
    for claimed in (ports.web, ports.sandbox):
        if claimed:
            claimed.claim.close()


# --- one per folder -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("first", "second"), [("demo", "run"), ("run", "demo"), ("run", "run"), ("demo", "demo")]
)
def test_demo_and_run_refuse_each_other_in_one_folder_and_name_the_address(db, first, second):
    with product.only_product(first) as note:
        note("http://localhost:8123")
        with pytest.raises(CommandError) as refused:
            call_command(second)
    assert f"manage.py {first} (http://localhost:8123)" in str(refused.value)
    with product.only_product(second):
        pass


# --- nothing outlives it --------------------------------------------------------------------------
def test_the_children_of_a_killed_run_end_with_it(tmp_path):
    """How the machine's memory killer and kill -9 end it: without a chance to stop anybody."""
    code = (
        "import time; from pathlib import Path; from pushpilot.processes import Processes\n"
        f"made = Processes({{}}, Path({str(tmp_path)!r})); made.start('child', ['sleep', '60'])\n"
        "print(made.running[0][1].pid, flush=True); time.sleep(60)"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "pushpilot.settings",
        "DATA_DIR": str(tmp_path),
    }
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    try:
        deadline = time.monotonic() + 10
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(child)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def is_running(process: int) -> bool:
    """A zombie that nobody has buried yet runs no more."""
    try:
        state = (
            Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        )
    except OSError:
        return False
    return state not in "ZX"


# --- the demo says why it waits -------------------------------------------------------------------
@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [1000.0]
    monkeypatch.setattr(demo_command.time, "monotonic", lambda: now[0])

    def wait(secs: float) -> None:
        now[0] += secs

    return wait


@pytest.fixture
def due(cast, connected, settings) -> Run:
    """A run that should start now."""
    settings.SEND_UNDO = timedelta()
    add_people(cast.workspace, 2)
    campaign = write_campaign(cast.workspace)
    with scope(cast.workspace):
        return plan.schedule(campaign, by=cast.owner, now=timezone.now())


def test_the_demo_says_within_seconds_that_no_worker_runs_and_gives_up_after_a_minute(
    cast, due, clock
):
    patience = demo_command.Patience()
    with scope(cast.workspace):
        said = []
        for _ in range(20):
            clock(1.1)
            said.append(patience.look(due))
        assert [bool(text) for text in said].count(True) == 1, "once"
        assert not any(said[:8]), "a worker takes some seconds to start"
        assert any("No worker is running" in text for text in said)
        clock(demo_command.STILL_SECS)
        with pytest.raises(CommandError, match="No worker is running"):
            patience.look(due)


def test_the_demo_ends_at_once_where_sending_is_locked(cast, due, clock):
    Installation.objects.create(pk=1, name="live-database")
    clock(2)
    patience = demo_command.Patience()
    clock(2)
    with scope(cast.workspace), pytest.raises(CommandError, match="INSTANCE_ID=live-database"):
        patience.look(due)


def test_the_demo_names_the_platform_that_its_send_waits_for(cast, due, clock):
    with scope(cast.workspace):
        Endpoint.objects.update(value=Concat(Value("sbx_thirdparty_"), "value"), platform="ios")
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    patience, said = demo_command.Patience(), []
    with scope(cast.workspace):
        due.refresh_from_db()
        for _ in range(20):
            clock(1.1)
            said.append(patience.look(due))
        assert ["THIRD_PARTY_AUTH_ERROR" in text for text in said].count(True) == 1
        clock(demo_command.STILL_SECS)
        with pytest.raises(CommandError, match="THIRD_PARTY_AUTH_ERROR"):
            patience.look(due)


def test_the_demo_is_patient_while_something_moves(cast, due, clock):
    Heartbeat.objects.create(worker="here:1", beat_at=timezone.now())
    patience = demo_command.Patience()
    with scope(cast.workspace):
        for place in range(5):
            clock(demo_command.STILL_SECS - 1)
            Run.objects.filter(pk=due.pk).update(prepared_to=place)
            due.refresh_from_db()
            patience.look(due)


def test_a_demo_on_a_database_of_another_installation_changes_nothing(db, monkeypatch):
    Installation.objects.create(pk=1, name="live-database")
    monkeypatch.setattr(demo_command, "make_demo", lambda: pytest.fail("nothing may be written"))
    with pytest.raises(CommandError, match="INSTANCE_ID=live-database"):
        call_command("demo", stdout=StringIO())


@pytest.mark.parametrize("folder", ["/data/mail", None])
def test_the_demo_says_where_its_mails_lie_unless_a_mail_server_takes_them(cast, settings, folder):
    settings.EMAIL_FILE_PATH = folder
    demo = Demo(cast.workspace, cast.owner, read_story())
    out = StringIO()
    demo_command.Command(stdout=out).welcome(demo, "http://localhost:8000")
    assert ("/data/mail" in out.getvalue()) == bool(folder)
    assert ("Mails:" in out.getvalue()) == bool(folder)
    assert "http://localhost:8000" in out.getvalue().split()


def test_run_prints_the_address_that_it_serves_and_the_one_of_its_links(db):
    for public in ("http://localhost:8123", "https://push.example.com"):
        out = StringIO()
        run_command.Command(stdout=out).welcome("http://localhost:8123", public)
        assert {"http://localhost:8123", public} <= set(out.getvalue().split())
