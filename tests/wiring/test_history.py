"""The demo's past: believable, balanced, the same every time, and marked."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from io import StringIO

import pytest
from django.db.models import F
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Consent, Contact, Endpoint, Run
from delivery.admin.run import page
from delivery.engine import pipeline, record
from delivery.models import Message, Shard
from pushpilot.demo import Demo, make_demo, read_story, write_campaigns
from pushpilot.history import DAYS, DESCRIPTION, MARK, add_history
from pushpilot.management.commands import demo as demo_command
from reports import dashboard, queries
from reports.models import Event, InboxBatch
from reports.verify import verify_rollups
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.story import add_people

TOKENS = ["sbx_unregistered_a", "sbx_mismatch_b", *(f"sbx_ok_{n}" for n in range(58))]


@pytest.fixture
def stories() -> list[dict]:
    """The demo's own, for an audience that every one of them reaches."""
    return [
        {**story, "audience_rule": {}, "channel": "app_push"} for story in read_story()["history"]
    ]


@pytest.fixture
def past(cast, connected, stories, monkeypatch):
    monkeypatch.setattr(pipeline, "SHARD_LEAST", 20)
    add_people(cast.workspace, len(TOKENS), tokens=TOKENS)
    sends = add_history(cast.workspace, connected, stories, by=cast.owner)
    assert sends == len([run for run in runs(cast) if run.started_at])
    return cast


def runs(cast) -> list[Run]:
    with scope(cast.workspace):
        return list(Run.objects.select_related("campaign", "workspace").order_by("intended_at"))


def test_every_account_balances_and_lies_in_the_past(past):
    ended = [run for run in runs(past) if run.started_at]
    assert {run.state for run in ended} == {"completed", "cancelled"}
    with scope(past.workspace):
        for run in ended:
            assert (
                sum(record.tally(run).values())
                == sum(run.tally.values())
                == run.audience_size
                == len(TOKENS)
            )
            assert record.tally(run) == run.tally
            in_shards = record.add(
                {}, *Shard.objects.filter(run=run).values_list("tally", flat=True)
            )
            assert (
                sum(in_shards.values()) == Message.objects.filter(run=run, attempts__gt=0).count()
            )
            assert run.intended_at == run.started_at < run.finished_at < timezone.now()
        assert {run.campaign.status for run in ended} == {"completed", "cancelled", "scheduled"}
    assert max(run.intended_at for run in ended) - min(
        run.intended_at for run in ended
    ) > timedelta(days=21)
    assert any(run.count(Reason.CANCELLED) for run in ended)


def test_the_roll_ups_are_those_of_the_events(past):
    assert verify_rollups(past.workspace) == []
    with scope(past.workspace):
        assert not InboxBatch.objects.exists()
        kinds = Counter(Event.objects.values_list("type", flat=True))
        assert kinds["delivered"] > kinds["opened"] > kinds["clicked"] > 0
        for event in Event.objects.all():
            run = Run.objects.get(pk=event.run_id)
            assert run.started_at < event.occurred_at <= timezone.now()
            assert event.metadata["source"] == "demo history"


def test_no_text_of_the_past_was_edited_on_its_way(past):
    assert [
        run.campaign.name for run in runs(past) if run.started_at and page.was_edited(run)
    ] == []


def test_contacts_devices_and_opt_outs_are_older_than_the_past(db):
    demo = make_demo()
    first_send = timezone.now() - timedelta(days=DAYS)
    with scope(demo.workspace):
        assert not Contact.objects.filter(created_at__gte=first_send).exists()
        assert not Endpoint.objects.filter(created_at__gte=first_send).exists()
        assert not Endpoint.objects.filter(last_seen_at__isnull=True).exists()
        assert not Endpoint.objects.filter(last_seen_at__lt=F("created_at")).exists()
        assert not Consent.objects.filter(at__gte=first_send).exists()
        removed = Endpoint.objects.filter(value__startswith="sbx_unregistered_")
        assert removed.exists()
        assert not removed.filter(last_seen_at__gte=first_send).exists()


def test_all_of_it_is_marked_as_demo_data(past):
    with scope(past.workspace):
        assert all(name.endswith(MARK) for name in Campaign.objects.values_list("name", flat=True))
        assert set(Campaign.objects.values_list("description", flat=True)) == {DESCRIPTION}
        assert AuditEntry.objects.filter(action="demo history added").count() == 1


def test_making_the_demo_again_adds_nothing(past, connected, stories):
    with scope(past.workspace):
        before = (Run.objects.count(), Event.objects.count())
        assert add_history(past.workspace, connected, stories, by=past.owner) == 0
        assert (Run.objects.count(), Event.objects.count()) == before


def test_the_list_of_campaigns_begins_with_what_the_demo_sends_and_not_with_the_past(
    cast, connected, stories, monkeypatch
):
    monkeypatch.setattr(demo_command, "connect_sandbox", lambda *args, **kwargs: connected)
    add_people(cast.workspace, len(TOKENS), tokens=TOKENS)
    demo = Demo(cast.workspace, cast.owner, {**read_story(), "history": stories})
    campaign = demo_command.Command(stdout=StringIO()).write(demo)
    assert campaign == write_campaigns(demo), "making the demo again writes no other"
    listed = cast.client("viewer").get(cast.url("campaigns/campaign/")).context["cl"].result_list
    names = [campaign.name for campaign in listed]
    assert names[0] == campaign.name == demo.story["campaign"]["name"]
    assert {draft["name"] for draft in demo.story["drafts"]} == set(
        names[1 : len(demo.story["drafts"]) + 1]
    )


def test_a_device_that_was_removed_is_retired_and_not_sent_to_again(past):
    with scope(past.workspace):
        gone = Endpoint.objects.get(value="sbx_unregistered_a")
        later = [run.tally for run in runs(past) if run.started_at]
    assert not gone.is_active
    assert Counter(key for tally in later for key in tally)["endpoint_gone"] == 1


def test_the_dashboard_of_the_demo_looks_alive(past):
    page = past.client("viewer").get(past.url()).context["dashboard"]
    assert len(page["recent"]) == dashboard.RECENT
    assert page["next_up"], "the series goes on"
    since = timezone.now() - timedelta(days=dashboard.DAYS)
    with scope(past.workspace):
        sent = queries.sent_by_day(past.workspace, queries.runs_since(past.workspace, since))
    assert len(+sent) >= 6
