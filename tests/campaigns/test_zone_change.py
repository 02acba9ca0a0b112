"""Another time zone of the workspace: a series keeps its clock, or moves once, as somebody
chose."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from campaigns import plan
from campaigns.models import Campaign, Run
from delivery.engine import pipeline
from tenants.models import AuditEntry, Workspace
from tenants.scope import scope
from tenants.workspaces import change_settings, planned_sends
from tests.campaigns.console import change, review, saved, written

CASES = json.loads(Path(__file__).with_name("zone-change.json").read_text())
NY, KOLKATA = "America/New_York", "Asia/Kolkata"
MONDAY_9 = datetime(2026, 12, 7, 3, 30, tzinfo=UTC)  # in Kolkata
BEFORE = MONDAY_9 - timedelta(days=3)
WEEKLY = {"schedule_type": "recurring", "recurrence_rule": "FREQ=WEEKLY;BYDAY=MO"}


def planned(cast, **fields) -> Run:
    campaign = written(cast, **{"scheduled_at": MONDAY_9, **WEEKLY, **fields})
    with scope(cast.workspace):
        return plan.schedule(campaign, by=cast.member, now=BEFORE)


def launched(cast, run: Run) -> Run:
    """The next occurrence, once this one has started."""
    with scope(cast.workspace):
        run = Run.objects.select_related("campaign", "workspace").get(pk=run.pk)
        pipeline.launch(run, run.intended_at)
        Run.objects.filter(pk=run.pk).update(state="completed", finished_at=run.intended_at)
        return Run.objects.get(campaign=run.campaign_id, state="planned")


def to_zone(cast, zone: str, moved=()) -> None:
    with scope(cast.workspace):
        change_settings(
            Workspace.objects.get(pk=cast.workspace.pk),
            {"time_zone": zone},
            by=cast.owner,
            moved=moved,
        )


@pytest.fixture(autouse=True)
def _on_that_day(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: BEFORE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_series_goes_on_at_the_moments_that_were_shown(company, case):
    zone = ZoneInfo(case["zone_was"])
    start = datetime.fromisoformat(case["start_wall"]).replace(tzinfo=zone)
    run = planned(company, scheduled_at=start, recurrence_rule=case["rule"])
    assert run.intended_at == datetime.fromisoformat(case["first_sent_utc"])
    to_zone(company, case["zone_is"])
    following = launched(company, run)
    step = {
        "FREQ=WEEKLY;BYDAY=MO": datetime(2026, 12, 14, 9),
        "FREQ=MONTHLY;BYMONTHDAY=1": datetime(2027, 2, 1, 9),
    }
    assert following.intended_at == step[case["rule"]].replace(tzinfo=zone)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_series_that_moves_is_planned_once_on_the_new_clock(company, case):
    zone = ZoneInfo(case["zone_was"])
    start = datetime.fromisoformat(case["start_wall"]).replace(tzinfo=zone)
    run = planned(company, scheduled_at=start, recurrence_rule=case["rule"])
    following = launched(company, run)
    to_zone(company, case["zone_is"], moved=None)
    with scope(company.workspace):
        [moved] = Run.objects.filter(state="planned")
        entry = AuditEntry.objects.get(action="campaign moved to another time zone")
    wall = following.intended_at.astimezone(zone).replace(tzinfo=ZoneInfo(case["zone_is"]))
    assert (moved.pk, moved.intended_at, moved.epoch) == (following.pk, wall, following.epoch + 1)
    assert moved.not_after == wall + timedelta(hours=1)
    assert entry.changes["time_zone"] == [case["zone_was"], case["zone_is"]]
    after = launched(company, moved).intended_at
    assert after.astimezone(ZoneInfo(case["zone_is"])).hour == 9
    assert timedelta(days=6) < after - moved.intended_at < timedelta(days=32)


def test_a_single_send_keeps_its_moment_or_moves_with_the_zone(company):
    stays, moves = (
        planned(company, schedule_type="scheduled"),
        planned(company, schedule_type="scheduled", name="B"),
    )
    to_zone(company, NY, moved=[moves.campaign_id])
    with scope(company.workspace):
        stays.refresh_from_db()
        moves.refresh_from_db()
        campaign = Campaign.objects.get(pk=moves.campaign_id)
    assert stays.intended_at == MONDAY_9
    assert moves.intended_at == datetime(2026, 12, 7, 14, tzinfo=UTC) == campaign.scheduled_at


def test_a_send_whose_time_has_passed_on_the_new_clock_stays_and_the_next_one_moves(
    company, monkeypatch
):
    with scope(company.workspace):
        Workspace.objects.update(time_zone=NY)
        company.workspace.refresh_from_db()
    at = datetime(2026, 12, 7, 14, tzinfo=UTC)
    run = planned(company, scheduled_at=at)
    monkeypatch.setattr("django.utils.timezone.now", lambda: at - timedelta(hours=5))
    to_zone(company, KOLKATA, moved=None)
    with scope(company.workspace):
        run.refresh_from_db()
        assert run.intended_at == at
    assert launched(company, run).intended_at == datetime(2026, 12, 14, 3, 30, tzinfo=UTC)


def test_the_end_of_a_series_moves_with_its_clock(company):
    run = planned(company, recurrence_rule="FREQ=WEEKLY;BYDAY=MO;UNTIL=20261214T033000Z")
    to_zone(company, NY, moved=None)
    with scope(company.workspace):
        run.refresh_from_db()
    assert launched(company, run).intended_at == datetime(2026, 12, 14, 14, tzinfo=UTC)


def settings_of(cast) -> str:
    return cast.url(f"tenants/workspace/{cast.workspace.pk}/change/")


def test_whoever_changes_the_zone_is_asked_about_each_send_first(company):
    series, single = planned(company), planned(company, schedule_type="scheduled", name="Once")
    client = company.client("admin")
    form = {
        "name": "Renamed",
        "slug": company.workspace.slug,
        "time_zone": NY,
        "default_language": "en",
    }
    asked = client.post(settings_of(company), form)
    workspace = Workspace.objects.get(pk=company.workspace.pk)
    assert (workspace.name, workspace.time_zone) == ("Renamed", KOLKATA)
    with scope(company.workspace):
        assert AuditEntry.objects.get(action="workspace changed").changes.keys() == {"name"}
    page = client.get(asked["Location"])
    told = {send.pk: send for send in page.context["sends"]}
    assert told.keys() == {series.campaign_id, single.campaign_id}
    assert "Mon 7 Dec, 09:00 IST = Sun 6 Dec, 22:30 EST" in told[series.campaign_id].stays
    assert told[single.campaign_id].moves == "Mon 7 Dec, 09:00 EST"
    answer = {
        "to": NY,
        "all": "each",
        f"send-{series.campaign_id}": "keep",
        f"send-{single.campaign_id}": "move",
    }
    assert client.post(asked["Location"], answer).status_code == 302
    with scope(company.workspace):
        moments = {run.pk: run.intended_at for run in Run.objects.all()}
    assert moments == {series.pk: MONDAY_9, single.pk: datetime(2026, 12, 7, 14, tzinfo=UTC)}
    assert Workspace.objects.get(pk=company.workspace.pk).time_zone == NY


@pytest.mark.parametrize(("answer", "hour"), [({"all": "move"}, 14), ({"all": "keep"}, 3), ({}, 3)])
def test_one_answer_may_do_for_all_and_the_default_keeps_the_promise(company, answer, hour):
    run = planned(company)
    asked = company.url("tenants/workspace/time-zone/")
    assert company.client("admin").post(asked, {"to": NY, **answer}).status_code == 302
    with scope(company.workspace):
        run.refresh_from_db()
    assert run.intended_at.hour == hour


def test_nobody_is_asked_where_nothing_is_planned_or_a_zone_is_none(company):
    written(company, scheduled_at=MONDAY_9, **WEEKLY)
    client = company.client("admin")
    form = {"name": "B", "slug": company.workspace.slug, "time_zone": NY, "default_language": "en"}
    client.post(settings_of(company), form)
    assert Workspace.objects.get(pk=company.workspace.pk).time_zone == NY
    assert (
        client.get(company.url("tenants/workspace/time-zone/?to=Mars/Olympus")).status_code == 302
    )
    assert (
        company.client("member")
        .get(company.url(f"tenants/workspace/time-zone/?to={KOLKATA}"))
        .status_code
        == 403
    )


def test_a_draft_keeps_the_clock_that_its_page_showed(company):
    campaign = saved(
        company, schedule_type="recurring", scheduled_at="2026-12-07T09:00", repeat="daily"
    )
    to_zone(company, NY)
    client = company.client("member")
    page = client.get(change(company, campaign))
    form = page.context["adminform"].form.schedule
    assert (form["scheduled_at"].value(), form["time_zone"].value()) == (
        "2026-12-07T09:00",
        KOLKATA,
    )
    assert [value for value, _ in form.fields["time_zone"].choices] == [KOLKATA, NY]
    assert page.context["zone_name"] == KOLKATA
    assert "Mon 7 Dec, 09:00 IST" in client.get(review(company, campaign)).context["next_dates"][0]
    with scope(company.workspace):
        run = plan.schedule(Campaign.objects.get(pk=campaign.pk), by=company.member, now=BEFORE)
    assert run.intended_at == MONDAY_9


def test_another_zone_can_be_chosen_for_a_draft_and_one_that_is_none_is_refused(company):
    campaign = saved(
        company, schedule_type="scheduled", scheduled_at="2026-12-07T09:00", time_zone=NY
    )
    assert (campaign.time_zone, campaign.scheduled_at) == (
        NY,
        datetime(2026, 12, 7, 14, tzinfo=UTC),
    )


def test_the_question_names_what_is_planned_only(company):
    planned(company, schedule_type="send_now", name="Now", scheduled_at=None)
    run = planned(company)
    with scope(company.workspace):
        assert [send.pk for send in planned_sends(company.workspace, NY, BEFORE)] == [
            run.campaign_id
        ]
        assert planned_sends(company.workspace, KOLKATA, BEFORE) == []


@pytest.mark.django_db(transaction=True)
def test_the_migration_keeps_the_clock_of_each_workspace(company):
    before, after = [("campaigns", "0007_addresses_as_text")], [("campaigns", "0008_own_clock")]
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
    # migrations run as the tables' owner
    role = connection.settings_dict["OPTIONS"].pop("assume_role", None)
    connection.close()
    try:
        old = MigrationExecutor(connection).migrate(before).apps.get_model("campaigns", "Campaign")
        rows = [
            old.objects.create(workspace_id=workspace.pk, name="Old", scheduled_at=at).pk
            for workspace in (company.workspace, company.other_workspace)
            for at in (MONDAY_9, None)
        ]
        new = MigrationExecutor(connection).migrate(after).apps.get_model("campaigns", "Campaign")
        kept = list(
            new.objects.filter(pk__in=rows).order_by("pk").values_list("wall_clock", "time_zone")
        )
        assert kept == [
            ("2026-12-07T09:00:00", KOLKATA),
            ("", ""),
            ("2026-12-07T03:30:00", "UTC"),
            ("", ""),
        ]
        back = MigrationExecutor(connection).migrate(before).apps.get_model("campaigns", "Campaign")
        assert set(back.objects.filter(pk__in=rows).values_list("scheduled_at", flat=True)) == {
            MONDAY_9,
            None,
        }
    finally:
        MigrationExecutor(connection).migrate(leaves)
        if role is not None:
            connection.settings_dict["OPTIONS"]["assume_role"] = role
        connection.close()
