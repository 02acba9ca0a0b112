"""python-liquid. It limits the ranges of loops only; `(1..100000000) contains "a"` took 3 s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from liquid.builtin.expressions.primitive import RangeLiteral

_make_range = RangeLiteral._make_range


def judge_ranges(judge: Callable[[range], object]) -> None:
    """Show every range to `judge`, which may raise, before anything is done with it."""

    def made(literal: RangeLiteral, start: Any, stop: Any) -> range:
        found: range = _make_range(literal, start, stop)
        judge(found)
        return found

    RangeLiteral._make_range = made
