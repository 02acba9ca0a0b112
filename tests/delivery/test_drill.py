"""The crash drill: who may ask for it, whom it kills, and whom never."""

import os
import signal
import socket
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.messages import get_messages
from django.core.cache import cache
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery.engine import drill, leases
from delivery.models import Drill, Message, Shard
from tenants.models import AuditEntry, Connection
from tenants.scope import every_workspace, scope
from tests.story import run_to_the_end

State = Shard.State


def state_of(pid: int) -> str:
    """As in /proc: S sleeps, T stands still, Z is dead."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def comes(pid: int, state: str) -> bool:
    deadline = time.monotonic() + 5
    while state_of(pid) != state and time.monotonic() < deadline:
        time.sleep(0.01)
    return state_of(pid) == state


@pytest.fixture
def process():
    """A process that could be a worker, in a group of its own."""
    started = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield started
    started.kill()
    started.wait()


@pytest.fixture
def sending(cast, prepared, process):
    """A run of which that process holds a shard, with messages in flight."""
    run = prepared(30)
    hold(run, process.pid)
    return run


def hold(run: Run, pid: int, **fields: object) -> None:
    lease = {
        "owner": f"{socket.gethostname()[:40]}:{pid}:ab12",
        "lease_until": timezone.now() + timedelta(seconds=30),
    }
    with scope(run.workspace):
        shard = Shard.objects.filter(run=run).earliest("pk")
        window = {"window_from": shard.first_id, "window_to": shard.first_id + 9}
        Shard.objects.filter(pk=shard.pk).update(
            state=State.LEASED, **{**lease, **window, **fields}
        )


def ask(run: Run, cast) -> bool:
    with scope(run.workspace):
        return drill.ask(Run.objects.get(pk=run.pk), by=cast.owner, now=timezone.now())


def test_it_kills_the_process_that_sends_and_writes_down_who_wanted_it(cast, sending, process):
    assert ask(sending, cast)
    assert drill.perform(process.pid, timezone.now()) == [process.pid]
    assert process.wait(5) == -signal.SIGKILL
    with scope(cast.workspace):
        entry = AuditEntry.objects.get(action="crash drill started")
        assert (entry.actor_email, entry.detail["run"]) == (cast.owner.email, sending.pk)
        assert Drill.objects.get().killed_at
    assert drill.perform(process.pid, timezone.now()) == [], "once"
    assert not ask(sending, cast), "the lease of a dead process lasts for a while"


def test_the_account_balances_after_it(cast, sending, process, settings):
    ask(sending, cast)
    drill.perform(process.pid, timezone.now())
    with scope(cast.workspace):
        Shard.objects.filter(run=sending).update(lease_until=timezone.now() - timedelta(seconds=1))
    run = run_to_the_end(sending)
    assert run.tally == {"accepted": 20, "unknown": 10}


@pytest.mark.parametrize(
    "reason", ["another group", "another host", "long ago", "another run", "paused since"]
)
def test_it_spares_everybody_else_and_lets_them_go_on(cast, sending, process, prepared, reason):
    group, now = process.pid, timezone.now()
    assert ask(sending, cast)
    with scope(cast.workspace):
        if reason == "another group":
            group = os.getpgrp()
        if reason == "another host":
            Drill.objects.update(worker=f"elsewhere:{process.pid}")
        if reason == "long ago":
            now += drill.PATIENCE + timedelta(seconds=1)
        if reason == "another run":  # the process has gone on to it since
            Shard.objects.filter(run=sending).update(state=State.DONE, owner="")
            hold(prepared(10), process.pid)
        if reason == "paused since":
            plan.pause(sending, by=cast.owner)
    assert drill.perform(group, now) == []
    assert comes(process.pid, "S"), "it works on"
    with scope(cast.workspace):
        assert not Drill.objects.exclude(killed_at=None).exists()


@pytest.mark.parametrize(
    "reason", ["real phones", "paused", "nobody works", "lease ran out", "asked already"]
)
def test_it_is_refused(cast, sending, process, reason):
    with scope(cast.workspace):
        if reason == "real phones":
            Connection.objects.update(provider="fcm")
        if reason == "paused":
            plan.pause(sending, by=cast.owner)
        if reason == "nobody works":
            Shard.objects.update(state=State.OPEN)
        if reason == "lease ran out":
            hold(sending, process.pid, lease_until=timezone.now() - timedelta(seconds=1))
    if reason == "asked already":
        assert ask(sending, cast)
    assert not ask(sending, cast)
    with scope(cast.workspace):
        assert Drill.objects.count() == (reason == "asked already")


# --- the run page ---------------------------------------------------------------------------------


def page(cast, run, who="owner"):
    return cast.client(who).get(cast.url(f"campaigns/run/{run.pk}/change/")).content.decode()


def progress(cast, run, who="owner"):
    return cast.client(who).get(cast.url(f"campaigns/run/{run.pk}/progress/")).json()


def told(cast, run):
    return " ".join(notice["text"] for notice in progress(cast, run)["notices"])


def press(cast, run, who="owner"):
    answer = cast.client(who).post(cast.url(f"campaigns/run/{run.pk}/drill/"))
    return answer, " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_the_button_is_offered_while_the_run_sends_to_the_sandbox(cast, sending):
    assert "drill" in progress(cast, sending)["can"]
    assert "drill" not in progress(cast, sending, "viewer")["can"]
    assert "Kill a worker" in page(cast, sending)
    assert "Kill a worker" not in page(cast, sending, "viewer")
    with scope(cast.workspace):
        Connection.objects.update(provider="fcm")
    assert "drill" not in progress(cast, sending)["can"]
    assert "Kill a worker" not in page(cast, sending)


def test_the_page_tells_the_story_of_the_drill(cast, sending, process):
    answer, says = press(cast, sending)
    assert (answer.status_code, says) == (
        302,
        "PushPilot kills one worker of this send now. Watch the figures.",
    )
    assert "PushPilot kills " in told(cast, sending)
    drill.perform(process.pid, timezone.now())
    assert "Another worker takes over in" in told(cast, sending)
    with scope(cast.workspace):
        Shard.objects.filter(run=sending).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert "Another worker takes over now" in told(cast, sending)
    with every_workspace():
        assert leases.claim(timezone.now())
    assert (
        "was killed, and another worker took over. 10 recipients in flight count as Unknown"
    ) in told(cast, sending)


def test_a_worker_that_had_nothing_in_flight_leaves_nobody_unknown(cast, sending, process):
    hold(sending, process.pid, window_from=None, window_to=None)
    press(cast, sending)
    drill.perform(process.pid, timezone.now())
    with scope(cast.workspace):
        Shard.objects.filter(run=sending).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert run_to_the_end(sending).tally == {"accepted": 30}
    assert "was killed during the send. No message was in flight at that moment" in told(
        cast, sending
    )


def test_it_counts_whom_the_kill_left_unknown_and_nobody_else(cast, sending, process):
    press(cast, sending)
    drill.perform(process.pid, timezone.now())
    with scope(cast.workspace):
        Shard.objects.filter(run=sending).update(lease_until=timezone.now() - timedelta(seconds=1))
    run = run_to_the_end(sending)
    with scope(cast.workspace):
        other = (
            Message.objects.filter(run=run, reason=Reason.ACCEPTED).order_by("pk").values("pk")[:3]
        )
        Message.objects.filter(pk__in=other).update(reason=Reason.UNKNOWN, error_code="NO_ANSWER")
        Run.objects.filter(pk=run.pk).update(tally={"accepted": 17, "unknown": 13})
    assert "10 recipients in flight count as Unknown. No recipient is lost" in told(cast, run)
    assert (
        cast.client("owner").post(cast.url(f"campaigns/run/{run.pk}/close-unknown/")).status_code
        == 302
    )
    cache.clear()
    assert "10 recipients in flight count as Unknown. No recipient is lost" in told(cast, run)


def test_whom_somebody_sent_to_again_is_not_unknown_any_more(cast, sending, process):
    press(cast, sending)
    drill.perform(process.pid, timezone.now())
    with scope(cast.workspace):
        Shard.objects.filter(run=sending).update(lease_until=timezone.now() - timedelta(seconds=1))
    run = run_to_the_end(sending)
    assert (
        cast.client("owner").post(cast.url(f"campaigns/run/{run.pk}/resend-unknown/")).status_code
        == 302
    )
    assert run_to_the_end(run).tally == {"accepted": 30}
    assert told(cast, run).endswith(
        "No recipient is lost, and none is unknown because of the drill."
    )


def test_a_drill_that_came_too_late_is_said_too(cast, sending):
    press(cast, sending)
    with scope(cast.workspace):
        Drill.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    assert "had finished before PushPilot could kill it" in told(cast, sending)


def test_without_a_worker_that_sends_nobody_is_killed(cast, prepared):
    run = prepared(5)
    answer, says = press(cast, run)
    assert answer.status_code == 302
    assert says == (
        "No worker sends a message at this moment. The send waits for its rate limit, for the "
        "provider or for another worker. Try again."
    )


def test_a_viewer_kills_nobody(cast, sending):
    assert press(cast, sending, "viewer")[0].status_code == 403
    with scope(cast.workspace):
        assert not Drill.objects.exists()


def test_a_second_drill_waits_for_the_first(cast, sending):
    press(cast, sending)
    assert (
        press(cast, sending)[1]
        == "PushPilot kills a worker of this send already. Watch the figures."
    )


def test_a_drill_that_comes_after_the_end_says_where_the_run_stands(cast, sending):
    with scope(cast.workspace):
        plan.pause(sending, by=cast.owner)
    assert press(cast, sending)[1] == "Nothing to kill: the state of this send is now “Paused”."
