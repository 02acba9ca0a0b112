"""How many queries the main pages take, against a committed baseline: a page that asks per row
shows here at once.

After a change that is meant to need more (or fewer), write the baseline anew:

    UPDATE_QUERY_COUNTS=1 pytest tests/house/test_query_counts.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns.models import Campaign, Contact, Content, Endpoint, Run, Template
from delivery.models import Message
from tenants.models import Workspace
from tenants.scope import scope
from tests.cast import Cast
from tests.house.rows import Rows, rows_of

BASELINE = Path(__file__).with_name("query_counts.json")
ROWS = 25  # one full list page


@pytest.fixture
def full(cast: Cast) -> Rows:
    """A workspace whose lists are a page long."""
    rows = rows_of(cast.workspace)
    with scope(cast.workspace):
        for number in range(ROWS):
            name, workspace = f"Offer {number:02}", cast.workspace
            campaign = Campaign.objects.create(
                workspace=workspace, name=name, created_by=cast.owner
            )
            Content.objects.create(
                workspace=workspace,
                campaign=campaign,
                fields={"title": name, "body": "Until Sunday."},
            )
            Template.objects.create(
                workspace=workspace,
                name=name,
                category="offer",
                fields={"title": name, "body": "Until Sunday."},
            )
            contact = Contact.objects.create(
                workspace=workspace, external_id=name, attributes={"first_name": "Asha"}
            )
            Endpoint.objects.create(workspace=workspace, contact=contact, value=f"sbx_ok_{number}")
        weekly = {
            "schedule_type": "recurring",
            "recurrence_rule": "FREQ=WEEKLY",
            "status": "scheduled",
        }
        start = {"wall_clock": "2031-01-03T10:00:00", "time_zone": "UTC"}
        Campaign.objects.filter(name="Offer 00").update(**weekly, **start)
    return rows


def pages(rows: Rows) -> dict[str, str]:
    campaign, run = rows[Campaign].pk, rows[Run].pk
    with scope(rows[Workspace]):
        message = Message.objects.get(run=run).pk
        scheduled = Campaign.objects.get(name="Offer 00").pk
    return {
        "dashboard": "",
        "campaign list": "campaigns/campaign/",
        "campaign form": "campaigns/campaign/add/",
        "campaign page": f"campaigns/campaign/{campaign}/change/",
        "schedule page": f"campaigns/campaign/{scheduled}/schedule/",
        "run list": "campaigns/run/",
        "run page": f"campaigns/run/{run}/change/",
        "recipients": f"campaigns/run/{run}/recipients/",
        "message page": f"campaigns/run/message/{message}/",
        "template list": "campaigns/template/",
        "contact list": "campaigns/contact/",
        "event list": "reports/event/",
        "member list": "tenants/membership/",
        "audit trail": "tenants/auditentry/",
        "palette": "search/?s=offer&extended=1",
    }


def count(client: Client, url: str) -> int:
    client.get(url)  # content types and the like are read once per process
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    assert response.status_code == 200, url
    return len(queries)


def too_many(counted: dict[str, int], baseline: dict[str, int]) -> list[str]:
    return [
        f"{page}: {number} queries, {baseline.get(page, 0)} in {BASELINE.name}"
        for page, number in counted.items()
        if number > baseline.get(page, 0)
    ]


def test_the_main_pages_take_no_more_queries_than_the_baseline(cast, full):
    client = cast.client("owner")
    counted = {name: count(client, cast.url(path)) for name, path in pages(full).items()}
    if os.environ.get("UPDATE_QUERY_COUNTS"):
        BASELINE.write_text(json.dumps(counted, indent=2) + "\n", encoding="utf-8")
    found = too_many(counted, json.loads(BASELINE.read_text(encoding="utf-8")))
    hint = (
        "If that is meant, run UPDATE_QUERY_COUNTS=1 pytest tests/house/test_query_counts.py "
        "and commit the file."
    )
    assert not found, "\n".join([*found, hint])


def test_a_query_per_row_is_caught(cast, full, monkeypatch):
    from campaigns.admin.campaign.page import CampaignAdmin

    def asks(self, campaign):
        return str(Campaign.objects.filter(pk=campaign.pk).count())

    client = cast.client("owner")
    before = count(client, cast.url("campaigns/campaign/"))
    monkeypatch.setattr(CampaignAdmin, "channel_cell", asks)
    after = count(client, cast.url("campaigns/campaign/"))
    assert after >= before + ROWS
    assert too_many({"campaign list": after}, {"campaign list": before})


def test_a_page_without_a_baseline_is_caught():
    assert too_many({"new page": 3}, {})
