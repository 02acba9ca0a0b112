"""Web push, broadcasts and the check with the provider as people meet them: preview, check, run
page."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Endpoint, Run
from delivery.admin.run import figures
from delivery.connections import account_of
from delivery.models import Message
from delivery.providers.fcm import sandbox_client
from delivery.providers.fcm.message import build_message
from tenants.models import Connection
from tenants.scope import scope
from tests.campaigns.console import FORM, preview, written
from tests.story import add_people, run_to_the_end

pytestmark = pytest.mark.once

STATES = Run.State


def checked(cast, who: str = "member", **fields: Any) -> Any:
    return cast.client(who).post(cast.url("preview/check/"), fields)


# --- web push


def test_web_push_reaches_the_browsers_and_only_them(cast, connected, launched, sandbox):
    people = add_people(cast.workspace, 3)
    with scope(cast.workspace):
        Endpoint.objects.create(
            workspace=cast.workspace,
            contact=people[0],
            channel="web_push",
            platform="web",
            value="sbx_ok_browser",
        )
    options = {
        "buttons": [{"text": "Shop", "url": "https://x.test/a"}],
        "icon_url": "https://x.test/i.png",
    }
    run = launched(channel="web_push", deep_link="https://x.test/sale", options=options)
    run_to_the_end(run)
    assert run.tally == {"accepted": 1, "no_endpoint": 2}
    account = account_of(connected)
    [entry] = sandbox.log(account.mint().value, account.project_id)["messages"]
    assert entry["token"] == "sbx_ok_browser"
    assert entry["message"]["webpush"] == {
        "notification": {
            "icon": "https://x.test/i.png", "tag": entry["ref"],
            "actions": [{"action": "pp_button_1", "title": "Shop"}],
        },
        "fcm_options": {"link": "https://x.test/sale"},
    }  # fmt: skip


def test_the_preview_of_web_push_holds_what_the_browser_shows(cast):
    web = {"channel": "web_push", "deep_link": "https://x.test/sale", "button_1_text": "Shop"}
    web |= {"icon_url": "https://x.test/i.png", "image_url": "https://x.test/a.png"}
    answer = preview(cast, **{**FORM, **web}).json()
    assert answer["channel"] == "web_push"
    shown = answer["message"]
    assert (shown["site"], shown["buttons"], shown["is_silent"]) == (
        "https://x.test/sale",
        ["Shop"],
        False,
    )
    assert (shown["icon_url"], shown["image_url"]) == (
        "https://x.test/i.png",
        "https://x.test/a.png",
    )


def test_the_phones_of_the_sandbox_draw_a_data_message_as_an_app_would():
    push = {
        "title": "Sale",
        "body": "Today",
        "image_url": "https://x.test/a.png",
        "data_only": True,
    }
    message = build_message(push, target=("token", "sbx_ok_1"))
    drawn = sandbox_client._message({"seq": 1, "at": 0.0, "token": "sbx_ok_1", "message": message})
    assert (drawn.title, drawn.body, drawn.image) == ("Sale", "Today", "https://x.test/a.png")


# --- topics


def test_the_preview_of_a_topic_is_for_nobody_in_particular_and_half_as_long(cast, connected):
    add_people(cast.workspace, 2)
    answer = preview(cast, **{**FORM, "audience": "topic", "topic": "news", "title": "Sale"}).json()
    assert (answer["person"], answer["is_broadcast"], answer["limit"]) == (None, True, 2048)
    campaign = written(cast, target_kind="condition", target="'a' in topics")
    assert preview(cast, campaign=campaign.pk).json()["limit"] == 2048


@pytest.mark.parametrize(
    ("kind", "target"), [("topic", "news"), ("condition", "'news' in topics && 'pune' in topics")]
)
def test_a_topic_goes_from_the_editor_to_fcm_as_one_message(
    cast, connected, launched, sandbox, kind, target
):
    add_people(cast.workspace, 3)
    run = launched(
        target_kind=kind, target=target, title="Sale", body="Today", options={"ttl_secs": 3600}
    )
    run_to_the_end(run)
    assert (run.state, run.audience_size, run.tally) == ("completed", 1, {"accepted": 1})
    with scope(cast.workspace):
        [row] = Message.objects.filter(run=run)
        assert (row.contact_id, row.endpoint_id) == (None, None)
        assert (
            figures.read(run, timezone.now(), may_send=True).headline
            == "Handed to the provider for all subscribers"
        )
    account = account_of(connected)
    [entry] = sandbox.log(account.mint().value, account.project_id)["messages"]
    assert entry["message"][kind] == target
    assert "token" not in entry["message"]


@pytest.mark.parametrize(
    ("state", "tally", "words"),
    [
        (STATES.RUNNING, {"pending": 1}, "Handing the message to the provider"),
        (STATES.COMPLETED, {"accepted": 1}, "Handed to the provider for all subscribers"),
        (STATES.COMPLETED, {"rejected": 1}, "The provider did not take the message"),
        (STATES.CANCELLED, {"cancelled": 1}, "Cancelled before the provider took the message"),
    ],
)
def test_the_run_page_of_a_topic_never_speaks_of_one_recipient(
    cast, connected, state, tally, words
):
    campaign, now = written(cast, target_kind="topic", target="news"), timezone.now()
    with scope(cast.workspace):
        revision = campaign.revisions.create(
            workspace=cast.workspace, number=1, contents=[{"title": "Sale"}]
        )
        run = Run.objects.create(
            workspace=cast.workspace, campaign=campaign, revision=revision, state=state, target_kind="topic",
            target="news", intended_at=now, not_after=now + timedelta(hours=1), started_at=now, audience_size=1,
            finished_at=None if state == STATES.RUNNING else now, tally=tally, connection=connected,
        )  # fmt: skip
        assert figures.read(run, now, may_send=True).headline == words
    page = cast.client("viewer").get(cast.url(f"campaigns/run/{run.pk}/change/")).content.decode()
    assert "Everyone subscribed to topic “news”" in page
    assert "one message to the provider, which sends it to all subscribers" in page
    assert "See every recipient" not in page
    assert ">Audience<" not in page
    assert "of the audience" not in page.partition('id="run-shards"')[0]
    assert "Recipients that matched" not in page
    listed = cast.client("viewer").get(cast.url("campaigns/run/")).content.decode()
    assert "Subscribers" in listed
    with scope(cast.workspace):
        Message.objects.create(
            workspace=cast.workspace, run=run, reason=Reason[next(iter(tally)).upper()]
        )
    rows = (
        cast.client("owner").get(cast.url(f"campaigns/run/{run.pk}/recipients/")).content.decode()
    )
    assert "All subscribers" in rows
    assert "Deleted contact" not in rows
    export = cast.client("owner").get(cast.url(f"campaigns/run/{run.pk}/recipients.csv")).getvalue()
    assert b"(news)" in export
    listed = cast.client("viewer").get(cast.url("campaigns/campaign/")).content.decode()
    assert "Everyone subscribed to topic “news”" in listed
    assert "of 1" not in listed


# --- check with FCM


def test_fcm_looks_at_the_message_in_the_form_and_sends_nothing(cast, connected, sandbox):
    assert checked(cast, **FORM).json() == {
        "ok": True, "lines": ["The sandbox checked the message and would send it."]
    }  # fmt: skip
    account = account_of(connected)
    assert sandbox.log(account.mint().value, account.project_id)["messages"] == []
    wrong = checked(cast, **{**FORM, "title": "{{ oops"}).json()
    assert not wrong["ok"]
    assert wrong["lines"][0].startswith("Title: The personalisation cannot be read")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"deep_link": "foo"}, "Link: This link is not complete"),
        ({"data_lines": "from=1"}, "Data for the app: Line 1: “from” is reserved"),
        ({"badge": "-5"}, "Badge: Ensure this value is greater"),
        (
            {"audience": "topic", "topic": "bad topic"},
            "Topic: The name of a topic has only letters",
        ),
        ({"button_1_url": "app://x"}, "Button 1 text: Write the text of the button"),
        ({"title": "", "body": ""}, "The message is empty"),
    ],
)
def test_what_the_form_refuses_is_not_approved(cast, connected, fields, line):
    answer = checked(cast, **{**FORM, **fields}).json()
    assert (answer["ok"], answer["lines"][0].startswith(line)) == (False, True), answer
    if fields.get("audience") is None:  # the page of a campaign on its way edits the message alone
        message = {
            name: value
            for name, value in {**FORM, **fields}.items()
            if name not in ("channel", "name")
        }
        answer = checked(cast, **message, campaign=written(cast).pk).json()
        assert (answer["ok"], answer["lines"][0].startswith(line)) == (False, True), answer


def test_what_else_is_unfinished_does_not_stop_the_check_of_a_message(cast, connected):
    unfinished = {**FORM, "name": "", "schedule_type": "scheduled", "scheduled_at": "soon"}
    assert checked(cast, **unfinished).json()["ok"]


def test_each_content_of_a_saved_campaign_is_checked_in_its_language(cast, connected):
    campaign = written(cast, content={"title": "Sale", "options": {"ttl_secs": 9_999_999}})
    with scope(cast.workspace):
        campaign.contents.create(
            workspace=cast.workspace, language="hi", fields={"title": "सेल", "body": "आज"}
        )
    answer = checked(cast, campaign=campaign.pk).json()
    assert not answer["ok"]
    assert answer["lines"][0].startswith("en: Google said: Invalid ttl")
    assert answer["lines"][1] == "hi: The sandbox checked the message and would send it."


def test_a_topic_is_checked_as_a_topic(cast, connected):
    campaign = written(cast, target_kind="topic", target="two words")
    answer = checked(cast, campaign=campaign.pk).json()
    assert (answer["ok"], "topic" in answer["lines"][0]) == (False, True)
    long = written(
        cast, target_kind="topic", target="news", content={"options": {"data": {"k": "x" * 2100}}}
    )
    assert checked(cast, campaign=long.pk).json()["lines"] == ["Google said: Message too big"]


def test_without_a_working_connection_the_check_says_so(cast, connected, settings):
    with scope(cast.workspace):
        empty = Campaign.objects.create(workspace=cast.workspace, name="Empty")
    assert "is empty" in checked(cast, campaign=empty.pk).json()["lines"][0]
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    assert checked(cast, **FORM).json()["lines"][0].startswith("Could not reach")
    with scope(cast.workspace):
        Connection.objects.update(is_active=False)
    assert "has no connection in use" in checked(cast, **FORM).json()["lines"][0]
    assert cast.client("member").get(cast.url("preview/check/")).status_code == 405
    assert checked(cast, "viewer", **FORM).status_code == 403
