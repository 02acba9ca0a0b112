"""Times in the console's lists: on the workspace's clock, in one style."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.template import Context
from django.template import Template as Page
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Consent, Contact, Endpoint, Run, Template
from delivery.models import Message
from reports import dashboard
from reports.models import Event
from tenants.models import Connection
from tenants.scope import scope
from tests.pages import text
from tests.story import write_campaign

pytestmark = pytest.mark.once

AT = datetime(2025, 11, 19, 20, 30, 5, tzinfo=UTC)  # 02:00 of the next day in India
SHOWN = "20 Nov 2025, 02:00"


@pytest.fixture
def workspace(cast):
    cast.workspace.time_zone = "Asia/Kolkata"
    cast.workspace.save()
    with scope(cast.workspace):
        yield cast.workspace


def test_the_list_of_templates(cast, workspace):
    Template.objects.create(
        workspace=workspace, name="Old", fields={"title": "x", "body": "y"}, category="offer"
    )
    Template.objects.update(updated_at=AT)
    assert SHOWN in text(cast.client("viewer").get(cast.url("campaigns/template/")))


def test_the_list_of_events(cast, workspace):
    Event.objects.create(
        workspace=workspace, type="opened", event_id="e1", occurred_at=AT, received_at=AT
    )
    page = text(cast.client("admin").get(cast.url("reports/event/")))
    assert f">{SHOWN}</time>" in page
    assert "20 Nov 2025, 02:00:05 IST" in page


def test_the_consents_of_a_contact(cast, workspace):
    contact = Contact.objects.create(workspace=workspace, external_id="c1")
    Consent.objects.create(
        workspace=workspace, contact=contact, channel="app_push", status="opted_in", at=AT
    )
    Contact.objects.update(created_at=AT)
    page = text(cast.client("viewer").get(cast.url(f"campaigns/contact/{contact.pk}/change/")))
    assert page.count(SHOWN) == 2


def test_the_recipients_and_the_runs_of_a_campaign(cast, workspace):
    Connection.objects.create(
        workspace=workspace, name="Test", provider="fcm_sandbox", is_active=True
    )
    contact = Contact.objects.create(workspace=workspace, external_id="c1")
    Endpoint.objects.create(workspace=workspace, contact=contact, value="sbx_ok_1", platform="ios")
    campaign = write_campaign(workspace)
    run = plan.schedule(campaign, by=cast.owner, now=timezone.now())
    times = {"intended_at": AT, "started_at": AT, "finished_at": AT}
    Run.objects.update(state="completed", audience_size=1, tally={"accepted": 1}, **times)
    run.refresh_from_db()
    Message.objects.create(
        workspace=workspace,
        run=run,
        contact=contact,
        reason=Reason.ACCEPTED,
        attempted_at=AT,
        attempts=1,
    )
    shown = text(cast.client("viewer").get(cast.url(f"campaigns/run/{run.pk}/recipients/")))
    assert f">{SHOWN}</time>" in shown
    page = text(cast.client("viewer").get(cast.url(f"campaigns/campaign/{campaign.pk}/change/")))
    lines = re.findall(r"[A-Z][a-z]{2}, 20 Nov[^<]*", page)
    assert set(lines) == {"Thu, 20 Nov 2025, 02:00 IST"}
    assert str(run).endswith(f"· {SHOWN}")


def test_what_a_template_or_django_writes_by_itself_has_the_same_style(cast, workspace):
    with timezone.override(workspace.zone):
        assert Page("{{ at }}").render(Context({"at": AT})) == SHOWN


def test_a_page_of_the_console_is_drawn_on_the_clock_of_its_workspace(cast, workspace, monkeypatch):
    seen: list[str] = []
    drawn = dashboard.build

    def build(request):
        seen.append(timezone.get_current_timezone_name())
        return drawn(request)

    monkeypatch.setattr(dashboard, "build", build)
    cast.client("viewer").get(cast.url())
    assert seen == ["Asia/Kolkata"]
    assert timezone.get_current_timezone_name() == "UTC"
