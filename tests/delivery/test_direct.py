"""Direct messages: accepted, gathered into the ledger, sent by the engine's workers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Consent, Contact, Endpoint, MessageClass, Run
from delivery import connections
from delivery.engine import direct, pipeline
from delivery.engine.work import ShardWorker
from delivery.models import DirectSend, Message, Shard
from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.sender import FcmSender
from tenants.models import Workspace
from tenants.scope import every_workspace, scope
from tests.delivery.composing import message
from tests.delivery.direct_sends import accept, reasons, rows
from tests.story import add_people, received, run_to_the_end

MARKETING = MessageClass.MARKETING


@pytest.fixture
def at_work(cast, connected):
    """The cast's workspace, with five people and their phones."""
    add_people(cast.workspace, 5)
    return cast


class Killed(BaseException):
    """A worker's end without a word."""


def work() -> None:
    pipeline.work(timezone.now())


def run_of(send: DirectSend) -> Run:
    with every_workspace():
        return Run.objects.select_related("workspace", "campaign").get(direct_sends=send.pk)


def bodies(monkeypatch) -> list[dict]:
    """The messages that are handed to the provider from now on."""
    sent: list[dict] = []
    real = FcmSender.send

    def spy(sender, requests):
        sent.extend(message(body) for _pk, body in requests)
        real(sender, requests)

    monkeypatch.setattr(FcmSender, "send", spy)
    return sent


def die_before_sending(monkeypatch) -> None:
    """The next worker is killed when its window lies over a group and nothing of it is sent."""

    def die(worker, group):
        monkeypatch.setattr(ShardWorker, "send", real)
        raise Killed

    real = ShardWorker.send
    monkeypatch.setattr(ShardWorker, "send", die)
    with pytest.raises(Killed):
        work()
    with every_workspace():
        Shard.objects.filter(state=Shard.State.LEASED).update(
            lease_until=timezone.now() - timedelta(seconds=1)
        )


# --- the way ----------------------------------------------------------------------------------
def test_one_turn_of_a_worker_sends_what_was_accepted(at_work, sandbox, connected):
    send = accept(at_work.workspace, "user-0", "user-1")
    work()
    assert reasons(send) == [Reason.ACCEPTED] * 2
    assert sorted(received(sandbox, connected).values()) == [1, 1]
    for row in rows(send):
        assert send.accepted_at <= row.sent_at <= row.attempted_at


def test_what_comes_in_meanwhile_shares_a_run_and_a_shard(at_work, sandbox, connected):
    sends = [accept(at_work.workspace, f"user-{number % 3}") for number in range(6)]
    work()
    assert [reasons(send) for send in sends] == [[Reason.ACCEPTED]] * 6
    with scope(at_work.workspace):
        assert (Run.objects.count(), Shard.objects.count()) == (1, 1)
    truth = received(sandbox, connected)
    assert len(truth) == 6  # a person may get several: each message has a reference of its own
    assert set(truth.values()) == {1}


def test_each_person_gets_their_own_data_over_that_of_all(at_work, monkeypatch):
    sent = bodies(monkeypatch)
    accept(
        at_work.workspace,
        "user-0",
        "user-1",
        data={"code": "1", "shop": "Pune"},
        own={"user-1": {"code": "2"}},
        body="{{ data.code }} {{ data.shop }} {{ first_name }}",
    )
    work()
    assert [one["notification"]["body"] for one in sent] == ["1 Pune Asha", "2 Pune Ravi"]


def test_who_lacks_a_value_of_the_text_gets_no_message_and_the_others_do(at_work):
    own = {"user-0": {"code": "1"}, "user-1": {"code": ""}}
    send = accept(at_work.workspace, "user-0", "user-1", "user-2", data={}, own=own)
    work()
    found = [(Reason(row.reason), row.error_code) for row in rows(send)]
    missing = (Reason.RENDER_ERROR, "data.code is missing")
    assert found == [(Reason.ACCEPTED, ""), missing, missing]


def test_a_person_reads_the_text_in_their_language(at_work, monkeypatch):
    from campaigns.models import Template

    with scope(at_work.workspace):
        Contact.objects.filter(external_id="user-1").update(language="de-AT")
        known = {"workspace": at_work.workspace, "name": "Code", "category": "reminder"}
        texts = {"en": "Your code", "de": "Dein Code"}
        made = [
            Template.objects.create(**known, language=language, fields={"title": title})
            for language, title in texts.items()
        ]
    sent = bodies(monkeypatch)
    accept(at_work.workspace, "user-0", "user-1", template_id=made[0].pk)
    work()
    assert [one["notification"]["title"] for one in sent] == ["Your code", "Dein Code"]


# --- the gates --------------------------------------------------------------------------------
@pytest.mark.parametrize("message_class", MessageClass)
def test_a_transactional_message_asks_no_gate_of_marketing(at_work, message_class):
    with scope(at_work.workspace):
        people = {one.external_id: one for one in Contact.objects.all()}
        no = {"channel": "app_push", "status": "opted_out", "source": "test"}
        Consent.objects.create(workspace=at_work.workspace, contact=people["user-0"], **no)
        phones = Endpoint.objects.all()
        phones.filter(contact=people["user-1"]).update(opted_in=False)
        phones.filter(contact=people["user-2"]).update(is_active=False)
        phones.filter(contact=people["user-3"]).delete()
    send = accept(at_work.workspace, *people, message_class=message_class)
    work()
    stopped = [Reason.ACCEPTED] * 2
    if message_class == MARKETING:
        stopped = [Reason.UNSUBSCRIBED, Reason.NOT_OPTED_IN]
    never = [Reason.ENDPOINT_INACTIVE, Reason.NO_ENDPOINT]
    assert reasons(send) == [*stopped, *never, Reason.ACCEPTED]


@pytest.mark.parametrize("message_class", MessageClass)
def test_a_word_after_the_gathering_counts_for_marketing_alone(at_work, message_class):
    send = accept(at_work.workspace, "user-0", message_class=message_class)
    with every_workspace():
        direct.gather(timezone.now())
    with scope(at_work.workspace):
        Consent.objects.create(
            workspace=at_work.workspace,
            contact=Contact.objects.get(external_id="user-0"),
            channel="app_push",
            status="opted_out",
            source="test",
        )
    work()
    is_marketing = message_class == MARKETING
    assert reasons(send) == [Reason.UNSUBSCRIBED if is_marketing else Reason.ACCEPTED]


def test_a_contact_that_was_deleted_meanwhile_still_ends_in_one_state(at_work):
    send = accept(at_work.workspace, "user-0", "user-1")
    with scope(at_work.workspace):
        Contact.objects.get(external_id="user-0").delete()
    work()
    assert sorted(reasons(send)) == [Reason.LEFT_AUDIENCE, Reason.ACCEPTED]


# --- crashes ----------------------------------------------------------------------------------
def test_a_worker_that_dies_leaves_its_window_unknown_and_nothing_else(
    at_work, sandbox, connected, monkeypatch
):
    lost = accept(at_work.workspace, "user-0", "user-1")
    die_before_sending(monkeypatch)
    later = accept(at_work.workspace, "user-0", "user-2")
    work()
    assert reasons(lost) == [Reason.UNKNOWN] * 2
    assert all(row.sent_at for row in rows(lost))  # it was about to be sent then
    assert reasons(later) == [Reason.ACCEPTED] * 2
    assert len(received(sandbox, connected)) == 2


def test_a_worker_that_dies_while_it_gathers_leaves_the_request_waiting(at_work, monkeypatch):
    send = accept(at_work.workspace, "user-0")

    def die(*given):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(direct, "_cut", die)
        with pytest.raises(Killed):
            work()
    assert rows(send) == []
    work()
    assert reasons(send) == [Reason.ACCEPTED]


def test_a_lane_that_cannot_be_gathered_stops_no_other(at_work, monkeypatch):
    broken = accept(at_work.workspace, "user-0")
    whole = accept(at_work.workspace, "user-0", message_class=MARKETING)
    real = direct._cut

    def cut(run, found):
        if run.is_transactional:
            raise ValueError
        return real(run, found)

    monkeypatch.setattr(direct, "_cut", cut)
    work()
    assert (rows(broken), reasons(whole)) == ([], [Reason.ACCEPTED])


def test_a_tick_finds_a_request_whose_bell_was_lost(at_work, monkeypatch):
    accept(at_work.workspace, "user-0")
    rung = []
    monkeypatch.setattr(pipeline.wake, "ring", lambda bell, **given: rung.append(bell))
    pipeline.tick(timezone.now())
    assert rung == ["work"]


# --- pauses -----------------------------------------------------------------------------------
def test_a_pause_holds_what_comes_in_until_somebody_resumes(at_work):
    first = accept(at_work.workspace, "user-0")
    work()
    with scope(at_work.workspace):
        assert plan.pause(run_of(first), by=at_work.owner)
    held = accept(at_work.workspace, "user-0")
    pipeline.tick(timezone.now())
    work()
    assert rows(held) == []
    other = accept(at_work.workspace, "user-0", message_class=MARKETING)
    work()
    assert reasons(other) == [Reason.ACCEPTED]  # the other class goes on
    with scope(at_work.workspace):
        assert plan.resume(run_of(first), by=at_work.owner)
    work()
    assert reasons(held) == [Reason.ACCEPTED]


def test_what_waited_for_an_hour_is_expired_also_while_paused(at_work):
    first = accept(at_work.workspace, "user-0")
    work()
    with scope(at_work.workspace):
        plan.pause(run_of(first), by=at_work.owner)
    late = accept(at_work.workspace, "user-0", "user-1")
    with every_workspace():
        assert not direct.gather(timezone.now())
        assert direct.gather(timezone.now() + timedelta(minutes=61))
    assert reasons(late) == [Reason.EXPIRED] * 2
    assert run_of(late) == run_of(first)
    with scope(at_work.workspace):
        plan.resume(run_of(first), by=at_work.owner)
        tally = pipeline.record.live_tally(run_of(first))
    assert tally == {"accepted": 1, "expired": 2}


def test_a_cancelled_run_ends_and_the_next_request_opens_another(at_work):
    first = accept(at_work.workspace, "user-0")
    with every_workspace():
        direct.gather(timezone.now())
    with scope(at_work.workspace):
        assert plan.cancel(run_of(first), by=at_work.owner)
    pipeline.tick(timezone.now())
    assert reasons(first) == [Reason.CANCELLED]
    second = accept(at_work.workspace, "user-0")
    work()
    assert reasons(second) == [Reason.ACCEPTED]
    assert run_of(first).state == Run.State.CANCELLED


def test_a_payload_that_is_wrong_is_one_requests_fault(at_work, monkeypatch):
    wrong, right = accept(at_work.workspace, "user-0"), accept(at_work.workspace, "user-1")
    real, left = FcmSender.poll, [1]

    def first_is_wrong(sender, secs):
        for one in real(sender, secs):
            bad = left and one.message_id == rows(wrong)[0].pk
            verdict = (Verdict.PAYLOAD_WRONG, "INVALID_ARGUMENT") if bad else None
            yield Outcome(one.message_id, *verdict) if verdict else one

    monkeypatch.setattr(FcmSender, "poll", lambda sender, secs: list(first_is_wrong(sender, secs)))
    work()
    assert (reasons(wrong), reasons(right)) == ([Reason.REJECTED], [Reason.ACCEPTED])
    assert run_of(wrong).state == Run.State.RUNNING


def test_another_connection_stops_no_direct_messages(at_work, connected):
    first = accept(at_work.workspace, "user-0")
    work()
    with scope(at_work.workspace):
        connected.is_active = False
        connections.save_and_pause_orphans(connected)
        assert run_of(first).state == Run.State.RUNNING
        with pytest.raises(ValidationError):
            accept(at_work.workspace, "user-0")
        connected.is_active = True
        connections.save_and_pause_orphans(connected)
    second = accept(at_work.workspace, "user-0")
    work()
    assert reasons(second) == [Reason.ACCEPTED]


def test_a_closed_workspace_sends_nothing(at_work):
    send = accept(at_work.workspace, "user-0")
    Workspace.objects.filter(pk=at_work.workspace.pk).update(deletion_due_at=timezone.now())
    pipeline.tick(timezone.now())
    work()
    assert rows(send) == []


# --- runs -------------------------------------------------------------------------------------
def test_a_run_stays_open_for_ten_minutes_and_then_ends_with_its_account(at_work):
    first = accept(at_work.workspace, "user-0")
    work()
    pipeline.tick(timezone.now())
    run = run_of(first)
    assert (run.state, run.audience_size, run.tally) == (Run.State.RUNNING, 1, {})
    second = accept(at_work.workspace, "user-1", "user-2")
    work()
    assert run_of(second) == run
    with scope(at_work.workspace):  # a tick of then would pause it: this clock has jumped
        pipeline.finish(run, timezone.now() + timedelta(minutes=9))
        assert run_of(first).state == Run.State.RUNNING
        pipeline.finish(run, timezone.now() + timedelta(minutes=11))
    run = run_of(first)
    assert (run.state, run.audience_size, run.tally) == (Run.State.COMPLETED, 3, {"accepted": 3})
    third = accept(at_work.workspace, "user-0")
    work()
    assert run_of(third) != run


def test_a_full_run_gives_way_to_another(at_work, monkeypatch):
    monkeypatch.setattr(direct, "SHARDS_MOST", 1)
    first = accept(at_work.workspace, "user-0")
    work()
    second = accept(at_work.workspace, "user-0")
    work()
    assert run_of(first) != run_of(second)
    assert run_of(first).state == Run.State.COMPLETED


def test_the_next_run_remembers_how_the_last_one_went(at_work, monkeypatch):
    with scope(at_work.workspace):
        Endpoint.objects.filter(contact__external_id="user-0").update(value="sbx_mismatch_1")
    first = accept(at_work.workspace, "user-0", "user-1")
    work()
    memory = run_of(first).last_outcomes
    assert len(memory) == 2
    monkeypatch.setattr(direct, "OPEN_FOR", timedelta())
    second = accept(at_work.workspace, "user-1")
    work()
    assert run_of(second).last_outcomes == f"{memory}."


def test_a_campaign_under_way_gives_way_to_direct_messages(at_work, prepared, monkeypatch):
    monkeypatch.setattr(pipeline, "SHARD_LEAST", 1_000)
    run = prepared(600)  # one shard
    order = []
    real = ShardWorker.work

    def work_and_note(worker):
        order.append(worker.run.direct)
        real(worker)

    monkeypatch.setattr(ShardWorker, "work", work_and_note)
    monkeypatch.setattr("delivery.engine.work.LOOK", timedelta())
    send, real_send = None, ShardWorker.send

    def accept_meanwhile(worker, group):
        nonlocal send
        real_send(worker, group)
        if send is None:
            send = accept(at_work.workspace, "user-0")

    monkeypatch.setattr(ShardWorker, "send", accept_meanwhile)
    work()
    # Where the time of a turn is over on a slow machine, another one sends the rest.
    assert order[:2] == ["", MessageClass.TRANSACTIONAL]
    assert reasons(send) == [Reason.ACCEPTED]
    assert run_to_the_end(run).tally == {"accepted": 605}


# --- what is kept -----------------------------------------------------------------------------
def test_texts_and_data_are_forgotten_after_a_day(at_work, monkeypatch):
    send = accept(at_work.workspace, "user-0")
    work()
    monkeypatch.setattr(direct, "OPEN_FOR", timedelta())
    pipeline.tick(timezone.now())
    with every_workspace():
        assert direct.forget(timezone.now() + timedelta(hours=23)) == 0
        assert direct.forget(timezone.now() + timedelta(hours=25)) == 1
        send.refresh_from_db()
        assert (send.contents, send.people, send.data) == ([], [], {})
        Message.objects.filter(request=send.pk).update(reason=Reason.PENDING)
        Run.objects.update(state=Run.State.RUNNING)
        Shard.objects.update(state=Shard.State.OPEN)
    work()
    assert reasons(send) == [Reason.RENDER_ERROR]


def test_no_list_of_campaigns_knows_a_lane(at_work):
    send = accept(at_work.workspace, "user-0")
    with scope(at_work.workspace):
        assert not Campaign.objects.exists()
        assert Campaign.lanes.get() == send.campaign
    assert str(send.campaign) == "Direct messages, transactional"


# --- what is refused --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"title": "", "body": ""}, "content.title"),
        ({"title": "x" * 121}, "content.title"),
        ({"body": "{{ data.code"}, "content.body"),
        ({"subject": "x"}, "content.subject"),
        ({"title": "x", "body": "y" * 900, "data": {"k": "z" * 4000}}, "content.body"),
        ({"data_": {}}, "data.code"),
        ({"own": {"user-0": {}}, "data_": {"other": 1}}, "data.code"),
        ({"names": ["user-0", "user-1", "user-0"]}, "recipients.2.external_user_id"),
        ({"names": ["nobody"]}, "recipients"),
        ({"template_id": 999_999}, "template_id"),
    ],
)
def test_the_request_names_what_is_wrong_with_it(at_work, given, path):
    names = given.pop("names", ["user-0"])
    if "data_" in given:
        given["data"] = given.pop("data_")
    elif "data" in given:
        given = {"content": given}
    with pytest.raises(ValidationError) as refused:
        accept(at_work.workspace, *names, **given)
    assert list(refused.value.error_dict) == [path]
    with every_workspace():
        assert not DirectSend.objects.exists()


def test_unknown_people_are_named_and_the_others_get_it(at_work):
    send = accept(at_work.workspace, "user-0", "nobody", "nobody else")
    work()
    assert send.unknown == ["nobody", "nobody else"]
    assert reasons(send) == [Reason.ACCEPTED]


def test_what_was_said_before_a_person_was_known_counts(at_work):
    from campaigns.contacts import consent

    word = consent.Word("app_push", False, "test", "", timezone.now(), external_id="new")
    with scope(at_work.workspace):
        consent.record(at_work.workspace, [word])
        Contact.objects.create(workspace=at_work.workspace, external_id="new")
    send = accept(at_work.workspace, "new", message_class=MARKETING)
    work()
    assert reasons(send) == [Reason.UNSUBSCRIBED]
