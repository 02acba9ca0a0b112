"""The API keeps what its OpenAPI document says, whatever is sent: schemathesis makes the requests
from the document, right ones and wrong ones, and an owner sends them about rows that exist."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
import schemathesis
from allauth.account.models import EmailAddress
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, models
from django.urls import get_resolver
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from campaigns.models import Campaign, Run, Template
from delivery.models import DirectSend, Message
from pushpilot.api import api
from pushpilot.wsgi import application
from tenants.models import Invitation, Membership, Workspace
from tenants.scope import scope
from tests.house.rows import Rows, rows_of
from tests.tenants.api.app import App

EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "8"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# {parameter of an address: the model of the row that it names}
NAMED: dict[str, type[models.Model]] = {
    "campaign": Campaign,
    "invitation": Invitation,
    "member": Membership,
    "notification": Message,
    "send": DirectSend,
    "template": Template,
}

assert get_resolver().url_patterns  # ninja mounts routers in routers when the URLconf is read
schema = schemathesis.openapi.from_dict(api.get_openapi_schema())
schema.app = application
_turns = itertools.count()


@pytest.fixture
def rows(cast: Any, settings: Any) -> Rows:
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    made = rows_of(cast.workspace)
    with scope(cast.workspace):
        made[Message] = Message.objects.get(run=made[Run])
    return made


@pytest.fixture
def owner(cast: Any) -> str:
    """The Authorization header of the workspace's owner."""
    EmailAddress.objects.create(
        user=cast.owner, email=cast.owner.email, verified=True, primary=True
    )
    return str(App().sign_in(cast.owner.email, "correct horse").authorization)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_an_operation_answers_as_it_is_documented(case: Any, rows: Rows, owner: str) -> None:
    if next(_turns) % 3:  # else the ids and names stay invented
        for name in case.path_parameters:
            if name == "workspace":
                case.path_parameters[name] = rows[Workspace].slug
            elif name in NAMED:
                case.path_parameters[name] = rows[NAMED[name]].pk
        case.headers.pop("X-Workspace-ID", None)
    # As Django's own client does, which connects them again: the test's connection stays open.
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    case.call_and_validate(checks=CHECKS, headers={"Authorization": owner})
