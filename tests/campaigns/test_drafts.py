"""Campaigns written by the verbs: what is kept, what is refused at which path, and what the trail
says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from campaigns import drafts, plan
from campaigns.models import Campaign
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.console import change as address
from tests.campaigns.console import refused, saved, written
from tests.pages import text

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
LATER = datetime(2026, 12, 4, 13, tzinfo=UTC)
TEXT = {"language": "en", "title": "Sale", "body": "Today"}


def create(cast, **given: Any) -> Campaign:
    with scope(cast.workspace):
        given = {"name": "Weekend Blast", **given}
        return drafts.create(cast.workspace, given, by=cast.member, now=NOW)


def change(cast, campaign: Campaign, **given: Any) -> Campaign:
    with scope(cast.workspace):
        return drafts.change(campaign, given, by=cast.admin, now=NOW)


def wrong(cast, **given: Any) -> list[str]:
    """The paths at which a new campaign is refused; nothing is kept then."""
    with pytest.raises(ValidationError) as error:
        create(cast, **given)
    with scope(cast.workspace):
        assert not Campaign.objects.exists()
    return list(error.value.error_dict)


def trail(cast) -> AuditEntry:
    with scope(cast.workspace):
        return AuditEntry.objects.latest("pk")


def test_a_name_is_enough_for_a_draft(cast):
    campaign = create(cast)
    assert (campaign.status, campaign.channel, campaign.schedule_type, campaign.created_by) == (
        "draft",
        "app_push",
        "send_now",
        cast.member,
    )
    assert (trail(cast).action, trail(cast).actor) == ("campaign created", cast.member)


def test_everything_is_kept_in_one_call(cast):
    campaign = create(
        cast,
        description="For the weekend",
        tone="festive",
        contents=[TEXT, {"language": "pt_br", "title": "Oferta", "buttons": [{"text": "Ver"}]}],
        audience_rule={"field": "country", "op": "is", "value": "IN"},
        schedule_type="recurring",
        scheduled_at=LATER,
        recurrence_rule="freq=weekly;byday=fr",
        skip_dates=["2026-12-25", "2026-12-11"],
        per_second=50,
        start_within_mins=90,
        expires_after_mins=120,
    )
    with scope(cast.workspace):
        campaign = Campaign.objects.select_related("workspace").get(pk=campaign.pk)
        contents = [(one.language, one.tone, one.fields) for one in drafts.contents_of(campaign)]
    assert contents == [
        ("en", "festive", {"title": "Sale", "body": "Today"}),
        ("pt-BR", "festive", {"title": "Oferta", "buttons": [{"text": "Ver"}]}),
    ]
    assert (campaign.wall_clock, campaign.time_zone) == ("2026-12-04T18:30:00", "Asia/Kolkata")
    assert campaign.recurrence_rule == "FREQ=WEEKLY;BYDAY=FR"
    assert campaign.skip_dates == ["2026-12-11", "2026-12-25"]
    assert (campaign.per_second, campaign.expires_after_mins) == (50, 120)
    assert campaign.description == "For the weekend"


RULE = {"field": "country", "op": "is", "value": "IN"}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x07"}, "name"),
        ({"description": "x" * 2001}, "description"),
        ({"description": "\ud800"}, "description"),
        ({"channel": "fax"}, "channel"),
        ({"tone": "rude"}, "tone"),
        ({"contents": [{"language": "english!"}]}, "contents.0.language"),
        ({"contents": [TEXT, {**TEXT, "language": "EN"}]}, "contents.1.language"),
        ({"contents": [{"variant": "AB"}]}, "contents.0.variant"),
        ({"contents": [{"tone": "rude"}]}, "contents.0.tone"),
        ({"contents": [TEXT, {"language": "hi", "title": "x" * 121}]}, "contents.1.title"),
        ({"contents": [{"buttons": [{"url": "app://x"}]}]}, "contents.0.buttons.0.text"),
        ({"contents": [TEXT] * 51}, "contents"),
        ({"channel": "web_push", "contents": [{"deep_link": "app://x"}]}, "contents.0.deep_link"),
        ({"audience_rule": {"field": "shoe", "op": "is"}}, "audience_rule"),
        ({"audience_rule": {"field": "country", "op": "is_set", "value": {}}}, "audience_rule"),
        ({"target": "news"}, "target"),
        ({"target_kind": "planet", "target": "x"}, "target_kind"),
        ({"target_kind": "topic", "target": "no blanks"}, "target"),
        ({"target_kind": "topic"}, "target"),
        ({"target_kind": "topic", "target": "news", "audience_rule": RULE}, "audience_rule"),
        ({"schedule_type": "someday"}, "schedule_type"),
        ({"scheduled_at": LATER}, "scheduled_at"),
        ({"schedule_type": "scheduled", "scheduled_at": NOW}, "scheduled_at"),
        ({"schedule_type": "scheduled", "scheduled_at": NOW.replace(year=2100)}, "scheduled_at"),
        ({"time_zone": "Asia/Atlantis"}, "time_zone"),
        ({"schedule_type": "scheduled", "recurrence_rule": "FREQ=DAILY"}, "recurrence_rule"),
        ({"schedule_type": "recurring", "recurrence_rule": "FREQ=HOURLY"}, "recurrence_rule"),
        ({"schedule_type": "recurring", "skip_dates": ["25.12.2026"]}, "skip_dates"),
        ({"per_second": 0}, "per_second"),
        ({"per_second": 10_001}, "per_second"),
        ({"start_within_mins": None}, "start_within_mins"),
        ({"start_within_mins": 120, "expires_after_mins": 60}, "expires_after_mins"),
        ({"ambiguity_policy": "guess"}, "ambiguity_policy"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(cast, given, path):
    assert wrong(cast, **given) == [path]


def test_only_the_named_fields_change_and_the_trail_says_which(cast):
    campaign = create(cast, description="Old", contents=[TEXT, {"language": "hi", "title": "सेल"}])
    changed = change(cast, campaign, description="New", contents=[{**TEXT, "title": "Big sale"}])
    with scope(cast.workspace):
        campaign.refresh_from_db()
        assert [(one.language, one.title) for one in campaign.contents.all()] == [
            ("en", "Big sale")
        ]
    assert (campaign.name, campaign.description, campaign.updated_by) == (
        "Weekend Blast",
        "New",
        cast.admin,
    )
    assert campaign.updated_at == changed.updated_at
    entry = trail(cast)
    assert (entry.action, set(entry.changes)) == ("campaign changed", {"description", "contents"})
    assert entry.changes["description"] == ["Old", "New"]


def test_a_null_empties_a_field(cast):
    campaign = create(
        cast, description="Old", schedule_type="scheduled", scheduled_at=LATER, per_second=5
    )
    changed = change(cast, campaign, description=None, scheduled_at=None, per_second=None)
    assert (changed.description, changed.wall_clock, changed.time_zone, changed.per_second) == (
        "",
        "",
        "",
        None,
    )


def test_a_zone_alone_keeps_the_time_on_the_clock(cast):
    campaign = create(cast, schedule_type="scheduled", scheduled_at=LATER)
    changed = change(cast, campaign, time_zone="Europe/Berlin")
    assert (changed.wall_clock, changed.time_zone) == ("2026-12-04T18:30:00", "Europe/Berlin")


def test_a_campaign_that_is_no_series_any_more_has_no_rule(cast):
    series = {"schedule_type": "recurring", "scheduled_at": LATER, "recurrence_rule": "FREQ=DAILY"}
    campaign = create(cast, **series, skip_dates=["2026-12-25"])
    changed = change(cast, campaign, schedule_type="send_now")
    assert (changed.recurrence_rule, changed.skip_dates) == ("", [])


def test_another_channel_judges_the_contents_that_are_there(cast):
    campaign = create(cast, contents=[{**TEXT, "deep_link": "app://offers"}])
    with pytest.raises(ValidationError) as error:
        change(cast, campaign, channel="web_push")
    assert list(error.value.error_dict) == ["contents.0.deep_link"]
    link = {**TEXT, "deep_link": "https://shop.example/"}
    changed = change(cast, campaign, channel="web_push", contents=[link])
    with scope(cast.workspace):
        assert {one.channel for one in changed.contents.all()} == {"web_push"}


def test_a_broadcast_has_no_rule(cast):
    campaign = create(cast, audience_rule=RULE)
    changed = change(cast, campaign, target_kind="topic", target=" news ")
    assert (changed.target_kind, changed.target, changed.audience_rule) == ("topic", "news", {})
    back = change(cast, changed, target_kind=None)
    assert (back.target_kind, back.target) == ("people", "")


def test_a_campaign_on_its_way_is_not_changed(company):
    campaign = written(company)
    with scope(company.workspace):
        run = plan.schedule(campaign, by=None, now=timezone.now())
    with pytest.raises(drafts.NotEditable, match="Cancel the campaign before you change it"):
        change(company, campaign, name="Other")
    with scope(company.workspace):
        plan.cancel(run, by=None)
    assert change(company, campaign, name="Other").name == "Other"


def test_a_past_start_is_no_obstacle_to_other_changes(cast):
    campaign = create(cast, schedule_type="scheduled", scheduled_at=NOW + timedelta(minutes=1))
    with scope(cast.workspace):
        late = NOW + timedelta(days=1)
        assert drafts.change(campaign, {"name": "Other"}, by=None, now=late).name == "Other"


# --- the description, in the console --------------------------------------------------------------
def test_a_description_is_kept_shown_and_searched(company):
    campaign = saved(company, description="For the weekend\nof Diwali")
    assert campaign.description == "For the weekend\nof Diwali"
    client = company.client("member")
    form = client.get(address(company, campaign)).context["adminform"].form
    assert form["description"].value() == "For the weekend\nof Diwali"
    with scope(company.workspace):
        Campaign.objects.filter(pk=campaign.pk).update(status="completed")
    page = client.get(address(company, campaign)).content.decode()
    assert "For the weekend<br>of Diwali" in page
    found = client.get(company.url("campaigns/campaign/?q=Diwali of the weekend"))
    assert campaign.name in text(found)


def test_a_description_is_no_longer_than_its_column(company):
    assert list(refused(company, description="x" * 2001)) == ["description"]
