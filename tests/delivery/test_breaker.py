import itertools
import random
from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Endpoint, Run
from delivery import decisions
from delivery.engine import pipeline, work
from delivery.engine.breaker import CAUSES, HANDFUL, LEAST, OF_LAST, Breaker
from delivery.models import Message, Pace, Shard
from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.sender import FcmSender
from delivery.providers.http2 import Answer, CurlTransport
from tenants.scope import scope
from tests.story import add_people, run_to_the_end

BAD = {
    "ambiguous": Outcome(1, Verdict.AMBIGUOUS, "NO_ANSWER"),
    "refused": Outcome(1, Verdict.REFUSED, "HTTP_413"),
    "mismatch": Outcome(1, Verdict.WRONG_SENDER, "SENDER_ID_MISMATCH"),
    "gone": Outcome(1, Verdict.GONE, "UNREGISTERED"),
}
GOOD = Outcome(1, Verdict.ACCEPTED, "ACCEPTED")


def most_of(cause: str, seen: int) -> int:
    return int(LEAST + CAUSES[cause][0] * seen)


@pytest.mark.parametrize("cause", CAUSES)
def test_it_trips_above_its_share_of_the_last_messages_and_not_before(cause):
    breaker, most = Breaker([]), most_of(cause, OF_LAST)
    assert not any(breaker.note(GOOD) for _ in range(OF_LAST))
    assert not any(breaker.note(BAD[cause]) for _ in range(most))
    assert breaker.note(BAD[cause]) == cause
    assert str(most + 1) in breaker.sentence(cause)


@pytest.mark.parametrize("cause", CAUSES)
def test_only_the_last_messages_count(cause):
    breaker, most = Breaker([], "." * OF_LAST), most_of(cause, OF_LAST)
    for _ in range(5):  # exactly at the limit for ever
        assert not any(breaker.note(BAD[cause]) for _ in range(most))
        assert not any(breaker.note(GOOD) for _ in range(OF_LAST - most))


@pytest.mark.parametrize(
    ("cause", "count"), [("ambiguous", 12), ("refused", 12), ("mismatch", 19), ("gone", 19)]
)
def test_a_small_run_is_judged_by_its_share(cause, count):
    breaker = Breaker([])
    assert [breaker.note(BAD[cause]) for _ in range(35)].index(cause) + 1 == count


@pytest.mark.parametrize("cause", CAUSES)
def test_a_run_to_three_people_never_trips(cause):
    breaker = Breaker([], is_proven=False)
    assert not any(breaker.note(BAD[cause]) for _ in range(3))


def test_a_handful_of_another_senders_devices_trips_until_our_account_was_taken_once():
    breaker = Breaker([], is_proven=False)
    assert [breaker.note(BAD["mismatch"]) for _ in range(HANDFUL)] == [
        *[""] * (HANDFUL - 1),
        "mismatch",
    ]
    breaker = Breaker([], is_proven=True)
    assert not any(breaker.note(BAD["mismatch"]) for _ in range(LEAST))


def test_an_old_list_that_lost_a_third_of_its_devices_is_no_alarm():
    dice, tripped = random.Random(7), 0
    for _ in range(400):
        breaker = Breaker([])
        tripped += any(
            breaker.note(BAD["gone"] if dice.random() < 1 / 3 else GOOD) for _ in range(1_000)
        )
    assert tripped <= 1


def test_a_waived_cause_trips_no_more_and_the_others_do():
    breaker = Breaker(["gone"])
    assert not any(breaker.note(BAD["gone"]) for _ in range(OF_LAST))
    assert any(breaker.note(BAD["refused"]) for _ in range(OF_LAST))


@pytest.mark.parametrize("count", [35, 600])
def test_the_wrong_project_pauses_and_retires_nobody(cast, connected, launched, count):
    add_people(cast.workspace, count, tokens=[f"sbx_mismatch_{n}" for n in range(count)])
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.tripped) == (Run.State.PAUSED, "mismatch")
        assert Endpoint.objects.filter(is_active=True).count() == count
        assert Message.objects.filter(reason=Reason.REJECTED).count() <= work.WINDOW
        plan.resume(run, by=cast.owner)
        run.refresh_from_db()
        assert (run.waived, run.tripped, run.last_error) == (["mismatch"], "", "")
    run = run_to_the_end(run)
    assert (run.tally, run.retired) == ({"rejected": count}, 0)
    with scope(cast.workspace):
        assert Endpoint.objects.filter(is_active=True).count() == count


def test_when_the_right_project_is_connected_everybody_is_reached(
    cast, connected, sandbox, launched, monkeypatch
):
    add_people(cast.workspace, 35)
    run, real = launched(), FcmSender.poll

    def of_another_project(sender, secs):
        return [
            Outcome(one.message_id, Verdict.WRONG_SENDER, "SENDER_ID_MISMATCH")
            for one in real(sender, secs)
        ]

    with monkeypatch.context() as wrong:
        wrong.setattr(FcmSender, "poll", of_another_project)
        pipeline.tick(timezone.now())
        pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert run.tripped == "mismatch"
        refused = Message.objects.filter(
            reason=Reason.REJECTED, error_code="SENDER_ID_MISMATCH"
        ).count()
        assert refused >= HANDFUL
        assert decisions.retry_failed(run, by=cast.owner) == refused
        plan.resume(run, by=cast.owner)
    assert run_to_the_end(run).tally == {"accepted": 35}


@pytest.mark.parametrize(
    ("behaviour", "code"), [("unregistered", "UNREGISTERED"), ("invalid", "INVALID_ARGUMENT")]
)
def test_a_run_whose_devices_are_all_gone_pauses_and_retires_nobody(
    cast, connected, launched, behaviour, code
):
    add_people(cast.workspace, 35, tokens=[f"sbx_{behaviour}_{n}" for n in range(35)])
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.tripped) == (Run.State.PAUSED, "gone")
        assert Message.objects.filter(error_code=code).exists()
        assert Endpoint.objects.filter(is_active=True).count() == 35


def test_even_an_account_that_was_taken_before_retires_nobody_in_a_run_that_tripped(
    cast, connected, launched
):
    add_people(cast.workspace, 3)
    run_to_the_end(launched())
    add_people(cast.workspace, 35, tokens=[f"sbx_unregistered_{n}" for n in range(35)])
    run = launched(
        audience_rule={"field": "external_id", "op": "is_not", "value": "user-0"}, name="Second"
    )
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.tripped) == (Run.State.PAUSED, "gone")
        assert not Endpoint.objects.filter(is_active=False).exists()


def test_a_flood_of_pages_in_fcms_place_pauses_and_nobody_counts_as_reached(
    cast, connected, prepared, monkeypatch
):
    run, real = prepared(60), CurlTransport.poll

    def pages(transport, secs):
        return [
            Answer(one.key, 200, b"<html>Sign in to the Wi-Fi") for one in real(transport, secs)
        ]

    with monkeypatch.context() as portal:
        portal.setattr(CurlTransport, "poll", pages)
        pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.tripped) == (Run.State.PAUSED, "ambiguous")
        assert {Reason(reason) for reason in Message.objects.values_list("reason", flat=True)} == {
            Reason.UNKNOWN
        }
        assert set(Message.objects.values_list("error_code", flat=True)) == {"NO_RECEIPT"}


@pytest.mark.parametrize("cause", CAUSES)
def test_it_remembers_what_went_wrong_in_other_hands(cause):
    breaker, noted = Breaker([]), []
    while not any(noted):
        noted.append(breaker.note(BAD[cause]))
        breaker = Breaker([], breaker.memory)
    assert noted == [*[""] * (len(noted) - 1), cause]
    assert len(noted) < 20
    assert len(Breaker([], "." * OF_LAST).memory) == OF_LAST


@pytest.mark.parametrize("platform", ["", "android"])
def test_a_run_whose_devices_name_no_platform_that_could_be_held_pauses(
    cast, connected, launched, platform
):
    add_people(
        cast.workspace, 600, tokens=[f"sbx_thirdparty_{n}" for n in range(600)], platform=platform
    )
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.tripped) == (Run.State.PAUSED, "refused")
        rejected = Message.objects.filter(
            reason=Reason.REJECTED, error_code="THIRD_PARTY_AUTH_ERROR"
        ).count()
        assert LEAST < rejected <= work.WINDOW


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
        assert not Endpoint.objects.filter(is_active=False).exists()
        plan.resume(run, by=cast.owner)
        run.refresh_from_db()
    assert run.last_outcomes == ""


def test_what_went_wrong_before_a_resume_is_not_counted_by_whoever_goes_on(
    cast, connected, prepared, monkeypatch
):
    """The worker that was at work during the resume hands its shard back after it."""
    run, real, resumed = prepared(20), FcmSender.poll, []
    monkeypatch.setattr(work, "WINDOW", 10)
    monkeypatch.setattr(work, "GROUP_LEAST", 10)

    def refused(sender, secs):
        answered = real(sender, secs)
        if answered and not resumed:
            with scope(cast.workspace):
                resumed.append(plan.pause(run, by=cast.owner) and plan.resume(run, by=cast.owner))
        return [Outcome(one.message_id, Verdict.REFUSED, "HTTP_413") for one in answered]

    monkeypatch.setattr(FcmSender, "poll", refused)
    assert run_to_the_end(run).tally == {"rejected": 20}
    assert resumed == [True]


def test_what_went_wrong_before_somebody_sends_again_is_not_counted(
    cast, connected, prepared, monkeypatch
):
    run, real = prepared(LEAST), FcmSender.poll

    def refused(sender, secs):
        return [Outcome(one.message_id, Verdict.REFUSED, "HTTP_413") for one in real(sender, secs)]

    monkeypatch.setattr(FcmSender, "poll", refused)
    for _ in range(2):
        run = run_to_the_end(run)
        assert run.tally == {"rejected": LEAST}
        with scope(cast.workspace):
            decisions.retry_failed(run, by=cast.owner)


def test_a_provider_in_trouble_gets_a_break_and_few_tries(cast, connected, sandbox, prepared):
    run = prepared(2_000)
    storm = {"what": "UNAVAILABLE", "secs": 60, "accepts": False, "retry_after_secs": 120}
    sandbox.settings(storms=[storm])
    for _ in range(5):
        pipeline.work(timezone.now())
    sandbox.settings(storms=[])
    with scope(cast.workspace):
        assert (
            40
            < Message.objects.filter(possible_duplicate=1).count()
            <= work.WINDOW + work.GROUP_LEAST
        )
        closed = Pace.objects.get(connection=connected).closed_until
        assert closed > timezone.now() + timedelta(seconds=100)
        run.refresh_from_db()
        assert run.state == Run.State.RUNNING
        Pace.objects.update(closed_until=None)
        Shard.objects.update(not_before=timezone.now())
        Message.objects.filter(reason=Reason.RETRY_SCHEDULED).update(due_at=timezone.now())
    assert run_to_the_end(run).tally == {"accepted": 2_000}


def test_refusals_scattered_in_a_run_that_goes_well_pause_nothing(
    cast, connected, prepared, monkeypatch
):
    """The breaker hears of successes, too: else 12 refusals in a million would be 12 of 12."""
    run, real, count = prepared(400), FcmSender.poll, itertools.count(1)

    def said(one: Outcome) -> Outcome:
        return one if next(count) % 20 else Outcome(one.message_id, Verdict.REFUSED, "HTTP_413")

    monkeypatch.setattr(
        FcmSender, "poll", lambda sender, secs: [said(one) for one in real(sender, secs)]
    )
    assert run_to_the_end(run).tally == {"accepted": 380, "rejected": 20}
