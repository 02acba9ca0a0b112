"""How much is read of a body of events: never more than the cap, whatever was declared."""

from io import BytesIO

import pytest
from django.test import RequestFactory

from pushpilot.lib.problems import Problem
from reports import intake
from reports.api import event_routes


class Endless:
    """A stream that never ends; counts what was taken from it."""

    taken = 0

    def read(self, size: int) -> bytes:
        self.taken += min(size, 65_536)
        return b"x" * min(size, 65_536)


class InParts(list):
    """A stream that gives one part at each read, as a chunked body comes."""

    def read(self, size: int) -> bytes:
        return self.pop(0) if self else b""


def test_a_body_as_large_as_the_cap_is_read_and_one_more_byte_refuses_it():
    whole = b"x" * intake.BATCH_LIMIT_BYTES
    assert intake.read_body(BytesIO(whole), len(whole)) == whole
    assert intake.read_body(InParts([whole[:100], whole[100:]]), None) == whole
    with pytest.raises(Problem):
        intake.read_body(InParts([whole, b"x"]), None)


def test_nothing_is_read_of_a_body_that_declares_more_than_the_cap():
    with pytest.raises(Problem):
        intake.read_body(stream := Endless(), intake.BATCH_LIMIT_BYTES + 1)
    assert stream.taken == 0


def test_a_body_without_a_declared_length_is_read_to_the_cap_and_no_further():
    request = RequestFactory().generic("POST", "/api/v1/events", b"-", "application/json")
    request.META |= {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_LENGTH": "",
        "wsgi.input": (stream := Endless()),
    }
    with pytest.raises(Problem) as refusal:
        event_routes._body(request)
    assert refusal.value.status == 413
    assert stream.taken == intake.BATCH_LIMIT_BYTES + 1


def test_a_chunked_body_within_the_cap_is_read():
    request = RequestFactory().generic("POST", "/api/v1/events", b"-", "application/json")
    request.META |= {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_LENGTH": "",
        "wsgi.input": BytesIO(b'{"a":1}'),
    }
    assert event_routes._body(request) == b'{"a":1}'
