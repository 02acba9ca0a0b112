from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.models import Endpoint, Run
from campaigns.reasons import Reason
from delivery import pipeline, work
from delivery.breaker import CAUSES, OF_LAST, Breaker
from delivery.channels.base import Outcome, Verdict
from delivery.models import Message, Pace, Shard
from tenants.scope import scope
from tests.story import add_people, run_to_the_end

BAD = {
    "ambiguous": Outcome(1, Verdict.AMBIGUOUS, "NO_ANSWER"),
    "refused": Outcome(1, Verdict.REFUSED, "HTTP_413"),
    "mismatch": Outcome(1, Verdict.GONE, "SENDER_ID_MISMATCH"),
    "gone": Outcome(1, Verdict.GONE, "UNREGISTERED"),
}
GOOD = Outcome(1, Verdict.ACCEPTED, "ACCEPTED")


@pytest.mark.parametrize("cause", CAUSES)
def test_it_trips_above_its_share_of_the_last_messages_and_not_before(cause):
    breaker, most = Breaker([]), CAUSES[cause][0]
    assert not any(breaker.note(BAD[cause]) for _ in range(most))
    assert breaker.note(BAD[cause]) == cause
    assert str(most + 1) in breaker.sentence(cause)


@pytest.mark.parametrize("cause", CAUSES)
def test_only_the_last_messages_count(cause):
    breaker, most = Breaker([]), CAUSES[cause][0]
    for _ in range(5):  # exactly at the limit for ever
        assert not any(breaker.note(BAD[cause]) for _ in range(most))
        assert not any(breaker.note(GOOD) for _ in range(OF_LAST - most))


def test_a_waived_cause_trips_no_more_and_the_others_do():
    breaker = Breaker(["gone"])
    assert not any(breaker.note(BAD["gone"]) for _ in range(OF_LAST))
    assert any(breaker.note(BAD["refused"]) for _ in range(OF_LAST))


def test_the_wrong_project_pauses_before_it_retires_every_device(cast, connected, launched):
    add_people(cast.workspace, 600, tokens=[f"sbx_mismatch_{n}" for n in range(600)])
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.tripped) == (Run.State.PAUSED, "mismatch")
        assert "another Firebase project" in run.last_error
        retired = Endpoint.objects.filter(is_active=False).count()
        assert 40 < retired <= 256  # what was in flight, at most
        plan.resume(run, by=cast.owner)
        run.refresh_from_db()
        assert (run.waived, run.tripped, run.last_error) == (["mismatch"], "", "")
    assert run_to_the_end(run).tally == {"endpoint_gone": 600}


@pytest.mark.parametrize("cause", CAUSES)
def test_it_remembers_what_went_wrong_in_other_hands(cause):
    most = CAUSES[cause][0]
    breaker = Breaker([])
    for _ in range(most):
        assert not breaker.note(BAD[cause])
        breaker = Breaker([], breaker.memory)
    assert breaker.note(BAD[cause]) == cause
    assert len(Breaker([], "." * OF_LAST).memory) == OF_LAST


def test_a_slow_run_trips_too(cast, connected, prepared):
    """It changes hands every few messages, so no worker ever sees a whole share of them."""
    run = prepared(200, tokens=[f"sbx_mismatch_{n}" for n in range(200)], per_second=20)
    for _ in range(20):
        with scope(cast.workspace):
            Pace.objects.filter(run=run).update(tokens=20)
            Shard.objects.update(not_before=timezone.now())
        pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.tripped) == (Run.State.PAUSED, "mismatch")
        assert Endpoint.objects.filter(is_active=False).count() <= 80
        plan.resume(run, by=cast.owner)
        run.refresh_from_db()
    assert run.last_outcomes == ""


def test_a_provider_in_trouble_gets_a_break_and_few_tries(cast, connected, sandbox, prepared):
    run = prepared(2_000)
    storm = {"what": "UNAVAILABLE", "secs": 60, "accepts": False, "retry_after_secs": 120}
    sandbox.settings(storms=[storm])
    for _ in range(5):
        pipeline.work(timezone.now())
    sandbox.settings(storms=[])
    with scope(cast.workspace):
        assert 40 < Message.objects.filter(possible_duplicate=1).count() <= work.WINDOW + work.GROUP_LEAST
        closed = Pace.objects.get(connection=connected).closed_until
        assert closed > timezone.now() + timedelta(seconds=100)
        run.refresh_from_db()
        assert run.state == Run.State.RUNNING
        Pace.objects.update(closed_until=None)
        Shard.objects.update(not_before=timezone.now())
        Message.objects.filter(reason=Reason.RETRY_SCHEDULED).update(due_at=timezone.now())
    assert run_to_the_end(run).tally == {"accepted": 2_000}
