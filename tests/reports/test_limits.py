"""The limiter and the bounds, by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache

from pushpilot.lib import limits
from pushpilot.lib.bounded import OutOfBounds, check_json, check_text, true_moment
from pushpilot.lib.limits import Limiter

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch):
    cache.clear()
    moment = [120.0]
    monkeypatch.setattr(limits.time, "time", lambda: moment[0])
    return moment


def test_the_limit_holds_over_processes_that_share_the_cache(clock):
    first, second = Limiter("x"), Limiter("x")
    allowed = [
        not limiter.hit("key", 10).is_refused for _ in range(10) for limiter in (first, second)
    ]
    assert sum(allowed) == 10


def test_one_keys_hits_are_not_booked_on_another(clock):
    limiter = Limiter("x")
    assert [limiter.hit(key, 1).is_refused for key in "aba"] == [False, False, True]


def test_the_next_minute_starts_anew_and_the_refusal_says_when_that_is(clock):
    limiter = Limiter("x")
    limiter.hit("a", 1)
    clock[0] = 150.5
    refused = limiter.hit("a", 1)
    assert (refused.is_refused, refused.reset_secs) == (True, 30)
    clock[0] = 180
    assert not limiter.hit("a", 1).is_refused


def test_what_remains_is_counted_over_the_processes_and_never_promises_too_much(clock):
    first, second = Limiter("x"), Limiter("x")
    told = [limiter.hit("a", 3).remaining for limiter in (first, second, first, second)]
    assert told == [2, 1, 0, -1]
    assert first.hit("a", 3).headers["RateLimit-Remaining"] == "0"
    assert [Limiter("y").hit("a", 1_000).remaining, first.hit("b", 1_000).remaining] == [999, 999]


def test_a_generous_limit_asks_the_cache_seldom(clock, monkeypatch):
    asked = []
    real = Limiter._buy
    monkeypatch.setattr(Limiter, "_buy", staticmethod(lambda *args: asked.append(1) or real(*args)))
    limiter = Limiter("x")
    assert not any(limiter.hit("a", 20_000).is_refused for _ in range(20_000))
    assert limiter.hit("a", 20_000).is_refused
    assert len(asked) == 201


def test_a_cache_that_is_down_lets_callers_in(clock, monkeypatch):
    class Down:
        def add(self, *args, **kwargs):
            raise ConnectionError

    monkeypatch.setattr(limits, "cache", Down())
    assert not Limiter("x").hit("a", 1).is_refused


def test_half_a_surrogate_pair_is_no_text():
    with pytest.raises(OutOfBounds, match="surrogate"):
        check_text("a\ud800", "name", 10)


@pytest.mark.parametrize(
    "value", [{"a": float("nan")}, [2**63], [-(2**64)], {"a" * 201: 1}, {"x": object()}]
)
def test_what_no_database_keeps_is_out_of_bounds(value):
    with pytest.raises(OutOfBounds):
        check_json(value, "metadata", text_limit=10)


def test_a_moment_is_corrected_clamped_and_never_overflows():
    hour = timedelta(hours=1)
    assert true_moment(None, None, NOW) == NOW
    assert true_moment(NOW - hour, None, NOW) == NOW - hour
    assert true_moment(NOW + hour, None, NOW) == NOW
    assert true_moment(NOW + 9 * hour, NOW + 10 * hour, NOW) == NOW - hour
    last = datetime.max.replace(tzinfo=UTC)
    assert true_moment(last, last - hour, NOW) == NOW
    assert true_moment(last, datetime.min.replace(tzinfo=UTC), NOW) == NOW
    with pytest.raises(OutOfBounds):
        true_moment(datetime.min.replace(tzinfo=UTC), last, NOW)
