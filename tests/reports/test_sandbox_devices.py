"""The sandbox's phones report what arrived on them, without anybody looking at them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from delivery.providers.base import LogPage, SandboxSilent
from delivery.providers.fcm import sandbox_client
from pushpilot.management.commands.sandbox_devices import Command, Places
from reports import sandbox_devices
from reports.models import Event
from reports.tasks import digest
from reports.verify import verify_rollups
from tenants import keys
from tenants.models import ApiKey, Connection
from tenants.scope import scope
from tests.story import add_people, run_to_the_end, write_campaign


@pytest.fixture(autouse=True)
def _fresh_process():
    sandbox_client._tokens.clear()
    keys.forget_all()


@pytest.fixture
def sent(cast, connected, settings):
    settings.SEND_UNDO = timedelta()
    add_people(cast.workspace, 3)
    campaign = write_campaign(cast.workspace)
    with scope(cast.workspace):
        run = plan.schedule(campaign, by=cast.owner, now=timezone.now())
    return run_to_the_end(run)


def report(connected, after: int = 0) -> LogPage:
    page = sandbox_devices.report(connected, after=after, now=timezone.now())
    digest()
    return page


def test_each_message_that_arrived_is_reported_once_at_the_moment_when_it_arrived(
    cast, connected, sent
):
    page = report(connected)
    report(connected)
    assert len(page.messages) == 3
    with scope(cast.workspace):
        rows = list(Event.objects.values_list("type", "run_id", "occurred_at"))
    assert [row[:2] for row in rows] == [("delivered", sent.pk)] * 3
    arrived = [datetime.fromtimestamp(message.at, UTC).timestamp() for message in page.messages]
    assert sorted(row[2].timestamp() for row in rows) == pytest.approx(sorted(arrived), abs=0.001)
    assert verify_rollups(cast.workspace) == []


def test_what_was_reported_is_not_read_again(connected, sent):
    assert report(connected, after=report(connected).last).messages == []


def test_phones_report_with_one_test_key_and_are_silent_when_it_is_revoked(cast, connected, sent):
    report(connected)
    with scope(cast.workspace):
        key = ApiKey.objects.get(name=sandbox_devices.KEY_NAME)
        assert (key.mode, key.created_by, key.kind) == (ApiKey.Mode.TEST, None, ApiKey.Kind.WRITE)
        before = Event.objects.count()
        keys.revoke([key], by=cast.owner)
        Event.objects.all().delete()
    report(connected)
    with scope(cast.workspace):
        assert (before, Event.objects.count(), ApiKey.objects.count()) == (3, 0, 1)


def test_a_workspace_whose_log_cannot_be_read_keeps_no_other_waiting(
    cast, connected, monkeypatch, tmp_path
):
    with scope(cast.other_workspace):
        other = Connection(
            workspace=cast.other_workspace,
            name="Old sandbox",
            is_active=True,
            settings={"project_id": "old"},
        )
        other.provider = "fcm_sandbox"
        other.save()
    asked = set()

    def silent(connection, **place):
        asked.add(connection.pk)
        raise SandboxSilent("The sandbox does not know this workspace any more.")

    monkeypatch.setattr(sandbox_devices, "report", silent)
    assert not Command().round(Places(tmp_path / "reported.json"), threading.Event())
    assert asked == {connected.pk, other.pk}


def test_a_tap_on_the_wall_reports_the_same_arrival():
    """wall.js: [ref, type].join(":"), cut at 100."""
    assert sandbox_devices.event_id("r" * 20, "delivered") == "r" * 20 + ":delivered"
    assert len(sandbox_devices.event_id("r" * 200, "delivered")) == 100
