"""The run page of a series: a send is skipped, moved or stopped; and runs that never began."""

from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.utils import timezone

from campaigns import plan
from campaigns.admin.campaign import review
from campaigns.models import Campaign, Run
from delivery.engine import pipeline
from tenants.scope import scope
from tests.story import add_people, run_to_the_end

WEEK = timedelta(days=7)


@pytest.fixture
def weekly(cast, connected, launched):
    add_people(cast.workspace, 3)
    start = (timezone.now() + timedelta(days=2)).replace(microsecond=0)
    return launched(schedule_type="recurring", scheduled_at=start, recurrence_rule="FREQ=WEEKLY")


def page(cast, run, who="member"):
    return cast.client(who).get(cast.url(f"campaigns/run/{run.pk}/change/"))


def press(cast, run, verb, who="member", **given):
    answer = cast.client(who).post(cast.url(f"campaigns/run/{run.pk}/{verb}/"), given)
    assert answer.status_code == 302
    return [str(message) for message in get_messages(answer.wsgi_request)]


def planned(cast):
    with scope(cast.workspace):
        return list(Run.objects.filter(state="planned").values_list("intended_at", flat=True))


def test_a_planned_send_of_a_series_offers_everything_but_cancel(cast, weekly):
    shown = page(cast, weekly)
    assert shown.context["progress"].can == ["skip", "move", "schedule", "end-series", "rewrite"]
    assert len(shown.context["coming"]) == 3
    assert page(cast, weekly, "viewer").context["progress"].can == []


def test_skip_says_when_the_next_one_goes_out(cast, weekly):
    [words] = press(cast, weekly, "skip")
    following = weekly.intended_at + WEEK
    assert planned(cast) == [following]
    assert f"{following.astimezone(cast.workspace.zone):%H:%M}" in words
    [again] = press(cast, weekly, "skip")
    assert (planned(cast), "at the same moment" in again) == ([following], True)


def test_a_send_moves_on_the_clock_of_its_campaign(cast, weekly):
    to = weekly.intended_at + timedelta(hours=2)
    press(cast, weekly, "move", to=f"{to.astimezone(cast.workspace.zone):%Y-%m-%dT%H:%M}")
    assert planned(cast) == [to.replace(second=0)]


@pytest.mark.parametrize(
    "to", ["", "soon", "2001-01-01T10:00", "2098-01-01T10:00", "9999-12-31T23:59"]
)
def test_a_time_that_cannot_be_is_refused_with_a_sentence_and_nothing_moves(cast, weekly, to):
    [words] = press(cast, weekly, "move", to=to)
    assert words
    assert planned(cast) == [weekly.intended_at]


@pytest.mark.parametrize(("at_once", "state"), [("0", "preparing"), ("1", "cancelled")])
def test_the_end_of_a_series_lets_the_send_under_way_go_on_or_stops_it(
    cast, weekly, at_once, state
):
    with scope(cast.workspace):
        pipeline.launch(weekly, weekly.intended_at)
    assert "end-series" in page(cast, weekly).context["progress"].can
    press(cast, weekly, "end-series", at_once=at_once)
    with scope(cast.workspace):
        weekly.refresh_from_db()
    assert (weekly.state, planned(cast)) == (state, [])
    assert "end-series" not in page(cast, weekly).context["progress"].can


def test_stopping_a_send_of_a_series_says_that_the_series_goes_on(cast, weekly):
    with scope(cast.workspace):
        pipeline.launch(weekly, weekly.intended_at)
    shown = page(cast, weekly)
    assert len(shown.context["coming"]) == 3
    press(cast, weekly, "cancel")
    assert planned(cast) == [weekly.intended_at + WEEK]


def test_a_series_whose_send_was_stopped_goes_out_next_time_to_everybody_once(
    cast, connected, sandbox, weekly
):
    with scope(cast.workspace):
        pipeline.launch(weekly, weekly.intended_at)
        plan.cancel(Run.objects.get(pk=weekly.pk), by=cast.owner)
        Run.objects.filter(state="planned").update(intended_at=timezone.now())
        following = Run.objects.get(state="planned")
    assert run_to_the_end(following).tally == {"accepted": 3}
    with scope(cast.workspace):
        assert Campaign.objects.get().status == Campaign.Status.SCHEDULED


# --- what never began -----------------------------------------------------------------------------
@pytest.fixture
def undone(cast, connected, launched):
    add_people(cast.workspace, 3)
    run = launched(schedule_type="scheduled", scheduled_at=timezone.now() + timedelta(days=2))
    with scope(cast.workspace):
        plan.cancel(run, by=cast.owner)
    pipeline.tick(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
    assert run.finished_at is not None
    return run


def test_a_cancelled_run_that_never_began_has_no_account(cast, undone):
    shown = page(cast, undone)
    assert (undone.audience_size, shown.context["progress"].account) == (None, None)
    assert shown.context["data"]["equation"] == ""
    recipients = cast.client("member").get(cast.url(f"campaigns/run/{undone.pk}/recipients/"))
    assert (recipients.status_code, recipients.context["total"]) == (200, "")


def test_the_lists_show_no_zeros_for_a_run_that_never_began(cast, undone):
    with scope(cast.workspace):
        Run.objects.filter(pk=undone.pk).update(audience_size=0)  # as an older version closed it
        campaign = Campaign.objects.get()
        [row] = review.runs_of(campaign)
    assert {row[name] for name in ("audience", "accepted", "failed", "unknown")} == {"—"}
    admin = cast.client("member").get(cast.url("campaigns/run/")).context["cl"].model_admin
    with scope(cast.workspace):
        undone = Run.objects.select_related("workspace").get(pk=undone.pk)
    assert [
        getattr(admin, name)(undone) for name in ("audience", "accepted", "failed", "unknown")
    ] == [None] * 4


def test_a_run_cancelled_while_its_audience_was_fixed_counts_nothing_before_it_is_closed(
    cast, connected, launched
):
    add_people(cast.workspace, 3)
    run = launched()
    with scope(cast.workspace):
        pipeline.launch(run, timezone.now())
        plan.cancel(Run.objects.get(pk=run.pk), by=cast.owner)
    assert page(cast, run).context["progress"].account is None
    pipeline.tick(timezone.now())
    assert page(cast, run).context["progress"].account.audience == 0
