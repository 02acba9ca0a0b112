"""A workspace with its keys, a small SDK that posts with them, and a campaign that was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from reports import digest
from reports.allowance import allowance
from tenants import identity, keys
from tenants.models import ApiKey, Workspace
from tenants.scope import every_workspace, scope
from tests.reports.made import Sent, make_sent


@dataclass
class Sdk:
    """Posts events as a phone does."""

    key: ApiKey
    secret: str

    def post_raw(self, body: bytes | str, **headers: Any) -> HttpResponse:
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        content_type = headers.pop("content_type", "application/json")
        options = {
            "HTTP_AUTHORIZATION": f"Bearer {self.secret}",
            "CONTENT_TYPE": content_type,
            **headers,
        }
        return client.generic("POST", "/api/v1/events", body, content_type, **options)

    def post(self, *events: dict[str, Any], **envelope: Any) -> HttpResponse:
        return self.post_raw(json.dumps({"batch": list(events), **envelope}))

    def post_and_digest(self, *events: dict[str, Any]) -> HttpResponse:
        response = self.post(*events)
        digest.digest_due(timezone.now())
        return response


def make_sdk(workspace: Workspace, **fields: Any) -> Sdk:
    key = ApiKey(workspace=workspace, name="Android app", **fields)
    with scope(workspace):
        secret = keys.create(key, by=None)
    return Sdk(key, secret)


@pytest.fixture(autouse=True)
def _nothing_remembered():
    keys.forget_all()
    allowance.forget()


@pytest.fixture
def everywhere(db) -> Iterator[None]:
    """A test that looks at the rows of both tenants."""
    with every_workspace():
        yield


@pytest.fixture
def sent(cast) -> Sent:
    return make_sent(cast.workspace)


@pytest.fixture
def sdk(cast) -> Sdk:
    return make_sdk(cast.workspace)


@pytest.fixture
def other_sdk(cast) -> Sdk:
    return make_sdk(cast.other_workspace)


@pytest.fixture
def server(cast) -> Sdk:
    """The customer's server: a secret key that may write events."""
    return make_sdk(cast.workspace, kind=ApiKey.Kind.SECRET, scopes=[keys.EVENTS_WRITE])


@pytest.fixture
def secret(cast) -> str:
    """The identity secret of the workspace."""
    with scope(cast.workspace):
        return identity.make(cast.workspace, by=cast.owner, now=timezone.now())
