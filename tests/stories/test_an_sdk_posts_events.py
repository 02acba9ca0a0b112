"""Journey 2: an SDK posts events with a write key; the dashboard moves; what is repeated counts
once."""

import json

import pytest

from campaigns.models import Consent, Contact
from pushpilot.lib.signing import sign_reference
from reports import tasks
from reports.models import InboxBatch
from tenants import keys
from tenants.models import ApiKey
from tenants.scope import every_workspace, scope
from tests.story import add_people, run_to_the_end, write_campaign


@pytest.fixture
def write_key(cast) -> str:
    key = ApiKey(workspace=cast.workspace, name="App")
    with scope(cast.workspace):
        return keys.create(key, by=None)


@pytest.fixture
def post(client, write_key):
    def send(*events: object, key: str = write_key):
        return client.post(
            "/api/v1/events", json.dumps({"batch": events}), content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )  # fmt: skip

    return send


@pytest.fixture
def sent(cast, connected, settings):
    """A run that went out to ten people, and the references their phones got."""
    from datetime import timedelta

    from django.utils import timezone

    from campaigns import plan
    from delivery.models import Message

    settings.SEND_UNDO = timedelta()
    add_people(cast.workspace, 10)
    campaign = write_campaign(cast.workspace)
    with scope(cast.workspace):
        run = plan.schedule(campaign, by=cast.owner, now=timezone.now())
    run_to_the_end(run)
    with scope(cast.workspace):
        ids = Message.objects.filter(run=run).order_by("pk").values_list("pk", flat=True)
        return run, [sign_reference(cast.workspace.pk, campaign.pk, run.pk, pk) for pk in ids]


def figures(cast, run) -> dict:
    return cast.client("viewer").get(cast.url(f"reports/event/run/{run.pk}/figures/")).json()


def test_the_report_changes_and_a_repeated_event_id_counts_once(cast, sent, post):
    run, references = sent
    opened = [
        {"event_id": f"o-{i}", "type": "opened", "ref": ref} for i, ref in enumerate(references[:4])
    ]
    answer = post(*opened, opened[0])
    assert answer.status_code == 202
    with every_workspace():
        assert InboxBatch.objects.count() == 1  # durable before the answer
    tasks.digest()
    assert post(*opened).status_code == 202
    tasks.digest()
    assert figures(cast, run)["opened"] == 4
    assert cast.client("viewer").get(cast.url()).status_code == 200


def test_a_forged_reference_moves_nobodys_figures(cast, sent, post):
    run, references = sent
    forged = references[0][:-2] + ("AA" if references[0][-2:] != "AA" else "BB")
    assert post({"event_id": "x", "type": "opened", "ref": forged}).status_code == 202
    tasks.digest()
    assert figures(cast, run)["opened"] == 0


def test_who_unsubscribes_on_the_phone_is_out_of_the_next_audience(cast, sent, post):
    _, references = sent
    post({"event_id": "u", "type": "unsubscribed", "ref": references[0]})
    tasks.digest()
    with scope(cast.workspace):
        first = Contact.objects.order_by("pk").first()
        assert Consent.objects.get().contact == first
        assert Consent.objects.get().status == Consent.Status.OPTED_OUT


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"batch": 7}', b"\xff\xfe", b'{"batch": [NaN]}']
)
def test_malformed_bodies_get_a_problem_and_never_a_500(client, write_key, body):
    answer = client.post(
        "/api/v1/events",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {write_key}"},
    )
    assert 400 <= answer.status_code < 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"]


def test_an_unknown_key_gets_a_problem(post):
    answer = post({"event_id": "x", "type": "opened"}, key="pp_live_nobody")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
