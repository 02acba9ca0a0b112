"""POST /campaigns/{campaign}/test-send: a campaign's message to a few devices, by API."""

import pytest

from campaigns.models import Content
from delivery import connections, trial
from delivery.models import Message
from tenants import keys
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.story import add_people, content_of, write_campaign
from tests.tenants.api.app import App, key_of, refused
from tests.tenants.api.calls import app_of

OK = "sbx_ok_phone1"


@pytest.fixture
def program(cast):
    scopes = [keys.CAMPAIGNS_SEND]
    return App(f"Bearer {key_of(cast.workspace, by=cast.owner, scopes=scopes)}")


@pytest.fixture
def campaign(cast, connected):
    return write_campaign(cast.workspace)


@pytest.fixture
def path(campaign):
    return f"/campaigns/{campaign.pk}/test-send"


@pytest.mark.parametrize("slash", ["", "/"])
def test_contacts_and_tokens_get_the_message_as_it_stands(cast, program, path, titles, slash):
    asha, ravi = add_people(cast.workspace, 2)
    contacts = [asha.external_id, ravi.external_id]
    answer = program.post(path + slash, contacts=contacts, tokens=[OK])
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert sorted((one["contact"], one["result"]) for one in told["results"]) == [
        ("", "accepted"),
        (asha.external_id, "accepted"),
        (ravi.external_id, "accepted"),
    ]
    assert told["left_out"] == 0
    assert sorted(titles()) == ["Hello Asha", "Hello Ravi", "Hello you"]
    with scope(cast.workspace):
        assert not Message.objects.exists()
        entry = AuditEntry.objects.get(action="test notification sent")
    assert (entry.target, entry.actor_label) == ("Weekend", "API key “CRM”")


def test_all_of_them_may_read_one_contacts_message(cast, program, path, titles):
    asha, _ravi = add_people(cast.workspace, 2)
    program.post(path, tokens=[OK, "sbx_ok_2"], personalised_for=asha.external_id)
    assert titles() == ["Hello Asha"] * 2


def test_language_and_variant_choose_the_content(cast, program, path, campaign, titles):
    with scope(cast.workspace):
        hindi = content_of({"language": "pt-BR", "title": "Olá", "body": ""})
        Content.objects.create(workspace=cast.workspace, campaign=campaign, **hindi)
    assert program.post(path, tokens=[OK], language="pt_br").status_code == 200
    assert titles() == ["Olá"]


def test_a_person_who_may_send_may_test(cast, path, titles):
    assert app_of(cast.member).post(path, tokens=[OK]).status_code == 200
    assert titles() == ["Hello you"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "contacts"),
        ({"contacts": ["nobody"]}, "contacts"),
        ({"contacts": ["x"] * 6}, "contacts"),
        ({"contacts": "asha"}, "contacts"),
        ({"contacts": [7]}, "contacts.0"),
        ({"tokens": ["x"] * 6}, "tokens"),
        ({"tokens": ["two words"]}, "tokens"),
        ({"tokens": [OK], "personalised_for": "nobody"}, "personalised_for"),
        ({"tokens": [OK], "language": "fr"}, "language"),
        ({"tokens": [OK], "language": "no language"}, "language"),
        ({"tokens": [OK], "variant": "Q"}, "variant"),
        ({"tokens": [OK], "nonsense": 1}, "nonsense"),
    ],
)
def test_bad_input_names_its_field_and_nothing_is_sent(program, path, titles, body, field):
    answer = program.post(path, **body)
    assert answer.status_code == 422, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert titles() == []


def test_a_campaign_that_is_not_there_or_anothers_is_404(cast, program, connected):
    theirs = write_campaign(cast.other_workspace)
    for pk in (theirs.pk, 999_999, 10**30):
        answer = program.post(f"/campaigns/{pk}/test-send", tokens=[OK])
        assert answer.status_code == 404


def test_an_empty_message_is_409_with_what_to_do(cast, program, connected):
    empty = write_campaign(cast.workspace, title="", body="")
    answer = program.post(f"/campaigns/{empty.pk}/test-send", tokens=[OK])
    assert refused(answer) == (409, "content_empty")


def test_without_a_connection_it_is_409(cast, program, path, connected):
    with scope(cast.workspace):
        connections.switch_off(connected, by=None)
    assert refused(program.post(path, tokens=[OK])) == (409, "no_connection")


def test_a_provider_that_does_not_answer_is_503(program, path, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    answer = program.post(path, tokens=[OK])
    assert refused(answer) == (503, "provider_unreachable")
    assert answer.headers["Retry-After"]


def test_the_same_request_with_the_same_key_is_sent_once(program, path, titles):
    for _again in range(2):
        answer = program.ask("POST", path, {"tokens": [OK]}, **{"Idempotency-Key": "one"})
        assert answer.status_code == 200
    assert titles() == ["Hello you"]


def test_too_many_tests_have_to_wait(program, path, monkeypatch):
    monkeypatch.setattr(trial, "PER_MINUTE", 1)
    assert program.post(path, tokens=[OK]).status_code == 200
    assert refused(program.post(path, tokens=[OK])) == (429, "too_many_requests")


def test_it_takes_the_right_or_the_scope(cast, path, titles):
    others = [scope for scope in keys.SCOPES if scope != keys.CAMPAIGNS_SEND]
    narrow = App(f"Bearer {key_of(cast.workspace, by=cast.owner, scopes=others)}")
    assert refused(narrow.post(path, tokens=[OK])) == (403, "scope_missing")
    assert refused(app_of(cast.viewer).post(path, tokens=[OK])) == (403, "forbidden")
    foreign = key_of(cast.other_workspace, by=cast.other_owner, scopes=[keys.CAMPAIGNS_SEND])
    assert App(f"Bearer {foreign}").post(path, tokens=[OK]).status_code == 404
    assert App().post(path, tokens=[OK]).status_code == 401
    assert titles() == []
