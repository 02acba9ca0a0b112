"""What a provider takes at once is its own word: the engine cuts its groups by it."""

from dataclasses import replace

import pytest
from django.utils import timezone

from campaigns.audience.reasons import Reason
from delivery.engine import pipeline
from delivery.engine.compose import Recipient
from delivery.engine.dispatch import batches
from delivery.models import Message
from delivery.providers.base import CredentialsRefused, ProviderUnreachable
from delivery.providers.fcm.provider import FcmSandbox
from delivery.providers.fcm.sender import FcmSender
from tenants.scope import scope
from tests.story import add_people, received, run_to_the_end


def cut(sizes, **limits):
    """The sizes of bodies, batch by batch."""
    group = [(Recipient(at, at, "token", "t", 0, {}), b"x" * size) for at, size in enumerate(sizes)]
    return [
        [len(body) for _, body in batch]
        for batch in batches(group, replace(FcmSandbox.manners, **limits))
    ]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [[10, 20, 30, 40, 50]]),
        ({"batch": 2}, [[10, 20], [30, 40], [50]]),
        ({"batch": 5}, [[10, 20, 30, 40, 50]]),
        ({"batch_bytes": 60}, [[10, 20, 30], [40], [50]]),
        ({"batch_bytes": 90}, [[10, 20, 30], [40, 50]]),
        ({"batch_bytes": 25}, [[10], [20], [30], [40], [50]]),
        ({"batch": 2, "batch_bytes": 60}, [[10, 20], [30], [40], [50]]),
    ],
)
def test_a_group_is_cut_by_number_and_by_bytes(limits, expected):
    assert cut([10, 20, 30, 40, 50], **limits) == expected


def test_an_empty_group_is_no_batch():
    assert cut([], batch=3) == []


@pytest.fixture
def calls(monkeypatch):
    """The sizes of the batches that the sender got; a batch that a test puts an error for raises
    it."""
    monkeypatch.setattr(FcmSandbox, "manners", replace(FcmSandbox.manners, batch=4))
    sizes, errors = [], {}
    send = FcmSender.send

    def count(self, batch):
        listed = list(batch)
        sizes.append(len(listed))
        if error := errors.pop(len(sizes), None):
            raise error
        send(self, listed)

    monkeypatch.setattr(FcmSender, "send", count)
    return sizes, errors


def test_the_sender_gets_no_larger_batch(cast, connected, sandbox, launched, calls):
    add_people(cast.workspace, 10)
    run = run_to_the_end(launched())
    assert calls[0] == [4, 4, 2]
    assert run.tally == {"accepted": 10}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderUnreachable("away"), "UNREACHABLE"),
        (CredentialsRefused("no"), "CREDENTIALS_REFUSED"),
    ],
)
def test_a_batch_that_was_not_sent_waits_with_those_after_it(
    cast, connected, sandbox, prepared, calls, error, code
):
    run = prepared(10)
    sizes, errors = calls
    errors[2] = error
    pipeline.work(timezone.now())
    assert sizes == [4, 4]
    assert len(received(sandbox, connected)) == 4
    with scope(cast.workspace):
        rows = (
            Message.objects.filter(run=run)
            .order_by("pk")
            .values_list("reason", "error_code", "attempts")
        )
        assert (
            list(rows) == [(Reason.ACCEPTED, "", 1)] * 4 + [(Reason.RETRY_SCHEDULED, code, 0)] * 6
        )
