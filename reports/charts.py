"""How numbers look: chart data for charts.js, sparklines, funnels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from campaigns.models import Run
from pushpilot.lib.display import format_number
from reports.funnel import Funnel

SPARK_WIDTH, SPARK_HEIGHT = 120, 32
STATE_TONES = {
    Run.State.COMPLETED: "good",
    Run.State.RUNNING: "busy",
    Run.State.PREPARING: "busy",
    Run.State.FINISHING: "busy",
    Run.State.PAUSED: "fair",
    Run.State.FAILED: "bad",
    Run.State.MISSED: "bad",
    Run.State.CANCELLED: "neutral",
    Run.State.PLANNED: "neutral",
}


def chart(
    kind: str, labels: Sequence[str], series: Sequence[tuple[str, str, Sequence[float | None]]]
) -> dict[str, Any]:
    """What charts.js draws for `data-chart=kind`, and whether there is anything to draw."""
    datasets = [
        {"label": label, "key": key, "data": [_rounded(v) for v in values]}
        for label, key, values in series
    ]
    return {
        "kind": kind,
        "data": {"labels": list(labels), "series": datasets},
        "is_empty": not any(value for _label, _key, values in series for value in values),
    }


def _rounded(value: float | None) -> float | None:
    if value is None or isinstance(value, int):
        return value
    return round(value, 2)


def short(count: int) -> str:
    """ "492,938" up to six digits, then "1.2 M"."""
    if count < 1_000_000:
        return format_number(count)
    return _("%(count)s M") % {"count": format_number(round(count / 1_000_000, 1))}


def spark(values: Sequence[float]) -> str:
    """Points of an SVG polyline over a SPARK_WIDTH × SPARK_HEIGHT box; "" if there is nothing
    but zeros."""
    top = max(values, default=0)
    if not top or len(values) < 2:
        return ""
    step, height = SPARK_WIDTH / (len(values) - 1), SPARK_HEIGHT - 4
    return " ".join(
        f"{i * step:.1f},{2 + height * (1 - value / top):.1f}" for i, value in enumerate(values)
    )


def mini_funnel(funnel: Funnel) -> list[dict[str, Any]]:
    """Accepted, delivered, opened and clicked as bars of one width scale."""
    top = max(funnel["accepted"].count, 1)
    bars = []
    for key in ("accepted", "delivered", "opened", "clicked"):
        step = funnel[key]
        width = min(100.0, 100 * step.count / top)
        words = _("%(label)s: %(count)s, %(share)s") if step.of else _("%(label)s: %(count)s")
        named = {"label": step.label, "count": format_number(step.count), "share": step.of}
        bars.append(
            {
                "key": key,
                "label": step.label,
                "count": format_number(step.count),
                "width": f"{width:.1f}",
                "title": words % named,
            }
        )
    return bars
