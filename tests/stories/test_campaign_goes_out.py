"""Journey 1: a campaign goes from the editor to phones and back, through HTTP and the real
worker code."""

import json
from datetime import timedelta

import pytest
import requests
from django.test import Client
from django.utils import timezone

from campaigns.models import Campaign, Run
from delivery import tasks
from delivery.connections import account_of
from reports import tasks as reports_tasks
from tenants.models import ApiKey, AuditEntry
from tenants.scope import scope
from tenants.secrets import digest_of
from tests.story import add_people, work_until_ended


@pytest.fixture(autouse=True)
def _no_undo_time(settings):
    settings.SEND_UNDO = timedelta()


def draft(client, cast, **fields):
    """Post the editor's form with "Review and send"; returns the campaign and the answer."""
    form = {
        "name": "Weekend", "channel": "app_push", "audience": "everyone", "schedule_type": "send_now",
        "title": "Hello {{ first_name | default: 'you' }}", "body": "Twenty per cent off today.",
        "deep_link": "https://biddano.test/offers", "_review": "1",
    }  # fmt: skip
    answer = client.post(cast.url("campaigns/campaign/add/"), {**form, **fields})
    with scope(cast.workspace):
        return Campaign.objects.order_by("-pk").first(), answer


def figures(client, cast, run):
    return client.get(cast.url(f"campaigns/run/{run.pk}/progress/")).json()


def test_write_review_send_watch_and_see_it_opened(cast, connected, sandbox):
    add_people(
        cast.workspace,
        120,
        tokens=[f"sbx_{'unregistered' if i == 7 else 'ok'}_{i}" for i in range(120)],
    )
    member = cast.client("member")
    campaign, answer = draft(member, cast)
    review = cast.url(f"campaigns/campaign/{campaign.pk}/review/")
    assert answer.status_code == 302
    assert answer.headers["Location"] == review
    assert "120" in member.get(review).content.decode()

    launched = member.post(review)
    with scope(cast.workspace):
        run = Run.objects.get()
    assert launched.headers["Location"] == cast.url(f"campaigns/run/{run.pk}/change/")

    work_until_ended(run)
    assert run.tally == {"accepted": 119, "endpoint_gone": 1}
    assert member.get(cast.url(f"campaigns/run/{run.pk}/change/")).status_code == 200
    assert figures(member, cast, run)["state"] == "completed"

    account = account_of(connected)
    received = sandbox.log(account.mint().value, account.project_id)["messages"]
    assert len(received) == 119
    assert {item["message"]["notification"]["title"] for item in received} <= {
        f"Hello {name}" for name in ("Asha", "Ravi", "Meera", "Kabir", "Isha")
    }

    key = _write_key(cast)
    taps = [
        {
            "event_id": f"tap-{item['seq']}",
            "type": "opened",
            "ref": item["message"]["data"]["pp_ref"],
        }
        for item in received[:10]
    ]
    for _ in range(2):  # the phone retries: it still counts once
        posted = Client().post(
            "/api/v1/events", json.dumps({"batch": taps}), content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )  # fmt: skip
        assert posted.status_code == 202
    reports_tasks.digest()
    page = member.get(cast.url(f"campaigns/campaign/{campaign.pk}/change/")).content.decode()
    assert "Opened" in page
    with scope(cast.workspace):
        from reports.models import Rollup

        assert [(row.type, row.events, row.people) for row in Rollup.objects.all()] == [
            ("opened", 10, 10)
        ]
        assert set(AuditEntry.objects.values_list("action", flat=True)) >= {
            "campaign scheduled",
            "run completed",
        }


def _write_key(cast) -> str:
    """Created in the console, shown once."""
    owner = cast.client("owner")
    form = {"name": "Android app", "kind": "write", "mode": "live"}
    page = owner.post(cast.url("tenants/apikey/add/"), form, follow=True)
    secret = page.content.decode().partition("pp_live_")[2][:32]
    with scope(cast.workspace):
        assert ApiKey.objects.get(name="Android app").digest == digest_of(f"pp_live_{secret}")
    return f"pp_live_{secret}"


def test_a_viewer_sees_the_review_but_cannot_send(cast, connected):
    add_people(cast.workspace, 3)
    campaign, _ = draft(cast.client("member"), cast)
    review = cast.url(f"campaigns/campaign/{campaign.pk}/review/")
    assert cast.client("viewer").post(review).status_code == 403
    assert cast.client("outsider").post(review).status_code == 404
    with scope(cast.workspace):
        assert not Run.objects.exists()


def test_a_campaign_that_lint_refuses_is_not_planned(cast, connected):
    campaign, _ = draft(cast.client("member"), cast)  # nobody is in the workspace
    answer = cast.client("member").post(
        cast.url(f"campaigns/campaign/{campaign.pk}/review/"), follow=True
    )
    assert "Nobody matches this audience" in answer.content.decode()
    with scope(cast.workspace):
        assert not Run.objects.exists()


def test_a_send_that_was_undone_reaches_nobody_and_is_a_draft_again(
    cast, connected, settings, sandbox
):
    settings.SEND_UNDO = timedelta(seconds=30)
    add_people(cast.workspace, 3)
    member = cast.client("member")
    campaign, _ = draft(member, cast)
    member.post(cast.url(f"campaigns/campaign/{campaign.pk}/review/"))
    with scope(cast.workspace):
        run = Run.objects.get()
    member.post(cast.url(f"campaigns/run/{run.pk}/undo/"))
    tasks.tick()
    tasks.work()
    with scope(cast.workspace):
        campaign.refresh_from_db()
    assert campaign.status == Campaign.Status.DRAFT
    account = account_of(connected)
    assert sandbox.log(account.mint().value, account.project_id)["messages"] == []


def test_a_campaign_for_tomorrow_waits_until_then(cast, connected):
    add_people(cast.workspace, 3)
    member = cast.client("member")
    at = timezone.now().astimezone(cast.workspace.zone) + timedelta(days=1)
    campaign, _ = draft(
        member, cast, schedule_type="scheduled", scheduled_at=f"{at:%Y-%m-%dT%H:%M}"
    )
    member.post(cast.url(f"campaigns/campaign/{campaign.pk}/review/"))
    tasks.tick()
    with scope(cast.workspace):
        run = Run.objects.get()
        assert run.state == Run.State.PLANNED
        assert run.intended_at == at.replace(second=0, microsecond=0)


def test_the_sandbox_speaks_to_programs_on_this_machine_only(sandbox):
    answer = requests.get(
        f"{sandbox.url}/sandbox/health", headers={"Host": "evil.example"}, timeout=5
    )
    assert answer.status_code in (403, 404, 421)
