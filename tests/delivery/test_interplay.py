"""What people do to a run and a campaign while the engine is at it, and what misbehaves
meanwhile."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.content.rewrite import open_runs
from campaigns.models import AmbiguityPolicy, Campaign, Consent, Content, Endpoint, Run
from delivery import connections, decisions
from delivery.engine import dispatch, pace, pipeline, record
from delivery.engine.outcomes import OutcomeReader
from delivery.engine.work import ShardWorker
from delivery.models import Message, Pace, Shard
from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.sender import FcmSender
from tenants.scope import scope
from tests.story import add_people, received, run_to_the_end

DAILY = {"schedule_type": Campaign.Schedule.RECURRING, "recurrence_rule": "FREQ=DAILY"}
State, Status = Run.State, Campaign.Status


def fresh(run: Run) -> Run:
    with scope(run.workspace):
        return Run.objects.select_related("workspace", "campaign", "revision", "connection").get(
            pk=run.pk
        )


def answers(monkeypatch, change) -> None:
    """The provider's outcomes, changed."""
    real = FcmSender.poll
    monkeypatch.setattr(
        FcmSender, "poll", lambda sender, secs: [change(one) for one in real(sender, secs)]
    )


def nobody_waits(run: Run) -> None:
    """What waits for a retry or a break is due now."""
    now = timezone.now()
    with scope(run.workspace):
        Message.objects.filter(reason=Reason.RETRY_SCHEDULED).update(due_at=now)
        Shard.objects.update(not_before=now)
        Pace.objects.all().delete()


@pytest.fixture
def series(cast, connected, launched):
    """A daily campaign whose first occurrence is planned, and people."""
    add_people(cast.workspace, 2)
    return launched(**DAILY, scheduled_at=timezone.now() - timedelta(hours=1))


# --- what was missed ------------------------------------------------------------------------------
@pytest.fixture
def missed(cast, connected, launched):
    add_people(cast.workspace, 2)
    run = launched(title="For you two")
    pipeline.tick(run.not_after + timedelta(seconds=1))
    assert fresh(run).state == State.MISSED
    return run


def test_what_was_missed_is_sent_once_however_often_it_is_asked_for(
    cast, missed, connected, sandbox
):
    with scope(cast.workspace):
        late = plan.send_missed(fresh(missed), by=cast.owner, now=timezone.now())
        with pytest.raises(plan.CannotPlan):
            plan.send_missed(fresh(missed), by=cast.owner, now=timezone.now())
    assert run_to_the_end(late).tally == {"accepted": 2}
    assert set(received(sandbox, connected).values()) == {1}


def test_what_was_missed_and_planned_anew_is_not_sent_beside_it(cast, missed, settings):
    settings.SEND_UNDO = timedelta(seconds=30)
    with scope(cast.workspace):
        plan.schedule(missed.campaign, by=cast.owner, now=timezone.now())
        with pytest.raises(plan.CannotPlan):
            plan.send_missed(fresh(missed), by=cast.owner, now=timezone.now())


def test_what_was_missed_is_not_sent_again_to_those_of_a_cancelled_attempt(cast, missed):
    with scope(cast.workspace):
        late = plan.send_missed(fresh(missed), by=cast.owner, now=timezone.now())
        pipeline.launch(late, timezone.now())
        plan.cancel(fresh(late), by=cast.owner)
        with pytest.raises(plan.CannotPlan):
            plan.send_missed(fresh(missed), by=cast.owner, now=timezone.now())


@pytest.mark.parametrize(
    "edit", [{"target_kind": "topic", "target": "everybody"}, {"channel": "web_push"}]
)
def test_a_missed_run_goes_to_the_people_it_was_planned_for(cast, missed, edit):
    with scope(cast.workspace):
        Campaign.objects.update(**edit)
        late = plan.send_missed(fresh(missed), by=cast.owner, now=timezone.now())
    assert run_to_the_end(late).tally == {"accepted": 2}


# --- a campaign is what its runs are --------------------------------------------------------------
def test_a_campaign_with_a_paused_run_is_not_over_when_the_next_one_ends(cast, series):
    with scope(cast.workspace):
        pipeline.launch(fresh(series), series.intended_at)
        pipeline.prepare(fresh(series), timezone.now())
        plan.pause(fresh(series), by=cast.owner)
        assert fresh(series).campaign.status == Status.PAUSED
        second = Run.objects.get(state=State.PLANNED)
        pipeline.launch(second, second.intended_at)
        assert fresh(series).campaign.status == Status.RUNNING
    run_to_the_end(second)
    with scope(cast.workspace):
        campaign = fresh(series).campaign
        assert (campaign.status, campaign.is_editable) == (Status.PAUSED, False)
        assert series in open_runs(campaign)
    assert run_to_the_end_after_resume(cast, series).tally == {"accepted": 2}
    assert fresh(series).campaign.status == Status.SCHEDULED


def run_to_the_end_after_resume(cast, run: Run) -> Run:
    with scope(run.workspace):
        assert plan.resume(fresh(run), by=cast.owner)
    return run_to_the_end(run)


def test_a_missed_run_leaves_its_campaign_planned_if_the_next_one_is(cast, series):
    pipeline.tick(series.not_after + timedelta(seconds=1))
    with scope(cast.workspace):
        late = plan.send_missed(
            fresh(series), by=cast.owner, now=series.not_after + timedelta(hours=1)
        )
    pipeline.tick(late.not_after + timedelta(seconds=1))
    assert fresh(late).state == State.MISSED
    assert fresh(late).campaign.status == Status.SCHEDULED


def test_a_series_goes_on_after_a_run_that_could_not_start(cast, series, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(pipeline.consent, "adopt", lambda workspace: 1 / 0)
        for _ in range(pipeline.MAX_ATTEMPTS):
            pipeline.tick(series.intended_at)
    with scope(cast.workspace):
        assert fresh(series).state == State.FAILED
        assert Run.objects.get(state=State.PLANNED).intended_at > series.intended_at
        assert fresh(series).campaign.status == Status.SCHEDULED


def test_consent_is_that_of_the_channel_that_it_goes_through(cast, connected, launched):
    people = add_people(cast.workspace, 2)
    run = run_to_the_end(launched())
    with scope(cast.workspace):
        Message.objects.update(reason=Reason.REJECTED)
        Shard.objects.update(tally={"rejected": 2})
        Consent.objects.create(
            workspace=cast.workspace,
            contact=people[0],
            channel="app_push",
            status="opted_out",
            source="test",
        )
        Campaign.objects.update(channel="web_push")
        decisions.retry_failed(fresh(run), by=cast.owner)
    assert run_to_the_end(run).tally == {"accepted": 1, "unsubscribed": 1}


# --- connections ----------------------------------------------------------------------------------
@pytest.mark.parametrize("moment", ["planned", "under way"])
def test_nothing_goes_through_a_connection_that_is_off(cast, connected, sandbox, launched, moment):
    add_people(cast.workspace, 3)
    run = launched()
    if moment == "under way":
        pipeline.tick(timezone.now())
    with scope(cast.workspace):
        connected.is_active = False
        assert connections.save_and_pause_orphans(connected) == (moment == "under way")
    for _ in range(3):
        pipeline.tick(timezone.now())
        pipeline.work(timezone.now())
    assert fresh(run).state == State.PAUSED
    assert "in use" in fresh(run).last_error
    assert received(sandbox, connected) == {}
    with scope(cast.workspace):
        connected.is_active = True
        connections.save_and_pause_orphans(connected)
        assert plan.resume(fresh(run), by=cast.owner)
    assert run_to_the_end(run).tally == {"accepted": 3}


# --- people are faster than the engine ------------------------------------------------------------
def test_a_topic_s_run_that_is_cancelled_as_it_is_prepared_gets_no_row(
    cast, connected, launched, monkeypatch
):
    run = launched(target_kind="topic", target="news", title="Hi", body="there")

    def cancelled(fields) -> None:  # after the claim
        plan.cancel(fresh(run), by=cast.owner)
        pipeline.tick(timezone.now())
        assert fresh(run).finished_at

    with scope(cast.workspace):
        pipeline.launch(run, timezone.now())
        seen = fresh(run)
        monkeypatch.setattr(seen, "refresh_from_db", cancelled)
        pipeline.prepare(seen, timezone.now())
        assert record.tally(run) == fresh(run).tally == {}


def test_a_pause_during_the_cut_and_a_resume_cost_no_time(cast, connected, launched, monkeypatch):
    add_people(cast.workspace, 3)
    run, real = launched(), pipeline.cut

    def cut(seen, mine):
        plan.pause(fresh(run), by=cast.owner)
        real(seen, mine)

    with scope(cast.workspace):
        pipeline.launch(run, timezone.now())
        with monkeypatch.context() as slow:
            slow.setattr(pipeline, "cut", cut)
            pipeline.prepare(fresh(run), timezone.now())
        assert fresh(run).state == State.PAUSED
    assert run_to_the_end_after_resume(cast, run).tally == {"accepted": 3}


def test_a_late_answer_does_not_pause_what_a_person_has_resumed(
    cast, connected, prepared, monkeypatch
):
    run, asked = prepared(3), []

    def broken(outcome: Outcome) -> Outcome:
        asked.append(1)
        if len(asked) > 3:
            return outcome
        if len(asked) == 1:
            with scope(cast.workspace):
                assert plan.pause(fresh(run), by=cast.owner)
                assert plan.resume(fresh(run), by=cast.owner)
        return Outcome(outcome.message_id, Verdict.BROKEN, "PERMISSION_DENIED")

    answers(monkeypatch, broken)
    pipeline.work(timezone.now())
    assert fresh(run).state == State.COMPLETED
    assert fresh(run).tally == {"accepted": 3}


def test_whom_the_old_text_could_not_reach_gets_the_new_one(cast, connected, prepared, monkeypatch):
    run = prepared(3, body="{% if external_id %}{{ 1 | divided_by: 0 }}{% endif %}Hi")
    real = dispatch.compose

    def rewritten(*values):
        found = real(*values)
        Content.objects.filter(fields__body__icontains="divided").update(fields={"body": "good"})
        plan.revise(fresh(run), by=cast.owner)
        return found

    monkeypatch.setattr(dispatch, "compose", rewritten)
    assert run_to_the_end(run).tally == {"accepted": 3}


# --- slow texts, slow providers, crashes again and again ------------------------------------------
def test_a_slow_text_is_sent_a_few_at_a_time(cast, connected, prepared, monkeypatch):
    run = prepared(5)
    monkeypatch.setattr(dispatch, "COMPOSE_SECS", 0)
    seen, real = [], dispatch.compose

    def compose(*values):
        found = real(*values)
        seen.append((len(found[0]), len(found[2])))
        return found

    monkeypatch.setattr(dispatch, "compose", compose)
    assert run_to_the_end(run).tally == {"accepted": 5}
    assert seen == [(1, 4), (1, 3), (1, 2), (1, 1), (1, 0)]


def test_nobody_gets_more_copies_than_the_most_by_crashes(
    cast, connected, sandbox, prepared, monkeypatch
):
    run = prepared(3, ambiguity_policy=AmbiguityPolicy.RESEND)

    class Killed(BaseException):
        pass

    def die(worker):
        while worker.sender.in_flight:
            worker.sender.poll(0.1)
        raise Killed

    monkeypatch.setattr(ShardWorker, "collect", die)
    for _ in range(record.MOST_COPIES + 1):
        with pytest.raises(Killed):
            pipeline.work(timezone.now())
        with scope(cast.workspace):
            Shard.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert run_to_the_end(run).tally == {"unknown": 3}
    assert set(received(sandbox, connected).values()) == {record.MOST_COPIES + 1}


def test_nobody_gets_more_copies_than_the_most_by_lost_answers(
    cast, connected, sandbox, prepared, monkeypatch
):
    run = prepared(1, ambiguity_policy=AmbiguityPolicy.RESEND)
    answers(
        monkeypatch, lambda outcome: Outcome(outcome.message_id, Verdict.AMBIGUOUS, "NO_ANSWER")
    )
    waits = []
    for _ in range(record.MOST_COPIES + 1):
        pipeline.work(timezone.now())
        with scope(cast.workspace):
            waits += [
                due - timezone.now()
                for due in Message.objects.values_list("due_at", flat=True)
                if due
            ]
        nobody_waits(run)
    assert run_to_the_end(run).tally == {"unknown": 1}
    assert sum(received(sandbox, connected).values()) == record.MOST_COPIES + 1
    assert waits[0] > timedelta(seconds=8)
    assert waits[-1] > 4 * waits[0], "it does not hammer"


@pytest.mark.parametrize("verdict", [Verdict.LATER, Verdict.MAYBE_LATER])
def test_no_wait_is_longer_than_the_longest_break(cast, connected, prepared, monkeypatch, verdict):
    run = prepared(1)
    answers(
        monkeypatch,
        lambda outcome: Outcome(outcome.message_id, verdict, "HTTP_503", retry_after_secs=21_600),
    )
    for _ in range(3):
        pipeline.work(timezone.now())
        with scope(cast.workspace):
            assert Message.objects.get().due_at - timezone.now() < pace.LONGEST_BREAK
        nobody_waits(run)


@pytest.mark.parametrize("asked_secs", [None, 2])
def test_a_retry_waits_at_least_as_long_as_the_provider_wants(
    cast, connected, prepared, monkeypatch, asked_secs
):
    prepared(1)
    answer = {"verdict": Verdict.MAYBE_LATER, "code": "HTTP_503", "retry_after_secs": asked_secs}
    answers(monkeypatch, lambda outcome: Outcome(outcome.message_id, **answer))
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        message = Message.objects.get()
    assert timedelta(seconds=10) <= message.due_at - message.attempted_at <= timedelta(seconds=13)


def test_an_error_over_one_answer_keeps_its_message_in_the_window(
    cast, connected, prepared, monkeypatch
):
    run, real = prepared(3), OutcomeReader.read
    first = []

    def broken(reader, recipient, *values):
        first[:] = first or [recipient.message_id]
        return real(reader, recipient, *values) if recipient.message_id != first[0] else 1 / 0

    with monkeypatch.context() as bad:
        bad.setattr(OutcomeReader, "read", broken)
        pipeline.work(timezone.now())
    with scope(cast.workspace):
        Shard.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    run = run_to_the_end_after_resume(cast, run)
    with scope(cast.workspace):
        assert Message.objects.get(pk=first[0]).reason == Reason.UNKNOWN
    assert sum(run.tally.values()) == 3


def test_a_foreign_text_beside_a_fate_is_made_plain(cast, connected, launched, monkeypatch):
    add_people(cast.workspace, 1)
    monkeypatch.setattr(
        "delivery.engine.compose.Composer.compose",
        lambda composer, recipient: not_composable("bad \ud83d \x00 name"),
    )
    run = run_to_the_end(launched())
    with scope(cast.workspace):
        assert (run.tally, Message.objects.get().error_code) == ({"render_error": 1}, "bad ?  name")


def not_composable(text: str) -> None:
    raise dispatch.NotComposable(Reason.RENDER_ERROR, text)


def test_devices_of_another_channel_take_no_consent_from_it(cast, connected, launched):
    people = add_people(cast.workspace, 2)
    with scope(cast.workspace):
        Endpoint.objects.filter(contact=people[0]).update(channel="web_push")
        Consent.objects.create(
            workspace=cast.workspace,
            contact=people[1],
            channel="web_push",
            status="opted_out",
            source="test",
        )
    assert run_to_the_end(launched()).tally == {"accepted": 1, "no_endpoint": 1}
