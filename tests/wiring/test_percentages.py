"""Percentages of one account: the same on every page, together 100, and none that exists shown
as nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.admin.campaign import review
from campaigns.models import Contact, Endpoint, Run
from delivery.admin.run import figures
from pushpilot.lib.display import percent, shares
from reports import panels, queries
from reports.funnel import funnel_of, reasons
from tenants.models import Connection
from tenants.scope import scope
from tests.story import write_campaign

pytestmark = pytest.mark.once

TALLY = {"accepted": 333, "endpoint_gone": 333, "unsubscribed": 333, "no_endpoint": 1}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (95.24, "95.2 %"), (100.0, "100 %"), (0.0, "0 %"), (0.04, "< 0.1 %"), (0.43, "0.4 %"), (99.97, "> 99.9 %"),
        (None, "–"),
    ],
)  # fmt: skip
def test_a_percentage_is_short_and_shows_nothing_as_nothing_only(value, words):
    assert percent(value) == words


@pytest.mark.parametrize(
    "counts",
    [
        {"a": 1, "b": 1, "c": 1},
        {"a": 1, "b": 6},
        {"a": 2, "b": 2, "c": 2, "d": 1},
        TALLY,
        {"a": 1},
        {"a": 0, "b": 3},
    ],
)
def test_the_percentages_of_an_account_add_to_100(counts):
    assert sum(Decimal(words.removesuffix(" %")) for words in shares(counts).values()) == 100


def test_one_in_a_million_is_less_than_a_tenth_and_the_rest_is_not_all():
    assert shares({"a": 999_999, "b": 1}) == {"a": "> 99.9 %", "b": "< 0.1 %"}
    assert shares({"a": 0}) == {"a": "–"}


def test_the_order_of_an_account_changes_no_percentage():
    assert shares(TALLY) == shares(dict(reversed(TALLY.items())))


@pytest.fixture
def run(cast):
    """A finished run with an account that plain rounding makes 99.9 %."""
    with scope(cast.workspace):
        Connection.objects.create(
            workspace=cast.workspace, name="Test", provider="fcm_sandbox", is_active=True
        )
        for n in range(3):
            contact = Contact.objects.create(workspace=cast.workspace, external_id=f"c{n}")
            if n != 2:
                Endpoint.objects.create(
                    workspace=cast.workspace,
                    contact=contact,
                    value=f"sbx_ok_{n}",
                    platform="ios",
                    opted_in=bool(n),
                )
        run = plan.schedule(write_campaign(cast.workspace), by=cast.owner, now=timezone.now())
        now = timezone.now()
        Run.objects.update(
            state="completed",
            audience_size=sum(TALLY.values()),
            tally=TALLY,
            started_at=now,
            finished_at=now,
        )
        run.refresh_from_db()
        yield run


def test_the_run_page_the_campaign_page_and_the_funnel_show_the_same_percentages(cast, run):
    on_run = {line.slug: line.percent for line in figures.run_account(run, []).lines}
    runs = queries.runs_of(run.campaign_id)
    on_campaign = {row.reason.slug: row.percent for row in reasons(runs, "app_push")}
    assert on_run == on_campaign == shares(TALLY)
    assert funnel_of(runs, {})["accepted"].words == on_run["accepted"]
    assert panels.run_figures(run)["accepted"] == TALLY["accepted"]
    sent = cast.client("viewer").get(cast.url(f"campaigns/run/{run.pk}/progress/")).json()
    assert {line["slug"]: line["percent"] for line in sent["lines"]} == on_run


def test_the_review_shows_the_percentages_that_add_to_100(run):
    lines = review.account_before(run.campaign)
    assert {line.count for line in lines} == {1}
    assert {line.reason.slug: line.percent for line in lines} == shares(
        {line.reason.slug: 1 for line in lines}
    )
    assert sum(Decimal(line.percent.removesuffix(" %")) for line in lines) == 100
