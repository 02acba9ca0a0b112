"""The campaign editor: what is saved, what is refused and at which field, and what is answered
while somebody types."""

import re
from datetime import UTC, datetime

import pytest

from campaigns.admin.campaign import builders
from campaigns.audience.segments import RuleError
from campaigns.drafts import duplicate
from campaigns.models import Campaign, Endpoint, Template
from pushpilot.lib.clock import RecurrenceError
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.console import (
    ADD,
    FORM,
    change,
    inputs_of,
    live,
    options_of,
    refused,
    saved,
    written,
)

pytestmark = pytest.mark.once


def test_a_saved_form_becomes_a_draft_with_one_content(company):
    campaign = saved(
        company, ttl_secs="0", priority="high", badge="0", data_lines="screen=offers\nq = a=b", sound="default",
        collapse_key="sale", silent="on", tone="cheerful",
    )  # fmt: skip
    with scope(company.workspace):
        content, options = campaign.contents.get(), options_of(campaign)
    assert (campaign.status, campaign.created_by, campaign.audience_rule) == (
        "draft",
        company.member,
        {},
    )
    assert (content.title, content.language) == (FORM["title"], "en")
    assert options == {
        "ttl_secs": 0, "priority": "high", "badge": 0, "data": {"screen": "offers", "q": "a=b"}, "sound": "default",
        "collapse_key": "sale", "silent": True,
    }  # fmt: skip
    with scope(company.workspace):
        assert AuditEntry.objects.filter(action="campaign created", actor=company.member).exists()


def test_the_form_shows_what_was_saved_and_saving_it_again_changes_nothing(company):
    campaign = saved(
        company, audience="rule", audience_field="attributes.orders", audience_op="gte", audience_value="3",
        schedule_type="recurring", scheduled_at="2026-12-04T18:30", repeat="weekly", interval="2",
        weekdays=["MO", "FR"], data_lines="a=1", ttl_secs="3600",
    )  # fmt: skip
    assert campaign.audience_rule == {"field": "attributes.orders", "op": "gte", "value": 3}
    assert campaign.recurrence_rule == "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR"
    assert campaign.scheduled_at == datetime(2026, 12, 4, 13, tzinfo=UTC)
    client = company.client("member")
    form = client.get(change(company, campaign)).context["adminform"].form
    again = {name: value for name, value in inputs_of(form).items() if value not in (None, False)}
    assert again["scheduled_at"] == "2026-12-04T18:30"
    stored = ("audience_rule", "recurrence_rule", "wall_clock", "time_zone")
    with scope(company.workspace):
        before = Campaign.objects.filter(pk=campaign.pk).values(*stored).get()
        options = options_of(campaign)
    assert client.post(change(company, campaign), {**again, "_save": "1"}).status_code == 302
    with scope(company.workspace):
        after = Campaign.objects.filter(pk=campaign.pk).values(*stored).get()
        assert (after, options_of(campaign)) == (before, options)


BUTTONS = {"button_1_text": "Shop", "button_1_url": "app://shop", "button_3_text": "Later"}
SENDING = {
    "per_second": "50", "avoid_quarter_hours": "on", "start_within_mins": "180", "expires_after_mins": "720",
    "ambiguity_policy": "resend",
}  # fmt: skip


def test_buttons_icon_and_sending_options_are_kept(company):
    campaign = saved(company, **BUTTONS, **SENDING, data_only="on", icon_url="https://x.test/i.png")
    with scope(company.workspace):
        options = options_of(campaign)
    assert options == {
        "buttons": [{"text": "Shop", "url": "app://shop"}, {"text": "Later"}], "data_only": True,
        "icon_url": "https://x.test/i.png",
    }  # fmt: skip
    assert (campaign.per_second, campaign.avoid_quarter_hours, campaign.start_within_mins) == (
        50,
        True,
        180,
    )
    assert (campaign.expires_after_mins, campaign.ambiguity_policy) == (720, "resend")
    page = company.client("member").get(change(company, campaign))
    assert (page.context["adminform"].form.message.is_open, page.context["sending_open"]) == (
        True,
        True,
    )
    form = page.context["adminform"].form
    assert (form.message["button_2_text"].value(), form.sending["start_within_mins"].value()) == (
        "Later",
        180,
    )


def test_what_the_sending_part_leaves_out_stays_as_it_is(company):
    campaign = saved(company, **SENDING)
    empty = {"start_within_mins": "", "ambiguity_policy": "", "per_second": ""}
    client = company.client("member")
    assert (
        client.post(change(company, campaign), {**FORM, **empty, "_save": "1"}).status_code == 302
    )
    with scope(company.workspace):
        campaign.refresh_from_db()
    assert (campaign.start_within_mins, campaign.ambiguity_policy, campaign.per_second) == (
        180,
        "resend",
        None,
    )
    assert saved(company).start_within_mins == 60
    form = client.get(company.url(ADD)).context["adminform"].form.sending
    assert (form["start_within_mins"].value(), form["ambiguity_policy"].value()) == (60, "hold")


def test_a_stored_number_that_is_no_choice_is_offered_and_survives_saving(company):
    campaign = written(
        company,
        start_within_mins=95,
        expires_after_mins=100,
        content={"title": "A", "options": {"ttl_secs": 7260}},
    )
    client = company.client("member")
    form = client.get(change(company, campaign)).context["adminform"].form
    assert dict(form.message.fields["ttl_secs"].choices)["7260"] == "2 hours 1 minute"
    same = {"start_within_mins": "95", "expires_after_mins": "100", "ttl_secs": "7260"}
    assert client.post(change(company, campaign), {**FORM, **same, "_save": "1"}).status_code == 302
    with scope(company.workspace):
        campaign.refresh_from_db()
        assert options_of(campaign) == {"ttl_secs": 7260}
    assert (campaign.start_within_mins, campaign.expires_after_mins) == (95, 100)


def test_another_channel_of_the_campaign_is_the_channel_of_all_its_contents(company):
    campaign = written(company)
    with scope(company.workspace):
        campaign.contents.create(workspace=company.workspace, language="hi", fields={"title": "सेल"})
    web = {**FORM, "channel": "web_push", "deep_link": "https://shop.example/"}
    assert (
        company.client("member").post(change(company, campaign), {**web, "_save": "1"}).status_code
        == 302
    )
    with scope(company.workspace):
        assert set(campaign.contents.values_list("channel", flat=True)) == {"web_push"}


def test_an_emoji_and_a_new_line_count_as_one_character_each(company):
    assert list(refused(company, title="🎉" * 121)) == ["title"]
    full = {"title": "🎉" * 120, "body": "a\r\n" * 499 + "b"}
    campaign = saved(company, **full)
    with scope(company.workspace):
        assert campaign.contents.get().text("body") == "a\n" * 499 + "b"
    form = company.client("member").get(change(company, campaign)).context["adminform"].form
    assert "maxlength" not in f"{form.message['title']}{form.message['body']}"


def test_the_standard_lifetime_is_offered_once(company):
    choices = (
        company.client("member")
        .get(company.url(ADD))
        .context["adminform"]
        .form.message.fields["ttl_secs"]
        .choices
    )
    assert [words for _, words in choices if "4 weeks" in words] == ["4 weeks (standard)"]


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("topic", " news ", "news"),
        (
            "condition", "'a'  in topics&&('b' in topics || 'c' in topics)",
            "'a' in topics && ('b' in topics || 'c' in topics)",
        ),
    ],
)  # fmt: skip
def test_a_topic_or_condition_is_saved_shown_again_and_copied(company, kind, given, kept):
    campaign = saved(
        company, audience=kind, **{kind: given}, audience_field="country", audience_value="IN"
    )
    assert (campaign.target_kind, campaign.target, campaign.audience_rule) == (kind, kept, {})
    form = (
        company.client("member").get(change(company, campaign)).context["adminform"].form.audience
    )
    assert (form["audience"].value(), form[kind].value()) == (kind, kept)
    with scope(company.workspace):
        copy = duplicate(campaign, by=company.member)
    assert (copy.target_kind, copy.target) == (kind, kept)
    company.client("member").post(change(company, campaign), {**FORM, kind: kept, "_save": "1"})
    with scope(company.workspace):
        campaign.refresh_from_db()
    assert (campaign.target_kind, campaign.target) == ("people", "")


def test_the_editor_says_what_the_devices_of_this_audience_ignore(company):
    asked = {"badge": "3", "android_channel": "offers", "button_1_text": "Go"}
    notes = live(company, "audience", **asked).json()["notes"]
    assert set(notes) == {"android_channel", "button_1_text"}
    assert notes["android_channel"] == "iPhones have no notification channels."
    assert live(company, "audience").json()["notes"] == {}
    with scope(company.workspace):
        Endpoint.objects.update(platform="android")
    notes = live(company, "audience", **asked, sound="chime").json()["notes"]
    assert "Android itself shows no buttons" in notes["button_1_text"]
    assert "android_channel" not in notes
    assert (
        "badge"
        in live(company, "audience", **asked, channel="web_push", deep_link="").json()["notes"]
    )


def test_of_a_topic_nobody_here_knows_how_many(company):
    answer = live(company, "audience", audience="topic", topic="news", badge="1").json()
    assert answer["words"] == "Number of subscribers unknown"
    assert "people" not in answer
    assert answer["sentence"] == "Everyone subscribed to topic “news”"
    assert (
        "Leave /topics/ out"
        in live(company, "audience", audience="topic", topic="/topics/x").json()["error"]
    )


def test_review_and_send_saves_and_goes_on_to_the_review(company):
    response = company.client("member").post(company.url(ADD), {**FORM, "_review": "1"})
    assert response["Location"].endswith("/review/")


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"name": ""}, "name", "required"),
        ({"title": "x" * 121}, "title", "at most 120"),
        ({"body": "Hi {{ name"}, "body", "The personalisation cannot be read: expected '}}'"),
        ({"title": "{{ x | shout }}"}, "title", "There is no filter “shout”"),
        ({"image_url": "http://x.test/a.png"}, "image_url", "starts with https://"),
        ({"image_url": "{{ picture"}, "image_url", "cannot be read"),
        ({"deep_link": "offers"}, "deep_link", "Write the whole link"),
        ({"deep_link": "JavaScript:alert(1)"}, "deep_link", "starts with “javascript:” opens no "
        "page"),
        ({"deep_link": "data:text/html,{{ first_name }}"}, "deep_link", "starts with “data:” opens "
        "no page"),
        ({"button_1_text": "Go", "button_1_url": "vbscript:x"}, "button_1_url", "starts with “vbscript:”"),
        ({"channel": "sms"}, "channel", "not one of the available choices"),
        ({"collapse_key": "{{ id }}"}, "collapse_key", "same for everybody"),
        ({"data_lines": "screen"}, "data_lines", "Line 1: write key=value"),
        ({"data_lines": "a=1\na=2"}, "data_lines", "Line 2: “a” appears twice"),
        ({"data_lines": "pp_ref=1"}, "data_lines", "“pp_ref” is reserved"),
        ({"data_lines": "google.x=1"}, "data_lines", "reserved"),
        ({"data_lines": "id={{ external_id }}"}, "data_lines", "is the same for everybody"),
        ({"collapse_key": "ü" * 33}, "collapse_key", "at most 64 bytes"),
        ({"button_1_url": "app://x"}, "button_1_text", "Write the text of the button"),
        ({"button_2_text": "Hi {{ first_name }}"}, "button_2_text", "same for everybody"),
        ({"button_3_text": "Go", "button_3_url": "shop"}, "button_3_url", "Write the whole link"),
        ({"button_1_text": "x" * 31}, "button_1_text", "at most 30"),
        ({"ttl_secs": "77"}, "ttl_secs", "Select a valid choice"),
        ({"icon_url": "http://x.test/i.png"}, "icon_url", "starts with https://"),
        ({"channel": "web_push"}, "deep_link", "Browsers open only links that start with https://"),
        (
            {"channel": "web_push", "deep_link": "", "button_1_text": "Go", "button_1_url": "app://x"},
            "button_1_url", "https://",
        ),
        ({"per_second": "0"}, "per_second", "greater than or equal to 1"),
        ({"per_second": "10001"}, "per_second", "less than or equal to 10000"),
        ({"start_within_mins": "180", "expires_after_mins": "60"}, "expires_after_mins", "may start 3 hours late"),
        ({"start_within_mins": "-5"}, "start_within_mins", "Select a valid choice"),
        ({"ambiguity_policy": "forget"}, "ambiguity_policy", "Select a valid choice"),
        ({"audience": "topic"}, "topic", "Write the name of the topic"),
        ({"audience": "topic", "topic": "/topics/news"}, "topic", "Leave /topics/ out. Write news"),
        ({"audience": "topic", "topic": "two words"}, "topic", "letters, digits"),
        ({"audience": "condition", "condition": "news || sport"}, "condition", "“news || sport” cannot be read"),
        ({"badge": "-1"}, "badge", "greater than or equal to 0"),
        ({"audience": "rule"}, "audience", "Choose an attribute"),
        ({"audience": "rule", "audience_field": "country"}, "audience_value", "Enter the value"),
        (
            {"audience": "rule", "audience_field": "attributes.orders", "audience_op": "gt", "audience_value": "many"},
            "audience", "compares numbers",
        ),
        ({"audience": "rule", "audience_field": "password", "audience_value": "x"}, "audience", "is not a valid field"),
        ({"schedule_type": "scheduled", "scheduled_at": "soon"}, "scheduled_at", "Enter a date and a time"),
        ({"schedule_type": "scheduled", "scheduled_at": "9999-12-31T23:59"}, "scheduled_at", "2000 to 2099"),
        ({"schedule_type": "recurring", "repeat": "weekly"}, "weekdays", "at least one day"),
        (
            {"schedule_type": "recurring", "repeat": "custom", "recurrence_rule": "FREQ=DAILY;INTERVAL=0"},
            "recurrence_rule", "not a valid value for INTERVAL",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_at_its_field(company, fields, field, words):
    errors = refused(company, **fields)
    assert list(errors) == [field], errors
    assert words in errors[field][0]


def test_values_are_read_as_the_attribute_is_mostly_written(company):
    rule = {"audience": "rule", "audience_op": "is"}
    for field, text, value in (
        ("attributes.pin", "411001", "411001"), ("attributes.orders", "3", 3), ("attributes.vip", "yes", True),
        ("country", "in", "IN"), ("attributes.unseen", "7", 7), ("attributes.unseen", "007", "007"),
    ):  # fmt: skip
        campaign = saved(company, **rule, audience_field=field, audience_value=text)
        assert campaign.audience_rule["value"] == value, field
        assert type(campaign.audience_rule["value"]) is type(value)


def test_a_nested_rule_from_elsewhere_survives_the_form(company):
    nested = {
        "any": [
            {"field": "country", "op": "is", "value": "IN"},
            {"field": "country", "op": "is", "value": "DE"},
        ]
    }
    campaign = written(company, audience_rule=nested)
    client = company.client("member")
    assert (
        "People with country IN or country DE"
        in client.get(change(company, campaign)).content.decode()
    )
    client.post(change(company, campaign), {**FORM, "audience": "custom", "_save": "1"})
    with scope(company.workspace):
        campaign.refresh_from_db()
    assert campaign.audience_rule == nested


def test_a_template_starts_a_campaign(company):
    with scope(company.workspace):
        own = Template.objects.create(
            workspace=company.workspace,
            name="Diwali",
            fields={"title": "Lights", "body": "Sale"},
            category="festive",
        )
    form = (
        company.client("member")
        .get(company.url(ADD) + f"?template={own.pk}")
        .context["adminform"]
        .form
    )
    assert (form.message["title"].value(), form["template_used"].value()) == ("Lights", own.pk)
    assert saved(company, template_used=own.pk).template_id == own.pk


def test_another_workspace_s_template_is_neither_used_nor_listed(company):
    with scope(company.other_workspace):
        foreign = Template.objects.create(
            workspace=company.other_workspace,
            name="Secret",
            fields={"title": "s", "body": "s"},
            category="news",
        )
    client = company.client("member")
    form = client.get(company.url(ADD) + f"?template={foreign.pk}").context["adminform"].form
    assert form.message["title"].value() == ""
    assert saved(company, template_used=foreign.pk).template_id is None
    listed = client.get(company.url("campaigns/campaign/templates/?q=secret")).json()
    assert listed == {"templates": []}


def test_the_audience_is_counted_while_typing(company):
    assert live(company, "audience").json() == {
        "words": "10 people match · 7 devices reachable", "people": 10, "devices": 7, "sentence": "Everyone",
        "notes": {},
    }  # fmt: skip
    rule = {"audience": "rule", "audience_field": "attributes.orders", "audience_op": "gt"}
    answer = live(company, "audience", **rule, audience_value="8").json()
    assert answer["words"] == "1 person matches · 0 devices reachable"
    assert (
        "compares numbers" in live(company, "audience", **rule, audience_value="x").json()["error"]
    )
    # other fields may be wrong
    assert live(company, "audience", name="", title="{{ oops").json()["people"] == 10


def test_the_builders_refuse_in_sentences():
    with pytest.raises(RecurrenceError, match="at least one day"):
        builders.build_recurrence("weekly", 1, [], 1, "")
    with pytest.raises(RuleError, match="whose name is a number"):
        builders.build_rule("attributes.2024", "is", "x")
    assert builders.build_rule("attributes.n", "in", "1, 2,x", "number")["value"] == [1, 2, "x"]
    assert builders.build_rule("attributes.n", "gt", "1,200")["value"] == 1200


def test_everything_that_a_person_writes_takes_the_direction_of_its_language(cast):
    client = cast.client("admin")
    for path in (
        "campaigns/campaign/add/",
        "campaigns/template/add/",
        f"tenants/workspace/{cast.workspace.pk}/change/",
    ):
        page = client.get(cast.url(path)).content.decode()
        inputs = re.findall(r'<textarea\b[^>]*|<input\b[^>]*type="text"[^>]*', page)
        assert len(inputs) >= 2
        assert [tag for tag in inputs if 'dir="auto"' not in tag and " disabled" not in tag] == []
