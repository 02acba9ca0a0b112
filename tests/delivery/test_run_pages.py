from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection as database
from django.utils import timezone
from django.utils.safestring import mark_safe

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Contact, Run
from delivery.admin import slots
from delivery.admin.run.actions import VERBS
from delivery.engine import leases, pace, pipeline, record
from delivery.engine.record import Result
from delivery.engine.statements import stamp
from delivery.models import Heartbeat, Message, Shard
from tenants.scope import scope
from tests.delivery.run_pages import lines, notices, page, press, progress, said
from tests.story import add_people, run_to_the_end

State = Run.State


@pytest.fixture
def worker(db):
    """A worker that gives signs of life."""
    return Heartbeat.objects.create(worker="here:1", beat_at=timezone.now())


# --- the balanced account -------------------------------------------------------------------------
def test_the_account_sums_to_the_audience_at_every_step_of_a_run(cast, connected, launched, worker):
    add_people(
        cast.workspace,
        40,
        tokens=[f"sbx_{'ok' if i % 4 else 'unregistered'}_{i}" for i in range(40)],
    )
    with scope(cast.workspace):
        Contact.objects.first().endpoints.all().delete()
    run = launched()
    assert progress(cast, run)["audience"] is None
    with scope(cast.workspace):
        pipeline.launch(run, timezone.now())
        run.refresh_from_db()
        assert "of 40 contacts checked" in notices(progress(cast, run))
        pipeline.prepare(run, timezone.now())
    assert lines(progress(cast, run)) == {"no_endpoint": 1, "pending": 39}
    run = run_to_the_end(run)
    ended = progress(cast, run)
    assert lines(ended) == {"accepted": 30, "endpoint_gone": 9, "no_endpoint": 1}
    assert ended["equation"] == "40 = Accepted 30 + Device gone 9 + No device 1"
    assert (ended["is_live"], ended["headline"]) == (False, "Sent to 30 of 40 recipients")


def test_what_is_in_flight_has_its_own_line(cast, prepared, worker):
    run = prepared(30)
    half_way(run, settled=10, flying=5)
    assert lines(progress(cast, run)) == {"accepted": 10, "in_flight": 5, "pending": 15}
    with scope(cast.workspace):
        assert plan.pause(run, by=cast.owner)
    assert lines(progress(cast, run))["in_flight"] == 5, "a pause does not hide what is on its way"
    assert "still records the answers to messages in flight" in notices(progress(cast, run))


def half_way(run, *, settled, flying):
    """A worker that has `settled` answers written and `flying` messages on their way."""
    with scope(run.workspace):
        ids = list(
            Message.objects.filter(run=run)
            .order_by("pk")
            .values_list("pk", flat=True)[: settled + flying]
        )
        lease = leases.claim(timezone.now())
        outcomes = [
            Result(pk, Reason.ACCEPTED, attempted=1, attempted_at=stamp(timezone.now()))
            for pk in ids[:settled]
        ]
        Shard.objects.filter(pk=lease.shard.pk).update(
            window_from=ids[0], window_to=ids[-1], tally=record.results(outcomes, 1)
        )


def test_a_retried_recipient_counts_once(cast, connected, launched, worker):
    add_people(cast.workspace, 2, tokens=["sbx_flaky_1", "sbx_ok_1"])
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    waiting = progress(cast, run)
    assert lines(waiting) == {"accepted": 1, "pending": 1}
    assert "Only retries are left. The next retries are due at" in notices(waiting)
    assert "at most 8 times, until about " in notices(waiting)
    assert "decide about the unknown" not in notices(waiting)
    with scope(cast.workspace):
        Message.objects.filter(reason=Reason.RETRY_SCHEDULED).update(due_at=timezone.now())
        Shard.objects.update(not_before=timezone.now(), state=Shard.State.OPEN)
        leases.claim(timezone.now())
        again = Message.objects.get(reason=Reason.PENDING)
        shard = Shard.objects.get()
        written = record.results([Result(again.pk, Reason.ACCEPTED, attempted=1)], 1)
        Shard.objects.update(tally=record.add(shard.tally, written))
    assert lines(progress(cast, run)) == {"accepted": 2}


def test_a_run_that_failed_half_way_says_why_and_its_account_is_closed(cast, prepared):
    run = prepared(20)
    with scope(cast.workspace):
        pipeline._fail(run, "work: the disk is full", timezone.now())
    pipeline.tick(timezone.now())
    failed = progress(cast, run)
    assert lines(failed) == {"cancelled": 20}
    assert (failed["is_live"], notices(failed)) == (False, "work: the disk is full")


def test_progress_costs_the_same_with_one_shard_and_with_many(
    cast, prepared, worker, django_assert_max_num_queries
):
    run = prepared(30)
    with scope(cast.workspace):
        first = Shard.objects.get()
        Shard.objects.bulk_create(
            Shard(
                workspace=cast.workspace,
                run=run,
                first_id=first.last_id + i,
                last_id=first.last_id + i,
            )
            for i in range(1, 40)
        )
    half_way(run, settled=3, flying=3)
    client = cast.client("owner")
    # session, user, workspace, grants, run, shards, in flight, pace, installation, worker, drill
    with django_assert_max_num_queries(11):
        client.get(cast.url(f"campaigns/run/{run.pk}/progress/"))


# --- why is it not moving? ------------------------------------------------------------------------
def test_without_a_worker_the_page_says_how_to_start_one(cast, prepared):
    run = prepared(3)
    assert (
        "No worker is running. Ask your administrator to start one with `manage.py worker`."
    ) in notices(progress(cast, run))
    Heartbeat.objects.create(worker="gone:1", beat_at=timezone.now() - timedelta(seconds=70))
    assert "No worker is running" in notices(progress(cast, run))
    Heartbeat.objects.create(worker="here:1", beat_at=timezone.now())
    assert notices(progress(cast, run)) == ""


def test_a_pause_says_who_or_why(cast, prepared, worker):
    run = prepared(3)
    press(cast, run, "pause", "member")
    assert "Member Rao (member@biddano.test) paused this send just now." in notices(
        progress(cast, run)
    )
    press(cast, run, "resume")
    with scope(cast.workspace):
        plan.pause_for_cause(run, "THIRD_PARTY_AUTH_ERROR: Auth error from APNS")
    assert ("PushPilot paused this send. THIRD_PARTY_AUTH_ERROR: Auth error from APNS.") in notices(
        progress(cast, run)
    )


def test_a_break_the_provider_asked_for_is_named_with_its_end(cast, connected, prepared, worker):
    run = prepared(3)
    until = timezone.now() + timedelta(minutes=2)
    with scope(cast.workspace):
        pace.close(connected, until, timezone.now(), is_throttled=True)
    local = until.astimezone(cast.workspace.zone)
    assert (f"Sending continues at {local:%H:%M:%S}, at first at half the rate") in notices(
        progress(cast, run)
    )


def test_a_later_run_says_when(cast, connected, launched):
    add_people(cast.workspace, 3)
    run = launched(
        schedule_type=Campaign.Schedule.AT,
        scheduled_at=timezone.now() + timedelta(days=2, minutes=5),
    )
    found = progress(cast, run)
    assert "in 2\xa0days" in notices(found)
    assert "UTC" not in notices(found)
    assert (found["can"], found["undo_until"]) == (["cancel", "move", "rewrite"], None)


def test_a_later_run_is_told_on_the_clock_of_its_campaign_too(cast, connected, launched):
    add_people(cast.workspace, 1)
    run = launched(
        schedule_type=Campaign.Schedule.AT,
        scheduled_at=timezone.now() + timedelta(days=2),
        time_zone="UTC",
    )
    assert f"{run.intended_at:%H:%M} UTC)" in notices(progress(cast, run))


def test_a_missed_run_says_why(cast, launched):
    add_people(cast.workspace, 3)
    run = launched()
    pipeline.tick(timezone.now() + timedelta(hours=2))
    missed = progress(cast, run)
    assert "was not running at the planned time" in notices(missed)
    assert missed["headline"] == "Missed: no message was sent"


def test_lost_encryption_keys_do_not_take_the_page_down(cast, prepared):
    run = prepared(3)
    with scope(cast.workspace), database.cursor() as cursor:
        cursor.execute("UPDATE tenants_connection SET sealed = 'no key decrypts this'")
    assert page(cast, run).status_code == 200
    assert page(cast, run, "progress/").status_code == 200
    assert cast.client("owner").get(cast.url("campaigns/run/")).status_code == 200


def test_lost_encryption_keys_pause_the_run_with_the_reason(cast, prepared, worker):
    run = prepared(3)
    with scope(cast.workspace), database.cursor() as cursor:
        cursor.execute("UPDATE tenants_connection SET sealed = 'no key decrypts this'")
    pipeline.work(timezone.now())
    paused = progress(cast, run)
    assert (paused["state"], lines(paused)) == ("paused", {"pending": 3})
    assert "ENCRYPTION_KEYS" in notices(paused)


# --- buttons --------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", VERBS)
def test_a_viewer_sees_the_run_but_moves_nothing(cast, prepared, verb):
    run = prepared(3)
    assert progress(cast, run, "viewer")["can"] == []
    html = page(cast, run, who="viewer").content.decode()
    assert "data-balance" in html
    assert f"/{verb}/" not in html
    assert press(cast, run, verb, "viewer").status_code == 403
    with scope(cast.workspace):
        run.refresh_from_db()
    assert run.state == State.RUNNING


@pytest.mark.parametrize(
    "tail", ["change/", "progress/", "errors/", "shards/", "recipients/", "recipients.csv"]
)
def test_outsiders_see_nothing_and_strangers_sign_in(cast, prepared, tail):
    run = prepared(3)
    assert page(cast, run, tail, "outsider").status_code == 404
    assert page(cast, run, tail, "anonymous").status_code == 302
    other = f"/w/{cast.other_workspace.slug}/admin/campaigns/run/{run.pk}/{tail}"
    assert cast.client("other_owner").get(other).status_code == 404, (
        "another workspace's run by its number"
    )


def test_an_outsider_cannot_pause_through_their_own_workspace(cast, prepared):
    run = prepared(3)
    url = f"/w/{cast.other_workspace.slug}/admin/campaigns/run/{run.pk}/pause/"
    assert cast.client("other_owner").post(url).status_code == 404
    with scope(cast.workspace):
        run.refresh_from_db()
    assert run.state == State.RUNNING


def test_buttons_are_posts_only(cast, prepared):
    run = prepared(3)
    assert page(cast, run, "pause/").status_code == 405
    assert page(cast, run, "cancel/").status_code == 405


def test_pause_resume_and_cancel_do_what_they_say(cast, prepared, worker):
    run = prepared(5)
    assert "Paused." in said(press(cast, run, "pause", "member"))
    paused = progress(cast, run)
    assert (paused["state"], paused["can"]) == ("paused", ["resume", "cancel", "rewrite"])
    assert paused["headline"] == "Paused with 5 of 5 recipients to go"
    assert "Resumed" in said(press(cast, run, "resume"))
    assert "Cancelled" in said(press(cast, run, "cancel"))
    assert progress(cast, run)["headline"] == "Cancelling: no new message goes out"
    run = run_to_the_end(run)
    assert lines(progress(cast, run)) == {"cancelled": 5}
    assert progress(cast, run)["can"] == []


def test_cancelling_before_the_audience_is_known_counts_nobody(cast, connected, launched, prepared):
    shown = "<span data-no-account >No message was sent, and none will go out.</span>"
    hidden = shown.replace(" >", " hidden>")
    add_people(cast.workspace, 2)
    later = launched(
        schedule_type=Campaign.Schedule.AT, scheduled_at=timezone.now() + timedelta(days=2)
    )
    assert shown in page(cast, later).content.decode()
    assert said(press(cast, later, "cancel")) == ("Cancelled. No message was sent.")
    known = prepared(3)
    assert hidden in page(cast, known).content.decode()
    assert "The remaining recipients are marked Cancelled" in said(press(cast, known, "cancel"))


def test_a_button_pressed_too_late_is_told_so_kindly(cast, launched):
    add_people(cast.workspace, 3)
    run = run_to_the_end(launched())
    for verb in ("pause", "resume", "cancel", "undo", "send-now"):
        answer = press(cast, run, verb)
        assert answer.status_code == 302
        assert "the state of this send is now “Completed”" in said(answer)


def test_a_send_now_can_be_undone_or_hurried(cast, connected, launched, settings, worker):
    add_people(cast.workspace, 3)
    settings.SEND_UNDO = timedelta(seconds=30)
    run = launched(name="First")
    waiting = progress(cast, run)
    assert (waiting["can"], waiting["headline"]) == (["undo", "send-now"], "Starts in a moment")
    assert waiting["undo_until"] == run.intended_at.isoformat()
    assert "Undone" in said(press(cast, run, "undo"))
    with scope(cast.workspace):
        assert Campaign.objects.get().status == Campaign.Status.DRAFT
    assert "no message was sent" in progress(cast, run)["headline"]
    second = launched(name="Second")
    assert "The send starts now" in said(press(cast, second, "send-now"))
    assert run_to_the_end(second).tally == {"accepted": 3}


def test_undo_never_cancels_a_run_that_has_started(cast, prepared):
    run = prepared(3)
    assert "Too late to undo" in said(press(cast, run, "undo"))
    with scope(cast.workspace):
        run.refresh_from_db()
    assert run.state == State.RUNNING


# --- panels, errors, shards, list -----------------------------------------------------------------
def test_an_upper_layer_fills_the_panel_slot(cast, prepared, monkeypatch):
    run = prepared(3)
    monkeypatch.setattr(
        slots, "RUN_PANELS", [lambda request, run: mark_safe(f"<aside>report of {run.pk}</aside>")]
    )
    assert f"<aside>report of {run.pk}</aside>" in page(cast, run).content.decode()


def test_errors_are_grouped_by_code_with_examples(cast, launched):
    add_people(
        cast.workspace,
        6,
        tokens=[f"sbx_{kind}_{i}" for i in (1, 2, 3) for kind in ("ok", "unregistered")],
    )
    run = run_to_the_end(launched())
    html = page(cast, run, "errors/").content.decode()
    assert "UNREGISTERED" in html
    assert "uninstalled" in html
    assert ">3</a>" in html
    assert "Ravi</a> · Android …stered_1" in html
    with scope(cast.workspace):
        contact = Contact.objects.get(endpoints__value="sbx_unregistered_3")
    assert f"campaigns/contact/{contact.pk}/change/" in html, (
        "each of a handful of examples leads to its contact"
    )
    assert "?reason=endpoint_gone&amp;code=UNREGISTERED" in html
    assert (
        "No errors"
        in page(cast, run_to_the_end(launched(name="Again")), "errors/").content.decode()
    )


@pytest.mark.parametrize("code", ["INTERNAL", "UNAVAILABLE"])
def test_a_code_promises_another_try_only_while_there_is_one(cast, launched, code):
    add_people(cast.workspace, 1)
    run = run_to_the_end(launched())
    for reason, promised in (
        (Reason.RETRY_SCHEDULED, True),
        (Reason.REJECTED, False),
        (Reason.UNKNOWN, False),
    ):
        with scope(cast.workspace):
            Message.objects.update(reason=reason, error_code=code)
        cache.clear()
        for tail in ("errors/", "recipients/"):
            html = page(cast, run, tail).content.decode()
            assert ("PushPilot tries again" in html) == promised
            assert ("does not try again by itself" in html) != promised


def test_the_list_shows_the_runs_of_this_workspace_only(cast, launched):
    add_people(cast.workspace, 3)
    run_to_the_end(launched(name="Weekend rush"))
    html = cast.client("viewer").get(cast.url("campaigns/run/")).content.decode()
    assert "Weekend rush" in html
    assert "Completed" in html
    other = (
        cast.client("other_owner")
        .get(f"/w/{cast.other_workspace.slug}/admin/campaigns/run/")
        .content.decode()
    )
    assert "Weekend rush" not in other


def test_a_run_cannot_be_edited_added_or_deleted(cast, prepared):
    run = prepared(3)
    client = cast.client("owner")
    assert client.get(cast.url("campaigns/run/add/")).status_code == 403
    assert (
        client.post(cast.url(f"campaigns/run/{run.pk}/delete/"), {"post": "yes"}).status_code == 403
    )
    assert client.get(cast.url("campaigns/run/99999/change/")).status_code == 404
    assert client.get(cast.url("campaigns/run/99999999999999999999/progress/")).status_code == 404
    assert client.get(cast.url("campaigns/run/abc/change/")).status_code == 404
