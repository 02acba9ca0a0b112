from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from campaigns.models import Run
from delivery.engine import pace
from delivery.models import Pace
from delivery.providers.fcm.provider import Fcm
from tenants.models import Connection
from tenants.scope import scope
from tests.house.rows import rows_of

NOON = datetime(2026, 11, 21, 12, 5, tzinfo=UTC)


@pytest.fixture
def limited(cast):
    """A function that gives a run and its connection, each with its limit."""
    made = rows_of(cast.workspace)

    def limit(connection: int, run: int | None = None, **fields) -> tuple[Run, Connection]:
        with scope(cast.workspace):
            Connection.objects.filter(pk=made[Connection].pk).update(per_second=connection)
            Run.objects.filter(pk=made[Run].pk).update(
                connection=made[Connection], per_second=run, **fields
            )
            return Run.objects.get(pk=made[Run].pk), Connection.objects.get(pk=made[Connection].pk)

    return limit


def take(limited: tuple[Run, Connection], wanted: int, now: datetime) -> int:
    with transaction.atomic():
        return pace.take(*limited, wanted, now)


def test_a_bucket_gives_a_second_at_once_and_then_what_has_come_in(limited):
    mine = limited(100)
    assert take(mine, 250, NOON) == 100
    assert take(mine, 250, NOON) == 0
    assert take(mine, 250, NOON + timedelta(milliseconds=300)) == 30
    assert take(mine, 250, NOON + timedelta(minutes=1)) == 100


def test_a_slower_run_is_held_by_its_own_limit_and_leaves_the_rest_to_others(limited, cast):
    mine = limited(100, 10)
    assert take(mine, 250, NOON) == 10
    run, connection = mine
    run.per_second = None  # another run of the same connection
    assert take((run, connection), 250, NOON) == 90


def test_a_high_rate_begins_low_and_grows_for_a_minute(limited):
    mine = limited(10_000)
    first = take(mine, 10**6, NOON)
    assert first == Fcm.manners.ramp_floor
    half = [take(mine, 10**6, NOON + timedelta(seconds=29 + n)) for n in range(2)][1]
    assert 5_000 < half < 6_000
    assert [take(mine, 10**6, NOON + timedelta(seconds=61 + n)) for n in range(2)][1] == 10_000


def test_after_a_rest_the_ramp_begins_again(limited):
    mine = limited(10_000)
    take(mine, 1, NOON)
    later = NOON + timedelta(minutes=2)
    assert take(mine, 10**6, later) == 10_000
    assert take(mine, 10**6, later + pace.IDLE + timedelta(seconds=1)) == Fcm.manners.ramp_floor


def test_each_provider_has_manners_of_its_own(limited, monkeypatch):
    slow = replace(
        Fcm.manners, ramp_floor=10, ramp=timedelta(seconds=20), quarter_hours=timedelta(minutes=1)
    )
    monkeypatch.setattr(Fcm, "manners", slow)
    mine = limited(100, avoid_quarter_hours=True)
    assert take(mine, 250, NOON) == 10
    assert take(mine, 250, NOON + timedelta(seconds=9)) == pytest.approx(50, abs=1)
    assert take(mine, 250, NOON + timedelta(seconds=21)) == 100
    quarter = NOON.replace(minute=15)
    assert take(mine, 250, quarter - timedelta(seconds=61)) > 0
    assert take(mine, 250, quarter - timedelta(seconds=59)) == 0


def test_a_limit_survives_a_restart_because_it_is_a_row(limited):
    mine = limited(100)
    take(mine, 70, NOON)
    assert Pace.objects.get().tokens == pytest.approx(30)


def test_a_break_that_the_provider_asked_for_holds_everybody_and_halves_the_rate_once(limited):
    mine = limited(1_000)
    take(mine, 1_000, NOON)
    until = NOON + timedelta(seconds=30)
    for _ in range(3):  # three answers to one burst
        pace.close(mine[1], until, NOON, is_throttled=True)
    assert take(mine, 10, until - timedelta(seconds=1)) == 0
    assert pace.wait_needed(*mine, 10, NOON) == pace.Wait(until, "asked")
    assert take(mine, 10_000, until + timedelta(seconds=1)) == pytest.approx(500, abs=20)
    assert take(mine, 10_000, until + timedelta(seconds=62)) == 1_000


def test_a_long_break_halves_the_rate_too(limited):
    mine = limited(1_000)
    take(mine, 1_000, NOON)
    until = NOON + 2 * pace.IDLE
    pace.close(mine[1], until, NOON, is_throttled=True)
    assert take(mine, 10_000, until + timedelta(seconds=1)) == pytest.approx(500, abs=20)
    assert take(mine, 10_000, until + timedelta(seconds=62)) == 1_000


def test_a_break_without_a_429_leaves_the_rate_as_it_was(limited):
    mine = limited(1_000)
    take(mine, 1, NOON)
    pace.close(mine[1], NOON + timedelta(seconds=15), NOON, is_throttled=False)
    assert take(mine, 10_000, NOON + timedelta(seconds=16)) == 1_000


def test_without_a_limit_only_the_providers_break_counts(limited):
    mine = limited(0)
    assert take(mine, 10**6, NOON) == 10**6
    pace.close(mine[1], NOON + timedelta(seconds=15), NOON, is_throttled=True)
    assert take(mine, 10, NOON + timedelta(seconds=14)) == 0
    assert take(mine, 10, NOON + timedelta(seconds=15)) == 10


@pytest.mark.parametrize(
    ("minute", "second", "until"),
    [
        (58, 0, 62),
        (59, 59, 62),
        (0, 0, 2),
        (1, 59, 2),
        (13, 0, 17),
        (16, 59, 17),
        (30, 1, 32),
        (43, 0, 47),
    ],
)
def test_around_the_quarter_hours_nothing_goes_if_so_chosen(limited, minute, second, until):
    mine = limited(1_000, avoid_quarter_hours=True)
    now = NOON.replace(minute=minute, second=second)
    assert take(mine, 10, now) == 0
    held = pace.wait_needed(*mine, 10, now)
    assert held == pace.Wait(NOON.replace(minute=0) + timedelta(minutes=until), "quarter_hour")
    assert take(mine, 10, held.until) == 10


@pytest.mark.parametrize(("minute", "second"), [(57, 59), (2, 0), (12, 59), (7, 30)])
def test_between_the_quarter_hours_it_goes(limited, minute, second):
    mine = limited(1_000, avoid_quarter_hours=True)
    assert take(mine, 10, NOON.replace(minute=minute, second=second)) == 10


def test_a_clock_that_is_behind_fills_no_second_twice(limited):
    mine = limited(100)
    assert take(mine, 100, NOON) == 100
    assert take(mine, 100, NOON - timedelta(seconds=1)) == 0
    assert take(mine, 100, NOON) == 0


def test_how_long_to_wait_is_said_and_true(limited):
    mine = limited(100, 10)
    assert pace.wait_needed(*mine, 10, NOON) is None
    take(mine, 10, NOON)
    held = pace.wait_needed(*mine, 5, NOON)
    assert held.why == "run"
    assert take(mine, 5, held.until - timedelta(milliseconds=20)) < 5
    assert take(mine, 5, NOON + timedelta(seconds=1)) == 5


def test_a_clock_that_was_ahead_holds_nothing_up(limited):
    mine = limited(100)
    assert take(mine, 250, NOON + timedelta(hours=1)) == 100
    take(mine, 1, NOON)  # the clock was set right
    assert take(mine, 250, NOON + timedelta(seconds=1)) == 100


def test_a_break_ends_within_the_hour_whoever_wrote_it(limited):
    mine = limited(0)
    pace.close(mine[1], NOON + timedelta(hours=9), NOON, is_throttled=False)
    assert pace.wait_needed(*mine, 10, NOON) == pace.Wait(NOON + pace.LONGEST_BREAK, "asked")
    before = NOON - timedelta(hours=2)  # the clock was set right
    assert take(mine, 10, before) == 10
    pace.close(mine[1], before + timedelta(seconds=9), before, is_throttled=False)
    assert pace.wait_needed(*mine, 10, before) == pace.Wait(before + timedelta(seconds=9), "asked")


def test_a_long_break_holds_a_worker_whose_clock_is_behind_too(limited):
    mine = limited(100)
    take(mine, 1, NOON)
    pace.close(mine[1], NOON + timedelta(hours=2), NOON, is_throttled=True)
    assert take(mine, 50, NOON - timedelta(seconds=29)) == 0
    assert take(mine, 50, NOON + timedelta(seconds=5)) == 0


def test_a_break_of_a_wrong_clock_does_not_come_true_later(limited):
    mine = limited(0)
    ahead = NOON + timedelta(hours=5)
    pace.close(mine[1], ahead + timedelta(seconds=60), ahead, is_throttled=False)
    assert take(mine, 10, NOON) == 10
    assert take(mine, 10, ahead) == 10


def test_two_clocks_as_far_apart_as_may_be_keep_to_the_limit(limited):
    mine, apart = limited(100), timedelta(seconds=29)
    sent = sum(
        take(mine, 250, NOON + timedelta(seconds=n / 10) + (apart if n % 2 else -apart))
        for n in range(100)
    )
    assert sent <= 1200


def test_a_shorter_break_does_not_end_a_longer_one(limited):
    mine = limited(1_000)
    for secs in (60, 30):
        pace.close(mine[1], NOON + timedelta(seconds=secs), NOON, is_throttled=False)
    assert take(mine, 1, NOON + timedelta(seconds=59)) == 0
    assert take(mine, 1, NOON + timedelta(seconds=61)) == 1
