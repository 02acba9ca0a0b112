"""What lint says before a send: errors stop it, warnings name the field that cures them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.channels.push import schema
from campaigns.channels.push.channel import AppPush
from campaigns.content.lint import ERROR, NOTE, WARNING, Finding, lint, lint_message
from campaigns.models import Campaign, Consent, Contact, Content, Endpoint
from pushpilot.lib.signing import sample_reference
from tenants.models import Connection
from tenants.scope import scope
from tests.story import add_people, content_of, write_campaign

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
NEVER = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"
FEW_ORDERS = {"field": "attributes.orders", "op": "lt", "value": 3}


@pytest.fixture
def company(inside):
    """A workspace with a connection and ten people with phones; three have no first name."""
    Connection.objects.create(
        workspace=inside.workspace, name="Sandbox", provider="fcm_sandbox", is_active=True
    )
    contacts = [
        Contact(
            workspace=inside.workspace, external_id=f"u{n}", country="IN",
            attributes={"orders": n} | ({"first_name": "Asha"} if n > 2 else {"first_name": ["", None, ""][n]}),
        )
        for n in range(10)
    ]  # fmt: skip
    Contact.objects.bulk_create(contacts)
    Endpoint.objects.bulk_create(
        Endpoint(workspace=inside.workspace, contact=contact, value=contact.external_id)
        for contact in contacts
    )
    return inside


def campaign(cast, **fields: Any) -> Campaign:
    content = content_of({"title": "Sale", "body": "Today"}, fields.pop("content", {}))
    made = Campaign.objects.create(workspace=cast.workspace, name="Sale", **fields)
    Content.objects.create(workspace=cast.workspace, campaign=made, **content)
    return made


def found(cast, **fields: Any) -> list[Finding]:
    return lint(campaign(cast, **fields), NOW)


def test_a_finished_campaign_has_no_findings(company):
    assert found(company) == []


def test_errors_come_before_warnings(company):
    both = found(company, content={"title": "Hi {{ first_name }}", "body": "{{ oops"})
    assert [finding.severity for finding in both] == [ERROR, WARNING]


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"channel": "sms"}, "channel", "no channel “sms”"),
        ({"content": {"title": "", "body": ""}}, "title", "The message is empty"),
        ({"content": {"body": "Hi {{ name"}}, "body", "cannot be read"),
        ({"content": {"body": "ü" * 1000, "options": {"data": {"k": "x" * 2100}}}}, "body", "takes at most 4,096 bytes. Shorten"),
        ({"channel": "web_push", "content": {"deep_link": "shop://sale"}}, "deep_link", "https://"),
        ({"channel": "web_push", "content": {"deep_link": "{{ link | default: 'x' }}"}}, "deep_link", "https://"),
        ({"content": {"image_url": "http://x.test/a.png"}}, "image_url", "starts with https://"),
        ({"content": {"deep_link": "offers"}}, "deep_link", "Write the whole link"),
        ({"content": {"options": {"ttl_secs": 2419201}}}, "ttl_secs", "from 0 to 2,419,200"),
        ({"content": {"options": {"data": {"google.x": "1"}}}}, "data_lines", "is reserved"),
        ({"content": {"options": {"buttons": [{"text": "a"}] * 4}}}, "button_1_text", "at most 3 buttons"),
        ({"content": {"options": {"buttons": [{"text": "a"}, {"url": "x://y"}]}}}, "button_2_text", "Write the text of"),
        ({"target_kind": "topic", "target": "two words"}, "topic", "letters, digits"),
        ({"target_kind": "condition", "target": "'a' in topics &&"}, "condition", "Check the brackets"),
        ({"target_kind": "topic", "target": "news", "content": {"body": "{{ a | default: 'x' }}"}}, "body", "public"),
        (
            {"target_kind": "topic", "target": "news", "content": {"options": {"data": {"k": "x" * 2000}}}},
            "body", "A broadcast takes at most 2,048",
        ),
        ({"audience_rule": {"field": "country", "op": "is", "value": "DE"}}, "audience", "Nobody matches"),
        ({"audience_rule": {"field": "nope"}}, "audience", "is not a valid field"),
        ({"schedule_type": "scheduled"}, "scheduled_at", "Choose the date"),
        ({"schedule_type": "scheduled", "scheduled_at": NOW}, "scheduled_at", "has passed"),
        ({"schedule_type": "recurring", "recurrence_rule": "FREQ=DAILY"}, "scheduled_at", "Choose the date"),
        (
            {"schedule_type": "recurring", "scheduled_at": NOW, "recurrence_rule": "FREQ=HOURLY"},
            "recurrence_rule", "not a valid value for FREQ",
        ),
        (
            {"schedule_type": "recurring", "scheduled_at": NOW, "recurrence_rule": NEVER},
            "recurrence_rule", "no further date",
        ),
    ],
)  # fmt: skip
def test_what_stops_a_send(company, fields, field, words):
    Endpoint.objects.update(channel=fields.get("channel", "app_push"))
    errors = [finding for finding in found(company, **fields) if finding.severity == ERROR]
    assert [(finding.field, words in finding.text) for finding in errors] == [(field, True)], errors


def test_without_a_connection_or_a_reachable_device_nothing_goes_out(company):
    Connection.objects.update(is_active=False)
    Endpoint.objects.update(opted_in=False)
    assert {finding.field for finding in found(company)} == {"channel", "audience"}


def test_everybody_unsubscribed_is_an_error(company):
    Consent.objects.bulk_create(
        Consent(
            workspace=company.workspace,
            contact=contact,
            channel="app_push",
            status="opted_out",
            source="test",
        )
        for contact in Contact.objects.all()
    )
    assert [finding.text for finding in found(company)] == [
        "Nobody in this audience can be reached on this channel."
    ]


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        (
            "Hi {{ first_name }}",
            {},
            "30.0 % of this audience has no value for first_name, and the text has no default.",
        ),
        (
            "Hi {{ first_name }}",
            {"field": "attributes.orders", "op": "lt", "value": 3},
            "Nobody in this audience has a value for first_name",
        ),
        ("Hi {{ first_name }}", {"not": FEW_ORDERS}, None),
        ("Hi {{ first_name | default: 'you' }}", {}, None),
        ("{% if first_name %}Hi {{ first_name }}{% endif %}", {}, None),
        ("Hi {{ frist_name }}", {}, "Nobody in this audience has a value for frist_name"),
        ("{{ country }}", {}, None),
        ("{{ language }}", {}, "Nobody in this audience has a value for language"),
    ],
)
def test_a_missing_default_is_found_over_the_real_audience(company, text, rule, words):
    warnings = found(company, content={"body": text}, audience_rule=rule)
    assert [finding.severity for finding in warnings] == ([WARNING] if words else [])
    assert not words or words in warnings[0].text
    assert not words or warnings[0].field == "body"


@pytest.mark.parametrize(
    ("content", "field", "words"),
    [
        ({"body": "{{ 1 | divided_by: 0 }}"}, "body", "“Text” cannot be personalised for anybody: "
        "divided_by"),
        ({"title": "{% for i in (1..100000000) %}x{% endfor %}"}, "title", "for anybody: The personalisation uses a value that is longer than"),
        ({"image_url": "https://x.test/{{ 1 | modulo: 0 }}"}, "image_url", "“Image” cannot be personalised"),
        ({"deep_link": "x://{{ 1 | divided_by: 0 }}"}, "deep_link", "“Link” cannot be personalised "
        "for anybody"),
    ],
)  # fmt: skip
def test_a_text_that_can_be_filled_in_for_nobody_stops_a_send(company, content, field, words):
    [finding] = found(company, content=content)
    assert (finding.severity, finding.field) == (ERROR, field)
    assert words in finding.text


@pytest.mark.parametrize(
    ("rule", "text", "words"),
    [
        (
            {},
            "{{ 6 | divided_by: orders }}",
            "for 1 of 5 people tried: divided_by: can't divide by 0.",
        ),
        (FEW_ORDERS, "{{ 6 | divided_by: orders }}", "for 1 of 3 people tried"),
        (
            {"not": FEW_ORDERS},
            "{{ 6 | divided_by: orders }}",
            "for a person without data",
        ),
    ],
)
def test_a_text_that_fails_for_some_is_worth_a_look(company, rule, text, words):
    [finding] = [
        one
        for one in found(company, content={"body": text}, audience_rule=rule)
        if "divided" in one.text
    ]
    assert (finding.severity, finding.field) == (WARNING, "body")
    assert words in finding.text


def test_filling_texts_in_costs_one_query_for_all_of_them(company, django_assert_num_queries):
    words = {
        "title": "{{ 1 | plus: 1 }}",
        "body": "{{ 2 | plus: 1 }}",
        "deep_link": "https://x.test/{{ 1 | plus: 1 }}",
    }
    made = campaign(company, content=words)
    contents = list(made.contents.all())
    with django_assert_num_queries(1):
        assert lint_message(made, contents) == []
    made.target_kind, made.target = "topic", "news"
    with django_assert_num_queries(0):
        assert {finding.field for finding in lint_message(made, contents)} == {
            "title",
            "body",
            "deep_link",
        }


def test_a_column_counts_as_known_where_an_attribute_of_its_name_fills_it(company):
    Contact.objects.filter(external_id__in=["u1", "u2"]).update(attributes={"language": "hi"})
    assert [finding.text for finding in found(company, content={"body": "{{ language }}"})] == [
        "80.0 % of this audience has no value for language, and the text has no default."
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"content": {"body": ""}}, "body"),
        ({"content": {"title": ""}}, "title"),
        ({"content": {"title": "", "body": "", "options": {"silent": True}}}, "data_lines"),
        ({"content": {"body": "x" * 1000, "options": {"data": {"k": "x" * 2750}}}}, "body"),
    ],
)
def test_what_is_worth_a_look(company, fields, field):
    Endpoint.objects.update(channel=fields.get("channel", "app_push"))
    warnings = found(company, **fields)
    assert [(finding.field, finding.severity) for finding in warnings] == [(field, WARNING)]


@pytest.mark.parametrize(("filler", "severity"), [(4096, WARNING), (4097, ERROR)])
def test_the_size_that_is_refused_is_the_size_that_push_services_refuse(company, filler, severity):
    made = campaign(company)
    content = made.contents.get()
    empty = schema.payload_bytes(
        {**content.snapshot(), "message_ref": sample_reference(made.workspace_id)}
    )
    content.fields |= {"data": {"k": "x" * (filler - empty - 1)}}
    [finding] = lint_message(made, [content])
    assert (finding.severity, f"{filler:,}" in finding.text) == (severity, True)


def test_a_message_that_is_too_large_for_some_is_worth_a_look(company):
    Contact.objects.filter(external_id="u3").update(attributes={"note": "x" * 900})
    content = {
        "title": "Hi",
        "body": "{{ note | default: 'hi' }}",
        "options": {"data": {"k": "x" * 3300}},
    }
    [finding] = found(company, content=content)
    assert (finding.severity, finding.field) == (WARNING, "body")
    assert "too large for 1 of 5 people tried: it has up to 4," in finding.text


def test_a_silent_message_with_data_needs_no_text(company):
    assert (
        found(
            company,
            content={"title": "", "body": "", "options": {"silent": True, "data": {"a": "1"}}},
        )
        == []
    )


def test_a_recurring_campaign_may_have_started_in_the_past(company):
    start = NOW - timedelta(days=40)
    assert (
        found(company, schedule_type="recurring", scheduled_at=start, recurrence_rule="FREQ=DAILY")
        == []
    )


def test_a_connection_whose_last_test_failed_stops_the_launch(cast, connected):
    add_people(cast.workspace, 3)
    campaign = write_campaign(cast.workspace)
    with scope(cast.workspace):
        Connection.objects.update(
            check_ok=False, check_message="Google refused the service account."
        )
        [finding] = [found for found in lint(campaign, timezone.now()) if found.field == "channel"]
        with pytest.raises(plan.CannotPlan):
            plan.schedule(campaign, by=cast.owner, now=timezone.now())
    assert finding.severity == ERROR
    assert "Google refused the service account." in finding.text


def test_a_topic_needs_no_audience_here_and_takes_one_language(company):
    Contact.objects.all().delete()
    assert found(company, target_kind="topic", target="news") == []
    both = campaign(company, target_kind="condition", target="'a' in topics || 'b' in topics")
    Content.objects.create(
        workspace=company.workspace,
        campaign=both,
        fields={"title": "सेल", "body": "आज"},
        language="hi",
    )
    [finding] = lint(both, NOW)
    assert (finding.severity, finding.field) == (ERROR, "title")
    assert "one language" in finding.text


def test_a_broadcast_needs_a_channel_that_has_it(company, monkeypatch):
    absent = found(company, channel="carrier_pigeon", target_kind="topic", target="news")
    assert [(finding.field, finding.severity) for finding in absent] == [("channel", ERROR)]
    monkeypatch.setattr(AppPush, "broadcasts", ())
    assert [finding.field for finding in found(company, target_kind="topic", target="news")] == [
        "audience"
    ]


def test_a_second_variant_in_one_language_stops_the_send(company):
    made = campaign(company)
    for language, variant in (("hi", "B"), ("en", "C"), ("en", "B")):
        Content.objects.create(
            workspace=company.workspace,
            campaign=made,
            fields={"title": "T", "body": "B"},
            language=language,
            variant=variant,
        )
    stopped = [finding for finding in lint(made, NOW) if finding.severity == ERROR]
    assert [(finding.field, finding.text.split(" cannot")[0]) for finding in stopped] == [
        ("title", "Variant B in en"), ("title", "Variant C in en"),
    ]  # fmt: skip


def test_what_devices_ignore_is_noted_only_for_the_platforms_of_the_audience(company):
    options = {"badge": 3, "android_channel": "offers"}
    assert found(company, content={"options": options}) == []  # nobody's platform is known
    Endpoint.objects.filter(value="u0").update(platform="ios")
    noted = found(company, content={"options": options})
    assert [(finding.field, finding.severity) for finding in noted] == [("android_channel", NOTE)]
    without = {"field": "attributes.orders", "op": "gt", "value": 0}
    assert found(company, audience_rule=without, content={"options": options}) == []
    Endpoint.objects.update(channel="web_push", platform="web")
    on_the_web = found(
        company,
        channel="web_push",
        content={"options": {**options, "silent": True, "data": {"a": "1"}}},
    )
    assert {finding.field for finding in on_the_web} == {"silent"}


def test_an_option_left_from_another_channel_is_not_noted(company):
    left = {"badge": 3, "sound": "default", "android_channel": "offers", "data_only": True}
    Endpoint.objects.update(channel="web_push", platform="web")
    assert found(company, channel="web_push", content={"options": left}) == []
    Endpoint.objects.update(channel="app_push", platform="ios")
    assert found(company, content={"options": {"icon_url": "https://x.test/i.png"}}) == []
    in_a_topic = found(
        company,
        target_kind="topic",
        target="news",
        content={"options": {"icon_url": "https://x.y/i"}},
    )
    assert {finding.field for finding in in_a_topic} == {"icon_url"}


def test_any_device_of_the_workspace_may_have_subscribed_to_a_topic(company):
    Endpoint.objects.filter(value="u0").update(platform="web", channel="web_push")
    noted = found(company, target_kind="topic", target="news", content={"options": {"badge": 3}})
    assert [finding.text for finding in noted] == ["Browsers show no number."]


@pytest.mark.parametrize(
    ("rule", "warned"), [("FREQ=DAILY;COUNT=1", ["repeat"]), ("FREQ=YEARLY;INTERVAL=6", [])]
)
def test_a_series_that_happens_once_says_so_and_one_with_a_step_of_six_years_goes_on(
    company, rule, warned
):
    start = NOW + timedelta(days=1)
    assert [
        finding.field
        for finding in found(
            company, schedule_type="recurring", scheduled_at=start, recurrence_rule=rule
        )
    ] == warned
