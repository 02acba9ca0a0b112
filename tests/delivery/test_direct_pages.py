"""Where direct messages show in the console, and where they do not."""

from __future__ import annotations

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.models import Run
from delivery.engine import pipeline
from tenants.scope import every_workspace, scope
from tests.delivery.direct_sends import accept
from tests.story import add_people, run_to_the_end

RUNS = "campaigns/run/"


@pytest.fixture
def sent(cast, connected):
    """The run of a direct message that was sent."""
    add_people(cast.workspace, 2)
    accept(cast.workspace, "user-0")
    pipeline.work(timezone.now())
    with every_workspace():
        return Run.objects.select_related("workspace", "campaign").get()


def page(cast, path: str) -> str:
    answer = cast.client("owner").get(cast.url(path))
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_the_page_of_its_run_names_no_campaign_and_offers_no_text_to_edit(cast, sent):
    shown = page(cast, f"{RUNS}{sent.pk}/change/")
    assert "Direct messages, transactional" in shown
    assert f"campaigns/campaign/{sent.campaign_id}/" not in shown.replace("/schedule/", "")
    client = cast.client("owner")
    progress = client.get(cast.url(f"{RUNS}{sent.pk}/progress/")).json()
    assert progress["can"] == ["pause", "cancel", "drill"]
    assert progress["counts"]["accepted"] == 1
    assert client.get(cast.url(f"{RUNS}{sent.pk}/rewrite/")).status_code == 404
    assert client.get(cast.url(f"campaigns/campaign/{sent.campaign_id}/change/")).status_code == 404


def test_its_recipients_are_listed(cast, sent):
    assert "user-0" in page(cast, f"{RUNS}{sent.pk}/recipients/")


def test_the_list_of_sends_shows_them_only_on_demand(cast, sent, launched):
    campaign = run_to_the_end(launched())
    address = "run/{}/change/"
    shown, asked = page(cast, RUNS), page(cast, f"{RUNS}?direct=1")
    assert address.format(campaign.pk) in shown
    assert address.format(sent.pk) not in shown
    assert address.format(campaign.pk) not in asked
    assert address.format(sent.pk) in asked


def test_the_dashboard_counts_its_messages_and_lists_no_campaign(cast, sent):
    shown = page(cast, "")
    assert f"campaigns/campaign/{sent.campaign_id}/" not in shown


def test_a_person_pauses_and_resumes_all_direct_messages_on_its_page(cast, sent):
    client = cast.client("owner")
    client.post(cast.url(f"{RUNS}{sent.pk}/pause/"))
    accept(cast.workspace, "user-1")
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        sent.refresh_from_db()
        assert (sent.state, sent.audience_size) == (Run.State.PAUSED, 1)
    client.post(cast.url(f"{RUNS}{sent.pk}/resume/"))
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        sent.refresh_from_db()
        assert (sent.state, sent.audience_size) == (Run.State.RUNNING, 2)


def test_no_verb_edits_the_text_of_a_lane(cast, sent):
    with scope(cast.workspace):
        assert plan.revise(sent, by=cast.owner) is None
