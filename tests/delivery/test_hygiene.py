"""A device is retired for two reasons and for nothing else, however a provider says no."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import product

import pytest
from django.utils import timezone

from campaigns.contacts import endpoints
from campaigns.models import Contact, Endpoint
from delivery.engine import pipeline, record
from delivery.providers.base import Verdict
from delivery.providers.fcm.sender import interpret
from delivery.providers.http2 import Answer, Failure
from tenants.scope import scope
from tests.story import add_people, run_to_the_end

STATUSES = (200, 301, 400, 401, 403, 404, 408, 409, 413, 418, 429, 500, 502, 503, 504)
CODES = (
    "", "UNREGISTERED", "SENDER_ID_MISMATCH", "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "QUOTA_EXCEEDED",
    "UNAVAILABLE", "INTERNAL", "THIRD_PARTY_AUTH_ERROR", "UNAUTHENTICATED", "UNSPECIFIED_ERROR", "MADE_UP",
)  # fmt: skip
FIELDS = ("", "message.token", "message.fid", "message.android.ttl", "message.data")
TOKEN_IS_BAD = "The registration token is not a valid FCM registration token"


def answer_of(status, code, field="", message=""):
    details = (
        [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]
        if code
        else []
    )
    if field:
        details.append({"@type": "x", "fieldViolations": [{"field": field, "description": "bad"}]})
    body = {"error": {"status": code, "message": message, "details": details}}
    return interpret(Answer(7, status, json.dumps(body).encode()))


def test_of_every_answer_only_two_kinds_mean_that_the_address_is_gone():
    gone = {
        (status, code, field)
        for status, code, field in product(STATUSES, CODES, FIELDS)
        if answer_of(status, code, field).verdict is Verdict.GONE
    }
    about_the_token = {
        (400, code, field) for code in CODES for field in ("message.token", "message.fid")
    }
    dead = {(404, "UNREGISTERED", field) for field in FIELDS}
    assert gone == about_the_token | dead
    assert answer_of(400, "INVALID_ARGUMENT", message=TOKEN_IS_BAD).verdict is Verdict.GONE
    assert (
        answer_of(400, "INVALID_ARGUMENT", "message.android.ttl", TOKEN_IS_BAD).verdict
        is Verdict.PAYLOAD_WRONG
    )
    assert {interpret(Answer(7, 0, b"", failure=failure)).verdict for failure in Failure} == {
        Verdict.LATER, Verdict.AMBIGUOUS,
    }  # fmt: skip


# What the phone does in the sandbox → why it is retired; None: it is not.
BEHAVIOURS = {
    "ok": None, "unregistered": "UNREGISTERED", "mismatch": None, "invalid": "INVALID_ARGUMENT",
    "quota": None, "unavailable": None, "internal": None, "flaky": None,
}  # fmt: skip


def test_a_run_retires_the_dead_with_reason_and_time_and_nobody_else(cast, connected, launched):
    add_people(
        cast.workspace, len(BEHAVIOURS), tokens=[f"sbx_{behaviour}_1" for behaviour in BEHAVIOURS]
    )
    before = timezone.now()
    launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        found = {endpoint.value.split("_")[1]: endpoint for endpoint in Endpoint.objects.all()}
    assert {
        behaviour: endpoint.retired_reason or None for behaviour, endpoint in found.items()
    } == BEHAVIOURS
    for behaviour, endpoint in found.items():
        assert endpoint.is_active is (BEHAVIOURS[behaviour] is None)
        assert (
            endpoint.retired_at is None
            if endpoint.is_active
            else before <= endpoint.retired_at <= timezone.now()
        )
    no_run = {endpoints.STALE_REASON, endpoints.REMOVED_REASON, endpoints.MISMATCH_REASON}
    assert set(BEHAVIOURS.values()) - {None} == endpoints.retired_words().keys() - no_run


@pytest.mark.parametrize("behaviour", ["thirdparty", "quota"])
def test_a_broken_connection_or_a_full_quota_retires_nobody(cast, connected, launched, behaviour):
    add_people(cast.workspace, 3, tokens=[f"sbx_{behaviour}_{i}" for i in range(3)])
    launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        assert Endpoint.objects.filter(is_active=True).count() == 3


def test_a_device_that_comes_back_is_sent_to_again(cast, connected, launched):
    add_people(cast.workspace, 2, tokens=["sbx_unregistered_1", "sbx_ok_1"])
    run_to_the_end(launched())
    with scope(cast.workspace):
        contact = Contact.objects.get(endpoints__value="sbx_unregistered_1").external_id
        assert run_to_the_end(launched(name="Second")).tally == {
            "accepted": 1,
            "endpoint_inactive": 1,
        }
        endpoints.register(
            cast.workspace,
            contact,
            "app_push",
            "token",
            "sbx_unregistered_1",
            "android",
            timezone.now(),
        )
    assert run_to_the_end(launched(name="Third")).tally == {"accepted": 1, "endpoint_gone": 1}


def test_a_device_that_registered_while_the_answer_was_on_its_way_stays(cast, connected):
    now = timezone.now()
    with scope(cast.workspace):
        add_people(cast.workspace, 2)
        fresh, old = Endpoint.objects.order_by("pk")
        Endpoint.objects.filter(pk=fresh.pk).update(last_seen_at=now - timedelta(seconds=2))
        Endpoint.objects.filter(pk=old.pk).update(last_seen_at=now - timedelta(days=2))
        record.retire({fresh.pk: "UNREGISTERED", old.pk: "UNREGISTERED"}, now)
        assert list(Endpoint.objects.filter(is_active=True)) == [fresh]
