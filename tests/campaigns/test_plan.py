"""The verbs of a campaign: each writes rows once, whoever presses first wins, nothing is planned
twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from campaigns import plan
from campaigns.models import Campaign, Contact, Content, Endpoint, Run
from campaigns.plan import CannotPlan
from delivery.engine.statements import is_postgresql
from tenants import audit
from tenants.models import AuditEntry, Connection
from tenants.scope import scope

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
FRIDAY_18 = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)  # in Kolkata


@pytest.fixture
def ready(inside):
    """A campaign that can go out; `inside.campaign`."""
    workspace = inside.workspace
    Connection.objects.create(
        workspace=workspace, name="Sandbox", provider="fcm_sandbox", is_active=True
    )
    contact = Contact.objects.create(workspace=workspace, external_id="u1")
    Endpoint.objects.create(workspace=workspace, contact=contact, value="t1")
    inside.campaign = Campaign.objects.create(workspace=workspace, name="Weekend")
    Content.objects.create(
        workspace=workspace, campaign=inside.campaign, fields={"title": "Sale", "body": "Today"}
    )
    return inside


def schedule(cast, now=NOW) -> Run:
    with audit.origin(audit.Via.CONSOLE, "127.0.0.1"):
        return plan.schedule(cast.campaign, by=cast.member, now=now)


def edit(cast, **fields) -> None:
    for name, value in fields.items():
        setattr(cast.campaign, name, value)
    cast.campaign.save()


def test_a_send_now_waits_for_the_undo_time(ready, settings):
    run = schedule(ready)
    assert run.intended_at == NOW + settings.SEND_UNDO
    assert run.not_after == run.intended_at + timedelta(minutes=60)
    assert run.state == Run.State.PLANNED
    assert (run.planned_by, run.connection.name, run.audience_rule) == (ready.member, "Sandbox", {})
    ready.campaign.refresh_from_db()
    assert ready.campaign.status == Campaign.Status.SCHEDULED
    entry = AuditEntry.objects.get(action="campaign scheduled")
    assert (entry.actor, entry.address, entry.detail["run"]) == (ready.member, "127.0.0.1", run.pk)


def test_a_second_variant_is_not_planned(ready):
    Content.objects.create(
        workspace=ready.workspace,
        campaign=ready.campaign,
        fields={"title": "B", "body": "B"},
        variant="B",
    )
    with pytest.raises(CannotPlan) as refused:
        schedule(ready)
    assert [finding.field for finding in refused.value.findings] == ["title"]
    assert not Run.objects.exists()


def test_a_scheduled_send_keeps_its_time_and_a_series_starts_at_its_next_occurrence(ready):
    edit(ready, schedule_type="scheduled", scheduled_at=FRIDAY_18)
    run = schedule(ready)
    assert run.intended_at == FRIDAY_18
    plan.cancel(run, by=ready.member)
    edit(
        ready, status="draft", schedule_type="recurring", recurrence_rule="FREQ=WEEKLY;BYDAY=MO,FR"
    )
    assert schedule(ready, now=FRIDAY_18).intended_at == FRIDAY_18 + timedelta(days=3)


def test_a_campaign_is_not_scheduled_twice(ready):
    schedule(ready)
    with pytest.raises(CannotPlan, match="cannot be scheduled again"):
        schedule(ready)
    assert Run.objects.count() == 1


def test_lint_s_errors_stop_a_launch_and_nothing_is_written(ready):
    Content.objects.update(fields={"body": "{{ oops"})
    with pytest.raises(CannotPlan) as refused:
        schedule(ready)
    assert [finding.field for finding in refused.value.findings] == ["body"]
    assert not Run.objects.exists()
    assert not AuditEntry.objects.filter(action="campaign scheduled").exists()


def test_an_undone_send_goes_back_to_the_editor_and_may_be_planned_for_the_same_moment_again(ready):
    edit(ready, schedule_type="scheduled", scheduled_at=FRIDAY_18)
    run = schedule(ready)
    assert plan.cancel(run, by=ready.member)
    ready.campaign.refresh_from_db()
    assert ready.campaign.status == Campaign.Status.DRAFT
    again = schedule(ready)
    assert again.intended_at == FRIDAY_18
    assert again.state == Run.State.PLANNED


def test_a_run_that_had_started_keeps_its_moment_for_good(ready):
    edit(ready, schedule_type="scheduled", scheduled_at=FRIDAY_18)
    run = schedule(ready)
    Run.objects.update(state=Run.State.RUNNING, started_at=FRIDAY_18, audience_size=1)
    assert plan.cancel(run, by=ready.member)
    with pytest.raises(CannotPlan, match="already has a send at that time"):
        schedule(ready)
    assert Run.objects.filter(pk=run.pk).exists()


def test_only_one_of_two_buttons_wins(ready):
    run = schedule(ready)
    stale = Run.objects.get(pk=run.pk)
    Run.objects.update(state=Run.State.RUNNING)
    assert plan.pause(run, by=ready.member)
    assert not plan.pause(stale, by=ready.admin)
    assert plan.cancel(stale, by=ready.admin)
    assert not plan.resume(run, by=ready.member)
    assert not plan.cancel(run, by=ready.member)
    ready.campaign.refresh_from_db()
    assert ready.campaign.status == Campaign.Status.CANCELLED


def test_each_change_of_state_makes_a_new_epoch(ready):
    run = schedule(ready)
    Run.objects.update(state=Run.State.RUNNING)
    epochs = [run.epoch]
    for verb in (plan.pause, plan.resume, plan.cancel):
        assert verb(run, by=ready.member)
        epochs.append(run.epoch)
    assert epochs == [0, 1, 2, 3]


def test_sending_right_away_skips_the_undo_time_once(ready):
    run = schedule(ready)
    assert plan.send_right_away(run, by=ready.member, now=NOW)
    run.refresh_from_db()
    assert (run.intended_at, run.not_after) == (NOW, NOW + timedelta(minutes=60))
    Run.objects.update(state=Run.State.PREPARING)
    assert not plan.send_right_away(run, by=ready.member, now=NOW)


def test_the_content_is_pinned_and_the_same_content_is_the_same_revision(ready):
    first = schedule(ready)
    plan.cancel(first, by=ready.member)
    ready.campaign.refresh_from_db()
    second = schedule(ready, now=NOW + timedelta(minutes=5))
    assert second.revision.number == 1
    plan.cancel(second, by=ready.member)
    Content.objects.update(fields={"title": "Bigger sale"})
    ready.campaign.refresh_from_db()
    third = schedule(ready, now=NOW + timedelta(minutes=10))
    assert third.revision.number == 2
    assert third.revision.contents[0]["title"] == "Bigger sale"
    assert second.revision.contents[0]["title"] == "Sale"


def test_the_next_occurrence_follows_the_later_of_run_and_now_and_is_written_once(ready):
    edit(ready, schedule_type="recurring", scheduled_at=FRIDAY_18, recurrence_rule="FREQ=DAILY")
    run = schedule(ready)
    # three days were missed: nothing is sent late by surprise
    late = FRIDAY_18 + timedelta(days=3, hours=1)
    planned = plan.plan_next(run, late)
    assert planned is not None
    assert planned.intended_at == FRIDAY_18 + timedelta(days=4)
    assert plan.plan_next(run, late) is None


def test_a_series_that_is_over_has_no_next_run(ready):
    edit(
        ready,
        schedule_type="recurring",
        scheduled_at=FRIDAY_18,
        recurrence_rule="FREQ=DAILY;COUNT=1",
    )
    assert plan.plan_next(schedule(ready), FRIDAY_18) is None


def test_skipping_the_next_occurrence_leaves_the_campaign_as_the_one_under_way_says(ready):
    edit(ready, schedule_type="recurring", scheduled_at=FRIDAY_18, recurrence_rule="FREQ=DAILY")
    run = schedule(ready)
    following = plan.plan_next(run, FRIDAY_18)
    Run.objects.filter(pk=run.pk).update(state=Run.State.RUNNING, started_at=FRIDAY_18)
    assert plan.cancel(following, by=ready.member)
    ready.campaign.refresh_from_db()
    assert (ready.campaign.status, ready.campaign.is_editable) == (Campaign.Status.RUNNING, False)
    assert plan.cancel(run, by=ready.member)
    ready.campaign.refresh_from_db()
    assert ready.campaign.status == Campaign.Status.SCHEDULED


@pytest.mark.skipif(not is_postgresql(), reason="SQLite has one writer")
@pytest.mark.django_db(transaction=True)
def test_a_cancel_and_the_launch_of_the_next_occurrence_do_not_deadlock(ready):
    edit(ready, schedule_type="recurring", scheduled_at=FRIDAY_18, recurrence_rule="FREQ=DAILY")
    run = schedule(ready)
    following = plan.plan_next(run, FRIDAY_18)

    def cancel() -> bool:
        with closing(connection), scope(ready.workspace):
            return plan.cancel(run, by=ready.member)

    with ThreadPoolExecutor() as pool:
        with transaction.atomic():  # as a launch does it: the run, then its campaign
            Run.objects.filter(pk=following.pk).update(state=Run.State.PREPARING)
            cancelling = pool.submit(cancel)
            while not somebody_waits_for_a_lock():
                time.sleep(0.02)
            Campaign.objects.update(status=Campaign.Status.RUNNING)
        assert cancelling.result(timeout=20)
    following.refresh_from_db()
    assert following.state == Run.State.PREPARING


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity USING (pid) WHERE "
            "NOT granted AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])
