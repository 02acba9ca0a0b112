"""A platform whose own push service refuses the provider is held; the others go on, and nobody
is lost."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Endpoint, Run
from delivery import connections
from delivery.engine import pipeline, reach, record
from delivery.engine.breaker import HANDFUL
from delivery.models import Message, Reach, Shard
from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.codes import REMEDIES
from delivery.providers.fcm.sender import FcmSender
from tenants.models import AuditEntry
from tenants.scope import every_workspace, scope
from tests.delivery.run_pages import lines, page, press, progress
from tests.story import add_people, received, run_to_the_end

State = Run.State


REFUSED = "THIRD_PARTY_AUTH_ERROR"


@pytest.fixture
def keyless(monkeypatch):
    """A function that takes the key of platforms away, and gives it back if it is called without
    any. The value is the list of the platforms' devices that the provider was asked for."""
    asked, without = [], set()
    real = FcmSender.poll

    def poll(sender, secs):
        found = real(sender, secs)
        with every_workspace():
            rows = Message.objects.in_bulk([one.message_id for one in found])
            devices = Endpoint.objects.in_bulk([row.endpoint_id for row in rows.values()])
        platforms = [devices[rows[one.message_id].endpoint_id].platform for one in found]
        asked.extend(platforms)
        return [
            Outcome(one.message_id, Verdict.PLATFORM_BROKEN, REFUSED, detail="Auth error from APNS")
            if platform in without
            else one
            for one, platform in zip(found, platforms, strict=True)
        ]

    monkeypatch.setattr(FcmSender, "poll", poll)

    def take(*platforms):
        without.clear()
        without.update(platforms)
        asked.clear()
        return asked

    return take


def go(run: Run, times: int = 3) -> Run:
    for _ in range(times):
        pipeline.tick(timezone.now())
        pipeline.work(timezone.now())
    with scope(run.workspace):
        return Run.objects.select_related("workspace", "campaign", "revision", "connection").get(
            pk=run.pk
        )


def tally(run: Run) -> dict[str, int]:
    with scope(run.workspace):
        return record.tally(run)


def due(run: Run) -> None:
    """The next try of every held platform is due."""
    with every_workspace():
        Reach.objects.exclude(held_since=None).update(probe_at=timezone.now())


def known() -> dict[str, Reach]:
    """{platform: what is known of it}."""
    with every_workspace():
        return {one.platform: one for one in Reach.objects.all()}


@pytest.fixture
def one_iphone(cast, connected, launched, keyless):
    add_people(cast.workspace, 1, platform="ios")
    add_people(cast.workspace, 399)
    keyless("ios")
    return launched()


def test_one_iphone_without_a_key_waits_and_399_androids_go_on(cast, connected, one_iphone):
    run = go(one_iphone)
    assert run.state == State.RUNNING
    assert tally(run) == {"accepted": 399, "deferred": 1}
    with scope(cast.workspace):
        row = Message.objects.get(reason=Reason.DEFERRED)
        assert (row.error_code, row.attempts) == (REFUSED, 0)
        shard = Shard.objects.exclude(held={}).get()
        assert (shard.state, shard.held) == (Shard.State.HELD, {"ios": 1})
        assert AuditEntry.objects.get(action="platform held").detail == {
            "platform": "ios",
            "code": REFUSED,
        }
        assert Endpoint.objects.filter(is_active=True).count() == 400
    assert known()["ios"].held_since
    assert known()["android"].proven_at


def test_a_tick_opens_no_transaction_for_shards_whose_next_try_is_not_due(
    one_iphone, django_assert_num_queries
):
    go(one_iphone)
    with every_workspace(), django_assert_num_queries(2):
        reach.settle(timezone.now())


def test_when_the_key_is_there_one_message_goes_first_and_the_rest_follows(
    cast, launched, connected, sandbox, keyless
):
    add_people(cast.workspace, 60, platform="ios")
    add_people(cast.workspace, 3)
    keyless("ios")
    run = go(launched())
    assert tally(run) == {"accepted": 3, "deferred": 60}
    asked = keyless()
    assert tally(go(run)) == {"accepted": 3, "deferred": 60}
    assert asked == [], "not before its time"
    due(run)
    run = run_to_the_end(run)
    assert run.tally == {"accepted": 63}
    assert [(one.held_since, bool(one.proven_at)) for one in known().values()] == [(None, True)] * 2


def test_a_platform_that_is_still_refused_costs_one_message_at_a_time(
    cast, connected, launched, keyless
):
    add_people(cast.workspace, 60, platform="ios")
    asked = keyless("ios")
    run = go(launched())
    asked.clear()
    tried = set()
    for n in range(1, 4):
        due(run)
        go(run)
        assert asked == ["ios"] * n
        tried.add(known()["ios"].probe)
        assert tally(run) == {"deferred": 60}
    assert len(tried) == 3, "another device each time"


def test_the_next_campaign_of_the_connection_holds_the_platform_at_once(
    cast, connected, launched, keyless
):
    add_people(cast.workspace, 300, platform="ios")
    add_people(cast.workspace, 3)
    asked = keyless("ios")
    go(launched())
    asked.clear()
    second = go(launched(name="Second"))
    assert tally(second) == {"accepted": 3, "deferred": 300}
    assert asked == ["android"] * 3


def test_two_platforms_are_held_and_released_each_by_itself(cast, connected, launched, keyless):
    add_people(cast.workspace, 4, platform="ios")
    add_people(cast.workspace, 4, platform="web")
    keyless("ios", "web")
    run = go(launched())
    assert tally(run) == {"deferred": 8}
    keyless("web")
    due(run)
    assert tally(go(run, 4)) == {"accepted": 4, "deferred": 4}
    with scope(cast.workspace):
        assert Shard.objects.get().held == {"web": 4}


def test_a_platform_that_was_reached_is_not_held_for_one_app_without_a_key(
    cast, connected, launched, keyless
):
    tokens = ["sbx_ok_1", *(f"sbx_thirdparty_{n}" for n in range(HANDFUL - 1))]
    add_people(cast.workspace, 1, tokens=["sbx_ok_0"], platform="ios")
    run_to_the_end(launched(name="First"))
    add_people(cast.workspace, len(tokens), tokens=tokens, platform="ios")
    run = run_to_the_end(launched())
    assert run.tally == {"accepted": 2, "rejected": len(tokens) - 1}
    assert not any(one.held_since for one in known().values())


def test_a_key_that_ends_holds_a_platform_that_was_reached_for_months(
    cast, connected, launched, keyless
):
    add_people(cast.workspace, 30, platform="ios")
    run_to_the_end(launched(name="First"))
    keyless("ios")
    run = go(launched())
    assert tally(run) == {"rejected": HANDFUL - 1, "deferred": 30 - HANDFUL + 1}


@pytest.mark.parametrize("platform", ["", "android"])
def test_a_device_whose_platform_cannot_be_at_fault_is_rejected_alone(
    cast, connected, launched, platform
):
    add_people(
        cast.workspace, 3, tokens=[f"sbx_thirdparty_{n}" for n in range(3)], platform=platform
    )
    add_people(cast.workspace, 3, platform=platform)
    run = run_to_the_end(launched())
    assert run.tally == {"accepted": 3, "rejected": 3}


def test_what_waited_for_a_day_is_rejected_and_can_be_sent_again(cast, connected, one_iphone):
    go(one_iphone)
    with scope(cast.workspace):
        Shard.objects.filter(state=Shard.State.HELD).update(held_until=timezone.now())
    run = run_to_the_end(one_iphone)
    assert (run.state, run.tally) == (State.COMPLETED, {"accepted": 399, "rejected": 1})
    with scope(cast.workspace):
        assert Message.objects.get(reason=Reason.REJECTED).error_code == REFUSED
        assert record.add({}, *Shard.objects.values_list("tally", flat=True)) == run.tally


def test_a_try_does_not_put_the_end_of_the_waiting_off(cast, connected, one_iphone):
    go(one_iphone)
    with scope(cast.workspace):
        limit = Shard.objects.get(state=Shard.State.HELD).held_until
    due(one_iphone)
    go(one_iphone)
    with scope(cast.workspace):
        assert Shard.objects.get(state=Shard.State.HELD).held_until == limit


@pytest.mark.parametrize("is_paused", [False, True])
def test_what_waits_for_a_platform_ends_with_its_run(cast, connected, launched, keyless, is_paused):
    add_people(cast.workspace, 4, platform="ios")
    keyless("ios")
    run = go(launched(expires_after_mins=30))
    if is_paused:
        with scope(cast.workspace):
            plan.pause(run, by=cast.owner)
    for _ in range(2):
        pipeline.tick(run.ends_at + timedelta(seconds=1))
    run = go(run, 1)
    assert (run.state, run.tally) == (State.COMPLETED, {"expired": 4})


def test_a_cancelled_run_leaves_nobody_waiting(cast, connected, one_iphone):
    run = go(one_iphone)
    with scope(cast.workspace):
        assert plan.cancel(run, by=cast.owner)
    run = run_to_the_end(run)
    assert (run.state, run.tally) == (State.CANCELLED, {"accepted": 399, "cancelled": 1})


def test_other_credentials_are_tried_anew(cast, connected, one_iphone, keyless, sandbox):
    go(one_iphone)
    keyless()
    with scope(cast.workspace):
        connections.store_account(connected, sandbox.key_file(connected.settings["project_id"]))
    assert not known()
    assert run_to_the_end(one_iphone).tally == {"accepted": 400}


def test_a_late_answer_says_nothing_about_credentials_that_came_since(cast, connected, sandbox):
    with scope(cast.workspace):
        seen = type(connected).objects.get(pk=connected.pk)
        connections.store_account(connected, sandbox.key_file(connected.settings["project_id"]))
        reach.learn(seen, {"android": None}, timezone.now())
        assert not reach.proven(connected)
        reach.learn(type(connected).objects.get(pk=connected.pk), {"android": None}, timezone.now())
        assert reach.proven(connected) == {"android"}


def test_other_credentials_of_one_connection_say_nothing_about_another(cast, connected):
    with scope(cast.workspace):
        other = type(connected).objects.create(
            workspace=cast.workspace, name="Second", provider="fcm_sandbox", is_active=False
        )
        for one in (connected, other):
            reach.learn(one, {"android": None}, timezone.now())
        reach.forget(connected)
        assert (reach.proven(connected), reach.proven(other)) == (set(), {"android"})


def test_several_workers_that_find_a_platform_refused_hold_it_once(cast, connected):
    fault, first = Outcome(1, Verdict.PLATFORM_BROKEN, REFUSED, detail="Auth error"), timezone.now()
    with scope(cast.workspace):
        reach.learn(connected, {"ios": fault}, first)
        Reach.objects.update(probe=7)
        reach.learn(connected, {"ios": fault}, first + timedelta(minutes=10))
        assert AuditEntry.objects.filter(action="platform held").count() == 1
        row = Reach.objects.get()
        assert (row.held_since, row.probe, row.probe_at) == (first, 7, first + reach.PROBE_EVERY)
        reach.learn(connected, {"ios": None}, first)
        reach.learn(connected, {"ios": fault}, first)
        assert AuditEntry.objects.filter(action="platform held").count() == 2
        assert Reach.objects.get().probe is None


def test_a_worker_that_died_before_it_counted_loses_nobody(cast, connected, one_iphone, keyless):
    go(one_iphone)
    with scope(cast.workspace):
        Shard.objects.filter(state=Shard.State.HELD).update(
            state=Shard.State.OPEN, held={}, held_until=None
        )
    go(one_iphone)
    keyless()
    due(one_iphone)
    assert run_to_the_end(one_iphone).tally == {"accepted": 400}


def test_who_opts_out_while_waiting_is_not_sent_to(cast, connected, sandbox, one_iphone, keyless):
    go(one_iphone)
    keyless()
    with scope(cast.workspace):
        Endpoint.objects.filter(platform="ios").update(opted_in=False)
    due(one_iphone)
    assert run_to_the_end(one_iphone).tally == {"accepted": 399, "not_opted_in": 1}
    # the first try was swallowed on its way back, see `keyless`
    assert len(received(sandbox, connected)) == 400


def test_nothing_is_sent_to_a_held_platform_after_a_pause_and_a_resume(
    cast, connected, one_iphone, keyless
):
    run = go(one_iphone)
    asked = keyless("ios")
    with scope(cast.workspace):
        plan.pause(run, by=cast.owner)
        plan.resume(run, by=cast.owner)
    assert tally(go(run)) == {"accepted": 399, "deferred": 1}
    assert asked == []


# --- what people read and decide ------------------------------------------------------------------
def test_the_run_page_says_what_waits_why_and_what_to_do(cast, connected, one_iphone):
    run = go(one_iphone)
    where = progress(cast, run)
    assert lines(where) == {"accepted": 399, "deferred": 1}
    assert {"try-held", "close-held"} <= set(where["can"])
    (notice,) = [one for one in where["notices"] if one["icon"] == "phonelink_off"]
    for word in ("iOS", REFUSED, str(REMEDIES["ios"]), "1 device on iOS "):
        assert word in notice["text"]
    assert progress(cast, run, "viewer")["can"] == []
    html = page(cast, run).content.decode()
    assert 'data-verb="close-held" >' in html
    connection = (
        cast.client("owner")
        .get(cast.url(f"tenants/connection/{connected.pk}/change/"))
        .content.decode()
    )
    assert connection.count("data-held") == 1


def held_on_the_dashboard(cast, role="owner"):
    answer = cast.client(role).get(cast.url())
    held = answer.context["dashboard"]["held"]
    assert answer.content.decode().count("data-held") == (1 if held else 0)
    return held


def test_the_dashboard_says_in_one_line_what_waits_and_links_to_the_run_then_to_the_connection(
    cast, connected, launched, keyless
):
    assert held_on_the_dashboard(cast) == {}
    for platform in ("ios", "web", "android"):
        add_people(cast.workspace, 1, platform=platform)
    keyless("ios", "web")
    run = go(launched())
    held = held_on_the_dashboard(cast, "viewer")
    assert (held["name"], held["href"]) == (
        run.campaign.name,
        cast.url(f"campaigns/run/{run.pk}/change/"),
    )
    for word in ("iOS", REFUSED, str(REMEDIES["ios"]), str(REMEDIES["web"])):
        assert word in held["text"]
    press(cast, run, "close-held")
    run_to_the_end(run)
    held = held_on_the_dashboard(cast)
    assert (held["name"], held["href"]) == (
        connected.name,
        cast.url(f"tenants/connection/{connected.pk}/change/"),
    )
    assert held_on_the_dashboard(cast, "viewer")["href"] == ""
    with scope(cast.workspace):
        type(connected).objects.update(is_active=False)
    assert held_on_the_dashboard(cast) == {}


def test_a_person_tries_again_once_the_key_is_there(cast, connected, one_iphone, keyless):
    run = go(one_iphone)
    keyless()
    press(cast, run, "try-held")
    run = run_to_the_end(run)
    assert run.tally == {"accepted": 400}
    assert "held" not in str(progress(cast, run)["can"])
    with scope(cast.workspace):
        assert AuditEntry.objects.get(action="held platform tried again").detail["count"] == 1


def test_a_person_ends_the_run_without_them_and_sends_again_later(
    cast, connected, one_iphone, keyless
):
    run = go(one_iphone)
    press(cast, run, "close-held")
    run = run_to_the_end(run)
    assert (run.state, run.tally) == (State.COMPLETED, {"accepted": 399, "rejected": 1})
    keyless()
    press(cast, run, "retry-failed")
    go(run)
    due(run)
    assert run_to_the_end(run).tally == {"accepted": 400}
