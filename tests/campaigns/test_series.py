"""A series: one occurrence is skipped, moved, stopped or missed, and the rhythm goes on until
somebody ends it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.models import Campaign, Revision, Run
from campaigns.plan import CannotPlan
from campaigns.schedule import series
from delivery.engine import pipeline
from tenants.models import AuditEntry, Workspace
from tenants.scope import scope
from tenants.workspaces import change_settings
from tests.campaigns.console import written

FRIDAY = datetime(2026, 12, 4, 3, 30, tzinfo=UTC)  # 09:00 in Kolkata
BEFORE = FRIDAY - timedelta(days=2)
WEEK = timedelta(days=7)
State, Status = Run.State, Campaign.Status


@pytest.fixture(autouse=True)
def _on_that_day(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: BEFORE)


@pytest.fixture
def weekly(company):
    """A campaign of every Friday whose first send is planned, with the scope active."""
    campaign = written(
        company,
        schedule_type="recurring",
        scheduled_at=FRIDAY,
        recurrence_rule="FREQ=WEEKLY;BYDAY=FR",
    )
    with scope(company.workspace):
        company.run = plan.schedule(campaign, by=company.member, now=BEFORE)
        yield company


def fresh(run: Run) -> Run:
    return Run.objects.select_related("workspace", "campaign", "revision").get(pk=run.pk)


def planned() -> list[datetime]:
    return list(
        Run.objects.filter(state="planned")
        .order_by("intended_at")
        .values_list("intended_at", flat=True)
    )


def launch(run: Run, at: datetime | None = None) -> None:
    pipeline.launch(fresh(run), at or fresh(run).intended_at)


def status() -> str:
    return Campaign.objects.get().status


# --- skip -----------------------------------------------------------------------------------------
def test_a_skipped_send_leaves_the_series_going(weekly):
    following = plan.skip(weekly.run, by=weekly.member, now=BEFORE)
    assert following is not None
    assert (planned(), status()) == ([FRIDAY + WEEK], Status.SCHEDULED)
    assert Campaign.objects.get().skip_dates == ["2026-12-04"]
    assert fresh(weekly.run).state == State.CANCELLED
    assert AuditEntry.objects.get(action="campaign send skipped").detail["run"] == weekly.run.pk
    launch(following)
    assert planned() == [FRIDAY + 2 * WEEK]


def test_cancelling_the_next_send_of_a_series_skips_it_and_no_more(weekly):
    assert plan.cancel(weekly.run, by=weekly.member)
    assert (planned(), status()) == ([FRIDAY + WEEK], Status.SCHEDULED)


def test_stopping_the_send_under_way_leaves_the_next_one_planned(weekly):
    launch(weekly.run)
    assert plan.cancel(fresh(weekly.run), by=weekly.member)
    assert (fresh(weekly.run).state, planned(), status()) == (
        State.CANCELLED,
        [FRIDAY + WEEK],
        Status.SCHEDULED,
    )


def test_skipping_the_last_send_ends_the_series(weekly):
    Campaign.objects.update(recurrence_rule="FREQ=WEEKLY;BYDAY=FR;COUNT=2")
    launch(weekly.run)
    Run.objects.filter(pk=weekly.run.pk).update(state=State.COMPLETED, finished_at=FRIDAY)
    [last] = Run.objects.filter(state=State.PLANNED)
    assert plan.skip(fresh(last), by=weekly.member, now=BEFORE) is None
    assert (planned(), status()) == ([], Status.COMPLETED)


def test_skipping_all_of_a_series_that_never_sent_leaves_a_draft(weekly):
    Campaign.objects.update(recurrence_rule="FREQ=WEEKLY;BYDAY=FR;COUNT=1")
    assert plan.skip(fresh(weekly.run), by=weekly.member, now=BEFORE) is None
    assert status() == Status.DRAFT


def test_a_send_that_has_started_or_was_moved_meanwhile_is_not_skipped(weekly):
    stale = fresh(weekly.run)
    series.move(fresh(weekly.run), FRIDAY + timedelta(hours=1), by=weekly.member, now=BEFORE)
    with pytest.raises(CannotPlan):
        plan.skip(stale, by=weekly.member, now=BEFORE)
    launch(weekly.run)
    with pytest.raises(CannotPlan):
        plan.skip(fresh(weekly.run), by=weekly.member, now=BEFORE)
    assert Campaign.objects.get().skip_dates == []


# --- move -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("by", [timedelta(days=-1), timedelta(hours=3), timedelta(days=6)])
def test_a_moved_send_goes_out_once_and_the_rhythm_stays(weekly, by):
    series.move(weekly.run, FRIDAY + by, by=weekly.member, now=BEFORE)
    run = fresh(weekly.run)
    assert (planned(), run.not_after, run.epoch) == (
        [FRIDAY + by],
        FRIDAY + by + timedelta(hours=1),
        1,
    )
    launch(run)
    assert planned() == [FRIDAY + WEEK]
    assert AuditEntry.objects.filter(action="campaign send moved").count() == 1


@pytest.mark.parametrize("to", [BEFORE, FRIDAY + WEEK, FRIDAY + 3 * WEEK])
def test_a_send_moves_neither_into_the_past_nor_past_the_next_one(weekly, to):
    with pytest.raises(CannotPlan):
        series.move(weekly.run, to, by=weekly.member, now=BEFORE)
    assert planned() == [FRIDAY]


def test_a_moved_send_that_is_skipped_takes_its_own_day_out(weekly):
    series.move(weekly.run, FRIDAY + timedelta(days=2), by=weekly.member, now=BEFORE)
    plan.skip(fresh(weekly.run), by=weekly.member, now=BEFORE)
    assert (Campaign.objects.get().skip_dates, planned()) == (["2026-12-04"], [FRIDAY + WEEK])


def test_sending_what_was_missed_plans_no_second_run_for_a_moved_one(weekly):
    run = fresh(weekly.run)
    pipeline.miss(run, FRIDAY + timedelta(hours=2))
    [following] = Run.objects.filter(state=State.PLANNED)
    series.move(
        fresh(following),
        FRIDAY + timedelta(days=8),
        by=weekly.member,
        now=FRIDAY + timedelta(hours=2),
    )
    again = plan.send_missed(fresh(run), by=weekly.member, now=FRIDAY + timedelta(hours=3))
    pipeline.launch(fresh(again), FRIDAY + timedelta(hours=3))
    assert planned() == [FRIDAY + timedelta(days=8)]


@pytest.mark.parametrize("by", [timedelta(hours=3), timedelta(days=-1)])
def test_a_moved_send_moves_with_the_zone_too(weekly, by):
    """Also one that goes out before its own day: that day is not sent to a second time."""
    series.move(weekly.run, FRIDAY + by, by=weekly.member, now=BEFORE)
    zone = {"time_zone": "America/New_York"}
    change_settings(
        Workspace.objects.get(pk=weekly.workspace.pk), zone, by=weekly.owner, moved=None
    )
    assert planned() == [datetime(2026, 12, 4, 14, tzinfo=UTC) + by]
    launch(weekly.run)
    assert planned() == [datetime(2026, 12, 11, 14, tzinfo=UTC)]


def test_a_single_send_moves_without_being_cancelled(weekly):
    Campaign.objects.update(schedule_type="scheduled")
    series.move(fresh(weekly.run), FRIDAY + 3 * WEEK, by=weekly.member, now=BEFORE)
    assert planned() == [FRIDAY + 3 * WEEK] == [Campaign.objects.get().scheduled_at]
    assert status() == Status.SCHEDULED


# --- another schedule -----------------------------------------------------------------------------
def test_another_schedule_replans_the_next_send_once(weekly):
    campaign = Campaign.objects.get()
    campaign.recurrence_rule, campaign.starts = "FREQ=DAILY", datetime(2026, 12, 4, 18)
    series.reschedule(campaign, by=weekly.member, now=BEFORE)
    assert planned() == [datetime(2026, 12, 4, 12, 30, tzinfo=UTC)]
    assert (fresh(weekly.run).epoch, status()) == (1, Status.SCHEDULED)
    assert AuditEntry.objects.get(action="campaign schedule changed").changes["recurrence_rule"] == [
        "FREQ=WEEKLY;BYDAY=FR", "FREQ=DAILY"
    ]  # fmt: skip


def test_another_schedule_of_a_series_under_way_leaves_what_is_being_sent(weekly, monkeypatch):
    launch(weekly.run)
    campaign = Campaign.objects.get()
    campaign.recurrence_rule = "FREQ=WEEKLY;BYDAY=FR,MO"
    series.reschedule(campaign, by=weekly.member, now=FRIDAY)
    assert (fresh(weekly.run).state, planned()) == (State.PREPARING, [FRIDAY + timedelta(days=3)])


def test_a_schedule_without_a_date_changes_nothing(weekly):
    campaign = Campaign.objects.get()
    campaign.recurrence_rule = "FREQ=WEEKLY;BYDAY=FR;UNTIL=20261201T000000Z"
    with pytest.raises(CannotPlan):
        series.reschedule(campaign, by=weekly.member, now=BEFORE)
    assert (planned(), Campaign.objects.get().recurrence_rule) == ([FRIDAY], "FREQ=WEEKLY;BYDAY=FR")


def test_the_schedule_of_a_campaign_that_is_over_is_changed_in_the_editor(weekly):
    series.end(Campaign.objects.get(), by=weekly.member, now=BEFORE, at_once=True)
    with pytest.raises(CannotPlan):
        series.reschedule(Campaign.objects.get(), by=weekly.member, now=BEFORE)


# --- the end --------------------------------------------------------------------------------------
def test_ending_a_series_lets_the_send_under_way_go_on(weekly):
    launch(weekly.run)
    assert series.end(Campaign.objects.get(), by=weekly.member, now=BEFORE, at_once=False)
    assert (fresh(weekly.run).state, planned(), status()) == (State.PREPARING, [], Status.RUNNING)
    pipeline._fail(fresh(weekly.run), "gone", FRIDAY)
    assert planned() == []


def test_ending_a_series_at_once_stops_what_is_under_way(weekly):
    launch(weekly.run)
    assert series.end(Campaign.objects.get(), by=weekly.member, now=BEFORE, at_once=True)
    assert (fresh(weekly.run).state, planned(), status()) == (State.CANCELLED, [], Status.CANCELLED)
    assert not series.end(Campaign.objects.get(), by=weekly.member, now=BEFORE, at_once=True)
    assert AuditEntry.objects.filter(action="series ended").count() == 1


def test_a_series_that_ended_before_its_first_send_is_a_draft_and_can_start_again(weekly):
    assert series.end(Campaign.objects.get(), by=weekly.member, now=BEFORE, at_once=False)
    assert status() == Status.DRAFT
    run = plan.schedule(Campaign.objects.get(), by=weekly.member, now=BEFORE)
    launch(run)
    assert planned() == [FRIDAY + WEEK]


def test_what_a_person_did_reaches_a_launch_that_read_the_campaign_before(weekly):
    stale = fresh(weekly.run)
    launch(weekly.run)
    [following] = Run.objects.filter(state=State.PLANNED)
    plan.skip(fresh(following), by=weekly.member, now=BEFORE)
    Run.objects.filter(state=State.PLANNED).delete()
    again = plan.plan_next(stale, BEFORE)
    assert again is not None
    assert again.intended_at == FRIDAY + 2 * WEEK


def test_skip_dates_are_days_on_the_clock_of_the_series(company):
    late = datetime(2026, 12, 4, 20, 30, tzinfo=UTC)  # Saturday 02:00 in Kolkata
    campaign = written(
        company, schedule_type="recurring", scheduled_at=late, recurrence_rule="FREQ=DAILY",
        skip_dates=["2026-12-05", "2026-12-06"],
    )  # fmt: skip
    with scope(company.workspace):
        run = plan.schedule(campaign, by=company.member, now=BEFORE)
    assert run.intended_at == late + timedelta(days=2)


def test_a_change_of_the_text_reaches_the_next_send(weekly):
    campaign = Campaign.objects.get()
    campaign.contents.update(fields={"title": "Changed"})
    plan.revise(fresh(weekly.run), by=weekly.member)
    assert fresh(weekly.run).revision.contents[0]["title"] == "Changed"
    launch(weekly.run)
    [following] = Run.objects.filter(state=State.PLANNED)
    assert Revision.objects.get(pk=following.revision_id).contents[0]["title"] == "Changed"
    assert timezone.now() == BEFORE
