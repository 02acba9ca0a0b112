"""A test notification: real over the provider, answered device by device, and counted nowhere."""

import json
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection as database
from django.utils import timezone

from campaigns.contacts import consent
from campaigns.contacts.consent import Word
from campaigns.models import Contact, Content, Endpoint, Run
from delivery import connections, trial
from delivery.connections import account_of
from delivery.models import Message, Reach
from delivery.providers.base import ProviderUnreachable
from delivery.providers.http2 import CurlTransport
from delivery.trial import CannotTest, Result, TooManyTests
from delivery.trial_devices import To
from pushpilot.lib.signing import is_of_a_test, read_reference
from tenants.models import AuditEntry, Connection
from tenants.scope import scope
from tests.story import add_people, content_of, write_campaign

HELLO = {"language": "en", "variant": "A", "title": "Hello {{ first_name | default: 'you' }}"}
OK = "sbx_ok_phone1"


@pytest.fixture
def within(cast, connected):
    with scope(cast.workspace):
        yield cast


def send(connected, *contents, to=None, **options):
    return trial.send(
        connected, "app_push", contents or (HELLO,), to or To(tokens=[OK]), by=None, **options
    )


@pytest.fixture
def log(sandbox, connected):
    """A function that gives the messages that the sandbox's devices received."""

    def read():
        account = account_of(connected)
        return sandbox.log(account.mint().value, account.project_id)["messages"]

    return read


def opt_out(cast, contact):
    word = Word("app_push", False, "test", "", timezone.now(), contact_id=contact.pk)
    consent.record(cast.workspace, [word])


# --- what arrives ---------------------------------------------------------------------------------
def test_a_test_arrives_at_a_token_with_its_mark_and_the_providers_receipt(within, connected, log):
    (answer,) = send(connected).answers
    (arrived,) = log()
    assert (answer.result, answer.device, answer.contact) == (Result.ACCEPTED, "…k_phone1", "")
    assert arrived["token"] == OK
    assert answer.provider_id
    assert arrived["message"]["notification"] == {"title": "Hello you"}
    assert arrived["message"]["data"]["pp_test"] == "1"


def test_a_test_for_a_contact_is_personalised_and_goes_to_each_device(within, connected, log):
    asha, ravi = add_people(within.workspace, 2)
    Endpoint.objects.create(workspace=within.workspace, contact=asha, value="sbx_ok_tablet")
    made = send(connected, to=To(contacts=[asha.external_id]))
    assert {answer.contact for answer in made.answers} == {asha.external_id}
    assert len(log()) == 2
    assert {one["message"]["notification"]["title"] for one in log()} == {"Hello Asha"}
    send(connected, to=To(contacts=[asha.external_id], reader=ravi.external_id))
    assert log()[-1]["message"]["notification"]["title"] == "Hello Ravi"


def test_each_contact_reads_the_content_of_their_language(within, connected, log):
    asha, ravi = add_people(within.workspace, 2)
    Contact.objects.filter(pk=ravi.pk).update(language="hi-IN")
    hindi = {"language": "hi", "variant": "A", "title": "नमस्ते"}
    send(connected, HELLO, hindi, to=To(contacts=[asha.external_id, ravi.external_id]))
    assert {one["message"]["notification"]["title"] for one in log()} == {"Hello Asha", "नमस्ते"}


def test_each_test_has_a_reference_of_its_own_that_names_no_send(within, connected, log):
    campaign = write_campaign(within.workspace)
    for _again in range(2):
        trial.send_campaign(campaign, To(tokens=[OK]), by=None)
    references = {one["message"]["data"]["pp_ref"] for one in log()}
    assert len(references) == 2, "a device replaces what came with the same reference"
    for reference in references:
        numbers = read_reference(reference, 4)
        assert numbers[:3] == (within.workspace.pk, campaign.pk, 0)
        assert is_of_a_test(numbers)


# --- what the provider says -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("device", "result", "code"),
    [
        ("unregistered", Result.REFUSED, "UNREGISTERED"),
        ("mismatch", Result.REFUSED, "SENDER_ID_MISMATCH"),
        ("invalid", Result.REFUSED, "INVALID_ARGUMENT"),
        ("quota", Result.REFUSED, "QUOTA_EXCEEDED"),
        ("thirdparty", Result.REFUSED, "THIRD_PARTY_AUTH_ERROR"),
        ("unavailable", Result.UNKNOWN, "UNAVAILABLE"),
        ("internal", Result.UNKNOWN, "INTERNAL"),
    ],
)
def test_the_answer_says_what_the_provider_said_and_the_device_stays(
    within, connected, device, result, code
):
    (asha,) = add_people(within.workspace, 1, tokens=[f"sbx_{device}_1"], platform="ios")
    (answer,) = send(connected, to=To(contacts=[asha.external_id])).answers
    assert (answer.result, answer.code) == (result, code)
    assert answer.words
    assert answer.said
    endpoint = Endpoint.objects.get()
    assert (endpoint.is_active, endpoint.retired_at) == (True, None)
    assert not Reach.objects.exists(), "one answer holds no platform"


def test_a_device_that_never_answers_is_unknown_after_the_time_out(within, connected, monkeypatch):
    monkeypatch.setattr(trial, "ANSWER_SECS", 0.3)
    made = send(connected, to=To(tokens=["sbx_hang_1", OK]))
    assert [(one.result, one.code) for one in made.answers] == [
        (Result.UNKNOWN, "NO_ANSWER"),
        (Result.ACCEPTED, "ACCEPTED"),
    ]


def test_a_provider_that_does_not_answer_is_an_error_and_leaves_no_trace(
    within, connected, settings
):
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    with pytest.raises(ProviderUnreachable):
        send(connected)
    assert not AuditEntry.objects.filter(action="test notification sent").exists()


def test_credentials_that_the_provider_refuses_say_so(within, connected, sandbox):
    stolen = json.loads(connected.credentials)
    other = json.loads(sandbox.key_file("other-project-1"))
    connections.store_account(
        connected, json.dumps({**stolen, "private_key": other["private_key"]})
    )
    with pytest.raises(CannotTest) as refused:
        send(connected)
    assert refused.value.code == "credentials_refused"


def test_the_sender_of_a_test_is_closed_and_not_the_workers_own(within, connected, monkeypatch):
    closed = []
    monkeypatch.setattr(connections, "_senders", {})
    monkeypatch.setattr(CurlTransport, "close", lambda self: closed.append(self))
    send(connected)
    assert len(closed) == 1
    assert connections._senders == {}


def test_no_transaction_is_open_while_the_provider_is_asked(within, connected, monkeypatch):
    depth, asked = len(database.savepoint_ids), []
    poll = CurlTransport.poll

    def look(self, wait_secs):
        asked.append(len(database.savepoint_ids))
        return poll(self, wait_secs)

    monkeypatch.setattr(CurlTransport, "poll", look)
    send(connected)
    assert set(asked) == {depth}


# --- who gets none --------------------------------------------------------------------------------
@pytest.mark.parametrize("by_token", [False, True])
def test_who_has_opted_out_gets_no_test_either(within, connected, log, by_token):
    (asha,) = add_people(within.workspace, 1, tokens=[OK])
    opt_out(within, asha)
    to = To(contacts=[asha.external_id])
    if by_token:
        to = To(tokens=[OK])
    made = send(connected, to=to)
    assert [(one.result, one.code) for one in made.answers] == [(Result.SKIPPED, "unsubscribed")]
    assert made.answers[0].words
    assert (made.was_sent, log()) == (False, [])
    assert not AuditEntry.objects.filter(action="test notification sent").exists()


def test_gates_are_asked_device_by_device(within, connected, log):
    asha, ravi = add_people(within.workspace, 2)
    for value, changes in (
        ("sbx_ok_retired", {"is_active": False}),
        ("sbx_ok_denied", {"opted_in": False}),
    ):
        Endpoint.objects.create(workspace=within.workspace, contact=asha, value=value, **changes)
    Endpoint.objects.filter(contact=ravi).delete()
    made = send(connected, to=To(contacts=[asha.external_id, ravi.external_id]))
    assert sorted((one.contact, one.code) for one in made.answers) == sorted(
        [
            (asha.external_id, "ACCEPTED"),
            (asha.external_id, "endpoint_inactive"),
            (asha.external_id, "not_opted_in"),
            (ravi.external_id, "no_endpoint"),
        ]
    )
    assert len(log()) == 1


def test_a_device_that_is_named_twice_gets_one_message(within, connected, log):
    (asha,) = add_people(within.workspace, 1, tokens=[OK])
    made = send(connected, to=To(contacts=[asha.external_id] * 2, tokens=[OK, OK]))
    assert (len(made.answers), len(log())) == (1, 1)
    assert log()[0]["message"]["notification"]["title"] == "Hello Asha"


def test_of_many_devices_those_that_were_seen_last_get_it(within, connected):
    (asha,) = add_people(within.workspace, 1)
    asha.endpoints.all().delete()
    now = timezone.now()
    for age in range(12):
        Endpoint.objects.create(
            workspace=within.workspace,
            contact=asha,
            value=f"sbx_ok_device{age:04}",
            last_seen_at=now - timedelta(days=age),
        )
    made = send(connected, to=To(contacts=[asha.external_id]))
    assert made.left_out == 2
    assert {one.device[-4:] for one in made.answers} == {f"{age:04}" for age in range(10)}


@pytest.mark.parametrize(
    ("to", "field"),
    [
        (To(), "contacts"),
        (To(contacts=["nobody"]), "contacts"),
        (To(contacts=[str(n) for n in range(6)]), "contacts"),
        (To(tokens=[f"sbx_ok_{n}" for n in range(6)]), "tokens"),
        (To(tokens=["two words"]), "tokens"),
        (To(tokens=[""]), "tokens"),
        (To(tokens=[OK], reader="nobody"), "reader"),
    ],
)
def test_an_address_or_a_contact_that_cannot_be_is_refused_by_its_field(
    within, connected, log, to, field
):
    with pytest.raises(ValidationError) as refused:
        send(connected, to=to)
    assert list(refused.value.error_dict) == [field]
    assert log() == []


def test_people_and_devices_of_another_workspace_are_unknown(within, connected, log):
    (theirs,) = add_people(within.other_workspace, 1, tokens=[OK])
    with scope(within.other_workspace):
        opt_out_there = Word("app_push", False, "t", "", timezone.now(), contact_id=theirs.pk)
        consent.record(within.other_workspace, [opt_out_there])
    with pytest.raises(ValidationError):
        send(connected, to=To(contacts=[theirs.external_id]))
    (answer,) = send(connected).answers
    assert (answer.result, answer.contact) == (Result.ACCEPTED, "")


# --- what cannot go out ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"title": ""}, "content_empty"),
        ({"title": "Hello {{ first_name"}, "content_invalid"),
        ({"title": "x" * 5000}, "content_invalid"),
        ({"deep_link": "javascript:alert(1)"}, "content_invalid"),
    ],
)
def test_a_content_that_no_send_would_take_is_refused(within, connected, log, content, code):
    with pytest.raises(CannotTest) as refused:
        send(connected, {**HELLO, **content})
    assert (refused.value.code, log()) == (code, [])


def test_a_message_that_grows_too_large_for_its_reader_is_skipped(within, connected, log):
    (asha,) = add_people(within.workspace, 1)
    Contact.objects.filter(pk=asha.pk).update(attributes={"first_name": "x" * 5000})
    (answer,) = send(connected, to=To(contacts=[asha.external_id])).answers
    assert (answer.result, log()) == (Result.SKIPPED, [])
    assert answer.code in ("payload_too_large", "render_error")


def test_without_a_connection_in_use_a_campaign_has_no_test(within, connected):
    campaign = write_campaign(within.workspace)
    connections.switch_off(connected, by=None)
    with pytest.raises(CannotTest) as refused:
        trial.send_campaign(campaign, To(tokens=[OK]), by=None)
    assert refused.value.code == "no_connection"


def test_the_content_is_chosen_by_language_and_variant(within, connected, log):
    campaign = write_campaign(within.workspace)
    hindi = {"language": "hi", "title": "नमस्ते", "body": ""}
    Content.objects.create(workspace=within.workspace, campaign=campaign, **content_of(hindi))
    trial.send_campaign(campaign, To(tokens=[OK]), by=None, language="hi", variant="A")
    assert log()[-1]["message"]["notification"]["title"] == "नमस्ते"
    for choice in ({"language": "fr"}, {"variant": "Q"}):
        with pytest.raises(ValidationError) as refused:
            trial.send_campaign(campaign, To(tokens=[OK]), by=None, **choice)
        assert list(refused.value.error_dict) == list(choice)


def test_a_workspace_sends_so_many_tests_a_minute(within, connected, log, monkeypatch):
    monkeypatch.setattr(trial, "PER_MINUTE", 2)
    for _again in range(2):
        send(connected)
    with pytest.raises(TooManyTests) as refused:
        send(connected)
    assert 0 < refused.value.wait_secs <= 60
    assert len(log()) == 2


# --- what it leaves behind ------------------------------------------------------------------------
def test_a_test_stands_in_the_trail_and_nowhere_else(within, connected):
    campaign = write_campaign(within.workspace)
    (asha,) = add_people(within.workspace, 1)
    before = campaign.updated_at
    trial.send_campaign(campaign, To(contacts=[asha.external_id]), by=within.member)
    entry = AuditEntry.objects.get(action="test notification sent")
    assert (entry.actor, entry.target) == (within.member, campaign.name)
    assert entry.detail["contacts"] == [asha.external_id]
    assert entry.detail["devices"][0].endswith(": ACCEPTED")
    assert Endpoint.objects.get().value not in json.dumps(entry.detail), "the ends alone"
    campaign.refresh_from_db()
    assert (campaign.status, campaign.updated_at) == ("draft", before)
    assert not Message.objects.exists()
    assert not Run.objects.exists()
    assert Connection.objects.get().updated_at == connected.updated_at
