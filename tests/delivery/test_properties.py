"""Whatever people and crashes do to a run, in whatever order: its account balances, what has
ended stays, counters are the rows, and the sandbox's log agrees."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import AmbiguityPolicy, Content, Endpoint, Run
from delivery import decisions
from delivery.connections import connect_sandbox
from delivery.engine import installation, leases, pipeline, record
from delivery.engine.work import ShardWorker
from delivery.models import Installation, Message, Pace, Reach, Shard
from delivery.providers.fcm.provider import Fcm
from pushpilot.lib.signing import read_reference
from tenants.models import Connection, User
from tenants.scope import every_workspace, scope
from tenants.workspaces import create_workspace
from tests.story import add_people, received, write_campaign

KINDS = ("ok", "ok", "ok", "unregistered", "flaky", "unavailable", "thirdparty", "mismatch")
State = Run.State
# What ends a run comes late, or nothing else is ever tried.
RARELY = some.sampled_from([False] * 7 + [True])


class RunMachine(RuleBasedStateMachine):
    sandbox = None

    @initialize(
        kinds=some.lists(some.sampled_from(KINDS), min_size=1, max_size=12),
        policy=some.sampled_from(AmbiguityPolicy.values),
        expires=some.sampled_from([None, 30]),
        platform=some.sampled_from(["android", "ios"]),
        is_prepared=some.sampled_from([True, True, True, False]),
    )
    def begin(self, kinds, policy, expires, platform, is_prepared):
        word = uuid.uuid4().hex[:12]
        self.owner = User.objects.create_user(f"{word}@machine.test", "irrelevant")
        self.workspace = create_workspace(word, owner=self.owner)
        connect_sandbox(self.workspace, by=self.owner)
        tokens = [f"sbx_{kind}_{word}_{n}" for n, kind in enumerate(kinds)]
        add_people(self.workspace, len(kinds), tokens=tokens, platform=platform)
        campaign = write_campaign(
            self.workspace, ambiguity_policy=policy, expires_after_mins=expires
        )
        with scope(self.workspace):
            self.run = plan.schedule(campaign, by=self.owner, now=timezone.now())
        self.settled: dict[int, int] = {}
        self.killed = 0
        if is_prepared:
            self.tick()
            self.prepare()

    # --- the engine -------------------------------------------------------------------------------
    @rule()
    def tick(self):
        pipeline.tick(timezone.now())

    @rule()
    def prepare(self):
        run = self.fresh()
        if run.state == State.PREPARING:
            with scope(self.workspace):
                pipeline.prepare(run, timezone.now())

    @rule(group=some.integers(1, 4), is_paused=some.sampled_from([False, False, True]))
    def a_worker_sends_a_group_and_hands_back(self, group, is_paused):
        worker = self.take_a_shard(group)
        if worker is None:
            return
        with scope(self.workspace):
            if is_paused:
                plan.pause(self.fresh(), by=self.owner)
            fenced = worker.advance()
            assert not (is_paused and fenced), "sent after the pause"
            worker.send(fenced)
            worker.is_stopped = True
            while worker.flying or worker.finished:
                worker.collect()
                worker.advance()
            worker.hand_back()

    @rule(group=some.integers(1, 4), is_sent=some.sampled_from([True, True, True, False]))
    def a_worker_dies(self, group, is_sent):
        """After it moved the fence over a group, before or after it sent it."""
        worker = self.take_a_shard(group)
        if worker is None:
            return
        with scope(self.workspace):
            fenced = worker.advance()
            if is_sent and fenced:
                worker.send(fenced)
                while worker.flying:
                    for outcome in worker.sender.poll(1):
                        worker.flying.pop(outcome.message_id)
            Shard.objects.filter(pk=worker.lease.shard.pk).update(
                lease_until=timezone.now() - timedelta(seconds=1)
            )
            self.killed += len(fenced)

    @rule(group=some.integers(1, 4))
    def a_worker_freezes_and_wakes_up_too_late(self, group):
        worker = self.take_a_shard(group)
        if worker is None:
            return
        with scope(self.workspace):
            fenced = worker.advance()
            worker.send(fenced)
            Shard.objects.filter(pk=worker.lease.shard.pk).update(
                lease_until=timezone.now() - timedelta(seconds=1)
            )
        self.killed += len(fenced)
        with every_workspace():
            taken_over = leases.claim(timezone.now())
        before = self.rows()
        with scope(self.workspace):
            while worker.flying:
                worker.collect()
            if taken_over is not None and worker.finished:
                assert worker.advance() == []
                assert worker.is_lost
                assert self.rows() == before
            if taken_over is not None:
                taken_over.release(done=False, not_before=timezone.now())

    def take_a_shard(self, group):
        """A worker that has taken the run's shard, and will send to `group` of it."""
        with every_workspace():
            lease = leases.claim(timezone.now())
        if lease is None:
            return None
        assert lease.shard.run_id == self.run.pk
        with scope(self.workspace):
            worker = ShardWorker(lease, self.fresh(), timezone.now() + timedelta(seconds=9))
        worker.supply.todo = worker.supply.todo[-group:]
        return worker

    @rule()
    def time_passes(self):
        now = timezone.now()
        with scope(self.workspace):
            Message.objects.filter(reason=Reason.RETRY_SCHEDULED).update(due_at=now)
            Shard.objects.exclude(state=Shard.State.LEASED).update(not_before=now)
            Pace.objects.filter(connection__workspace=self.workspace).update(closed_until=None)
            Reach.objects.filter(
                connection__workspace=self.workspace, held_since__isnull=False
            ).update(probe_at=now)

    @rule(chance=RARELY)
    def a_platform_is_given_up(self, chance):
        if not chance:
            return
        with scope(self.workspace):
            Shard.objects.filter(state=Shard.State.HELD).update(held_until=timezone.now())

    @precondition(lambda self: self.fresh().ends_at)
    @rule(chance=RARELY)
    def its_time_is_over(self, chance):
        if not chance:
            return
        pipeline.tick(self.fresh().ends_at)

    @rule(chance=RARELY)
    def the_database_is_restored(self, chance):
        if not chance:
            return
        now = timezone.now()
        installation.check_in(now)
        row = Installation.objects.get()
        installation._remember(Installation(name=row.name, ticks=row.ticks + 2, ticked_at=now))
        before = self.rows()
        pipeline.work(timezone.now())
        pipeline.tick(timezone.now())
        assert self.rows() == before
        installation.adopt(by="test")
        assert self.fresh().state not in (State.PREPARING, State.RUNNING)

    # --- people -----------------------------------------------------------------------------------
    @rule(verb=some.sampled_from([plan.pause, plan.resume, plan.resume]))
    def pause_or_resume(self, verb):
        with scope(self.workspace):
            verb(self.fresh(), by=self.owner)

    @rule(chance=RARELY)
    def cancel(self, chance):
        if not chance:
            return
        with scope(self.workspace):
            plan.cancel(self.fresh(), by=self.owner)

    @rule(title=some.sampled_from(["One", "Two", "Three"]))
    def edit(self, title):
        with scope(self.workspace):
            Content.objects.update(fields={"title": title})
            plan.revise(self.fresh(), by=self.owner)

    @rule()
    def somebody_opts_out(self):
        with scope(self.workspace):
            Endpoint.objects.filter(
                pk=Endpoint.objects.filter(opted_in=True).values("pk")[:1]
            ).update(opted_in=False)

    @rule(
        verb=some.sampled_from(
            [decisions.retry_failed, decisions.resend_unknown, decisions.close_unknown]
        )
    )
    def decide(self, verb):
        reason = Reason.REJECTED if verb is decisions.retry_failed else Reason.UNKNOWN
        with scope(self.workspace):
            plan.pause(self.fresh(), by=self.owner)
        pipeline.tick(timezone.now())  # settles what the pause left orphaned
        with scope(self.workspace):
            asked = [pk for pk, was in self.rows().items() if was == reason]
            try:
                moved = verb(self.fresh(), by=self.owner)
            except decisions.NotNow:
                return
        assert moved == len(asked)
        for pk in asked:
            self.settled.pop(pk, None)  # or settled a moment ago

    # --- what always holds ------------------------------------------------------------------------
    def fresh(self) -> Run:
        with scope(self.workspace):
            return Run.objects.select_related(
                "workspace", "campaign", "revision", "connection"
            ).get(pk=self.run.pk)

    def rows(self) -> dict[int, int]:
        with scope(self.workspace):
            return dict(Message.objects.filter(run=self.run).values_list("pk", "reason"))

    @invariant()
    def the_account_balances_and_the_counters_are_the_rows(self):
        run = self.fresh()
        with scope(self.workspace):
            counted, live = record.tally(run), record.live_tally(run)
        waiting = sum(counted.pop(Reason(reason).slug, 0) for reason in Reason if reason.is_waiting)
        if run.audience_size is not None:
            assert sum(live.values()) == run.audience_size == sum(counted.values()) + waiting
            assert live == {**counted, **({"pending": waiting} if waiting else {})}
        if run.is_ended and run.finished_at:
            assert waiting == 0
            assert run.tally == counted

    @invariant()
    def what_has_ended_stays(self):
        rows = self.rows()
        assert self.settled.items() <= rows.items()
        self.settled |= {pk: reason for pk, reason in rows.items() if reason >= 100}

    def teardown(self):
        if not hasattr(self, "killed"):
            return
        for _ in range(60):
            self.time_passes()
            self.a_platform_is_given_up(True)
            with scope(self.workspace):
                plan.resume(self.fresh(), by=self.owner)
            pipeline.tick(timezone.now())
            pipeline.work(timezone.now())
            run = self.fresh()
            if run.is_ended and run.finished_at:
                break
        self.the_account_balances_and_the_counters_are_the_rows()
        self.what_has_ended_stays()
        assert run.is_ended, (run.state, run.last_error)
        self.the_sandbox_agrees(run)

    def the_sandbox_agrees(self, run: Run) -> None:
        with scope(self.workspace):
            rows = {row.pk: row for row in Message.objects.filter(run=run)}
            log = received(self.sandbox, Connection.objects.get())
        sent = {read_reference(ref, 4)[3]: count for (ref, _), count in log.items()}
        for pk, row in rows.items():
            if row.reason == Reason.ACCEPTED:
                assert sent.get(pk, 0) >= 1, f"{pk} is lost"
            if sent.get(pk, 0) > 1:
                assert row.possible_duplicate, f"{pk} went out twice, unflagged"
        may_have_it = {Reason.ACCEPTED, Reason.UNKNOWN, Reason.UNKNOWN_CLOSED}
        for pk in sent:
            # A possible duplicate that was refused or skipped the second time may have arrived the
            # first time.
            assert rows[pk].reason in may_have_it or rows[pk].possible_duplicate, (
                f"{pk} is unaccounted"
            )
        died = [
            row
            for row in rows.values()
            if row.reason == Reason.UNKNOWN and row.error_code == "WORKER_DIED"
        ]
        assert len(died) <= self.killed


@pytest.mark.django_db
def test_no_order_of_events_unbalances_an_account(sandbox, settings, monkeypatch):
    settings.SEND_UNDO = timedelta()
    monkeypatch.setattr(
        Fcm, "manners", replace(Fcm.manners, retries_most=2)
    )  # who is never available is refused in the end
    RunMachine.sandbox = sandbox
    run_state_machine_as_test(RunMachine, settings=PROFILE)


PROFILE = settings(
    max_examples=25, stateful_step_count=40, deadline=None, database=None, print_blob=True,
    # shrinking takes minutes; the blob reproduces
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],
)  # fmt: skip
