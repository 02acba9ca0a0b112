"""“Send test” in the console: beside the preview of a message, and on the page of a connection."""

import pytest
from django.contrib.messages import get_messages

from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.console import FORM
from tests.story import add_people, write_campaign

OK = "sbx_ok_phone1"


def post(cast, who="member", **fields):
    return cast.client(who).post(cast.url("preview/test/"), fields)


def states(answer):
    return [line["state"] for line in answer.json()["lines"]]


def test_what_stands_in_the_form_is_sent_before_it_is_saved(cast, connected, titles):
    fields = {**FORM, "title": "Only typed", "test_token": OK}
    answer = post(cast, **fields)
    assert (states(answer), titles()) == (["accepted"], ["Only typed"])
    assert "Receipt: " in answer.json()["lines"][0]["text"]
    with scope(cast.workspace):
        entry = AuditEntry.objects.get(action="test notification sent")
    assert (entry.actor, entry.target) == (cast.member, str(connected))


def test_a_saved_campaign_is_sent_to_a_contact_and_named_in_the_trail(cast, connected, titles):
    campaign = write_campaign(cast.workspace)
    (asha,) = add_people(cast.workspace, 1)
    answer = post(cast, campaign=campaign.pk, test_contact=f" {asha.external_id} ")
    assert (states(answer), titles()) == (["accepted"], ["Hello Asha"])
    with scope(cast.workspace):
        assert AuditEntry.objects.get(action="test notification sent").target == campaign.name


def test_what_the_form_refuses_is_said_and_not_sent(cast, connected, titles):
    fields = {**FORM, "deep_link": "javascript:alert(1)", "test_token": OK}
    answer = post(cast, **fields)
    assert (states(answer), titles()) == (["skipped"], [])


@pytest.mark.parametrize(
    ("to", "state", "named"),
    [
        ({}, "skipped", ""),
        ({"test_contact": "nobody"}, "skipped", "nobody"),
        ({"test_token": "sbx_unregistered_1"}, "refused", "UNREGISTERED"),
        ({"test_token": "sbx_internal_1"}, "unknown", "INTERNAL"),
    ],
)
def test_each_outcome_is_a_sentence(cast, connected, to, state, named):
    campaign = write_campaign(cast.workspace)
    (line,) = post(cast, campaign=campaign.pk, **to).json()["lines"]
    assert line["state"] == state
    assert line["text"].count(" ") > 5
    assert named in line["text"]


def test_the_button_is_there_for_who_may_send(cast, connected):
    campaign = write_campaign(cast.workspace)
    pages = [f"campaigns/campaign/{campaign.pk}/{tail}" for tail in ("change/", "review/")]
    for who, is_there in (("member", True), ("viewer", False)):
        client = cast.client(who)
        for page in pages:
            html = client.get(cast.url(page)).content.decode()
            assert ("data-opens-test" in html) is is_there, (who, page)


def test_a_campaign_of_another_workspace_is_not_there(cast, connected, titles):
    theirs = write_campaign(cast.other_workspace)
    assert post(cast, campaign=theirs.pk, test_token=OK).status_code == 404
    assert titles() == []


# --- the page of a connection ---------------------------------------------------------------------
def greet(cast, connected, **fields):
    address = cast.url(f"tenants/connection/{connected.pk}/send-test/")
    answer = cast.client("admin").post(address, fields)
    assert answer.status_code == 302
    return [(message.level_tag, str(message)) for message in get_messages(answer.wsgi_request)]


def test_a_connection_greets_a_token(cast, connected, titles):
    ((tag, words),) = greet(cast, connected, test_token=OK, channel="app_push")
    assert (tag, titles()) == ("success", ["PushPilot"])
    assert "Receipt: " in words


@pytest.mark.parametrize(
    ("fields", "tag"),
    [
        ({}, "error"),
        ({"test_token": "sbx_mismatch_1"}, "error"),
        ({"test_token": "sbx_unavailable_1"}, "warning"),
        ({"test_token": OK, "channel": "nonsense"}, "success"),
    ],
)
def test_the_page_says_what_came_of_it(cast, connected, fields, tag):
    assert [found for found, _words in greet(cast, connected, **fields)] == [tag]


def test_a_provider_that_does_not_answer_is_a_sentence(cast, connected, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    ((tag, words),) = greet(cast, connected, test_token=OK)
    assert (tag, "127.0.0.1" in words) == ("error", True)
