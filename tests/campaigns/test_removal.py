"""A campaign that was never sent can be deleted, also after an undo; what was sent is kept."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Run
from delivery.models import Message
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.console import change, give_run, written


def delete(cast, campaign, who="member") -> bool:
    """Whether it is gone."""
    client = cast.client(who)
    address = cast.url(f"campaigns/campaign/{campaign.pk}/delete/")
    client.get(address)
    client.post(address, {"post": "yes"})
    with scope(cast.workspace):
        return not Campaign.objects.filter(pk=campaign.pk).exists()


@pytest.mark.parametrize("schedule", ["send_now", "scheduled"])
def test_a_draft_can_be_deleted_after_an_undo(company, schedule):
    campaign = written(
        company, schedule_type=schedule, scheduled_at=datetime.now(UTC) + timedelta(days=1)
    )
    with scope(company.workspace):
        assert plan.cancel(
            plan.schedule(campaign, by=company.member, now=datetime.now(UTC)), by=company.member
        )
    assert company.client("member").get(change(company, campaign)).context["may_delete"]
    assert delete(company, campaign)
    with scope(company.workspace):
        assert not Run.objects.exists()
        entry = AuditEntry.objects.get(action="campaign deleted")
    assert (entry.actor, entry.target) == (company.member, "Weekend")
    assert entry.changes["name"] == ["Weekend", None]


@pytest.mark.parametrize(
    ("who", "tally", "is_offered"),
    [
        ("member", {"cancelled": 2}, True),
        ("viewer", {"cancelled": 2}, False),
        ("member", {"accepted": 1}, False),
    ],
)
def test_the_page_of_a_campaign_offers_to_delete_it_if_nobody_was_sent_to(
    company, who, tally, is_offered
):
    campaign = written(company, status="cancelled")
    give_run(company, campaign, "cancelled", finished_at=datetime.now(UTC), tally=tally)
    page = company.client(who).get(change(company, campaign))
    assert ("data-delete" in page.content.decode()) is is_offered


def test_a_run_that_was_cancelled_before_anybody_was_asked_goes_too(company):
    campaign = written(company, status="cancelled")
    ended = {"finished_at": datetime.now(UTC), "tally": {"cancelled": 1, "accepted": 0}}
    run = give_run(company, campaign, "cancelled", **ended)
    with scope(company.workspace):
        Message.objects.create(
            workspace=company.workspace, run=run, contact_id=1, endpoint_id=1,
            reason=Reason.CANCELLED,
        )  # fmt: skip
    assert delete(company, campaign)
    with scope(company.workspace):
        assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("status", "state", "fields"),
    [
        ("scheduled", "planned", {}),
        ("cancelled", "cancelled", {}),  # its account is not closed yet
        (
            "draft",
            "completed",
            {"tally": {"accepted": 1}, "finished_at": datetime(2026, 11, 1, tzinfo=UTC)},
        ),
        (
            "cancelled",
            "cancelled",
            {"tally": {"unknown": 1}, "finished_at": datetime(2026, 11, 1, tzinfo=UTC)},
        ),
    ],
)
def test_what_was_sent_or_may_be_is_kept(company, status, state, fields):
    campaign = written(company, status=status)
    give_run(company, campaign, state, **fields)
    assert not delete(company, campaign)
    with scope(company.workspace):
        assert Run.objects.count() == 1
