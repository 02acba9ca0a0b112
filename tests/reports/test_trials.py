"""Events about a test notification: taken, answered with `ref_of_a_test`, and counted nowhere."""

from __future__ import annotations

import pytest
from django.utils import timezone

from campaigns.models import Consent, Contact
from pushpilot.lib.signing import trial_reference
from reports import digest
from reports.models import Engagement, Event, InboxBatch, Rollup
from tenants.models import ApiKey
from tests.reports.conftest import make_sdk
from tests.reports.made import make_sent

pytestmark = pytest.mark.usefixtures("everywhere")

TYPES = ("delivered", "opened", "clicked", "converted", "failed", "subscribed", "unsubscribed")


def about(cast, kind: str, **fields):
    reference = trial_reference(cast.workspace.pk, 7)
    return {"event_id": f"test-{kind}", "type": kind, "ref": reference, **fields}


def counted() -> list[int]:
    digest.digest_due(timezone.now())
    return [model.objects.count() for model in (InboxBatch, Event, Engagement, Rollup, Consent)]


@pytest.mark.parametrize("mode", [ApiKey.Mode.LIVE, ApiKey.Mode.TEST])
@pytest.mark.parametrize("kind", [*TYPES, "custom"])
def test_an_event_about_a_test_is_taken_and_changes_nothing(cast, mode, kind):
    Contact.objects.create(workspace=cast.workspace, external_id="asha")
    event = about(cast, kind, external_user_id="asha")
    if kind == "custom":
        event["name"] = "order_placed"
    answer = make_sdk(cast.workspace, mode=mode).post(event)
    assert answer.status_code == 202
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (1, [])
    (ignored,) = body["ignored"]
    assert (ignored["index"], ignored["code"], ignored["part"]) == (0, "ref_of_a_test", "event")
    assert counted() == [0, 0, 0, 0, 0]
    assert Contact.objects.get().last_seen_at is None


def test_the_other_events_of_a_batch_are_stored(cast, sdk):
    sent = make_sent(cast.workspace)
    real = {"event_id": "real", "type": "opened", "ref": sent.ref()}
    answer = sdk.post(about(cast, "opened"), real).json()
    assert (answer["accepted"], [one["index"] for one in answer["ignored"]]) == (2, [0])
    digest.digest_due(timezone.now())
    assert [event.event_id for event in Event.objects.all()] == ["real"]


def test_an_opt_out_that_the_customers_server_vouches_for_is_heard_all_the_same(cast):
    Contact.objects.create(workspace=cast.workspace, external_id="asha")
    server = make_sdk(cast.workspace, kind=ApiKey.Kind.SECRET, scopes=["events:write"])
    body = server.post(about(cast, "unsubscribed", external_user_id="asha")).json()
    assert [(one["code"], one["part"]) for one in body["ignored"]] == [("ref_of_a_test", "ref")]
    digest.digest_due(timezone.now())
    assert Consent.objects.get().status == Consent.Status.OPTED_OUT


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked", "converted", "failed"])
def test_what_else_the_customers_server_vouches_for_changes_nothing(cast, kind):
    Contact.objects.create(workspace=cast.workspace, external_id="asha")
    server = make_sdk(cast.workspace, kind=ApiKey.Kind.SECRET, scopes=["events:write"])
    body = server.post(about(cast, kind, external_user_id="asha")).json()
    assert [(one["code"], one["part"]) for one in body["ignored"]] == [("ref_of_a_test", "event")]
    assert counted() == [0, 0, 0, 0, 0]


def test_the_test_of_another_workspace_is_foreign(cast, other_sdk):
    body = other_sdk.post(about(cast, "opened")).json()
    assert [one["code"] for one in body["ignored"]] == ["ref_foreign"]
