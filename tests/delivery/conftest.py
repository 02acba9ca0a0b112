"""Runs on their way, and accounts at a provider, for the tests of the engine, its pages and its
part of the API."""

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import connection as database
from django.utils import timezone

from campaigns import plan
from campaigns.models import Run
from delivery import connections
from delivery.connections import account_of
from delivery.engine import pipeline
from delivery.models import Message, Shard
from delivery.providers.base import CheckResult
from delivery.providers.fcm import sdk
from tenants.models import Connection
from tenants.scope import scope
from tests.story import add_people, run_to_the_end, write_campaign


@pytest.fixture
def launched(connected, cast, settings):
    """A function that schedules a campaign now and gives its run."""
    settings.SEND_UNDO = timedelta()

    def launch(**fields) -> Run:
        campaign = write_campaign(cast.workspace, **fields)
        with scope(cast.workspace):
            return plan.schedule(campaign, by=cast.owner, now=timezone.now())

    return launch


@pytest.fixture
def prepared(cast, launched):
    """A function that gives a run to `count` new people whose audience is fixed and of which
    nothing is sent."""

    def prepare(count: int = 30, **fields) -> Run:
        add_people(cast.workspace, count, tokens=fields.pop("tokens", None))
        run = launched(**fields)
        with scope(cast.workspace):
            pipeline.launch(run, timezone.now())
            run.refresh_from_db()
            pipeline.prepare(run, timezone.now())
            run.refresh_from_db()
        return run

    return prepare


@pytest.fixture
def retried(cast, connected, launched):
    """A run of one message that was accepted at its second attempt."""
    add_people(cast.workspace, 1, tokens=["sbx_flaky_1"])
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        Message.objects.update(due_at=timezone.now())
        Shard.objects.update(not_before=timezone.now())
    return run_to_the_end(run)


@pytest.fixture
def titles(sandbox, connected):
    """A function that gives the titles that the sandbox's devices received."""

    def read():
        account = account_of(connected)
        found = sandbox.log(account.mint().value, account.project_id)["messages"]
        return [one["message"]["notification"]["title"] for one in found]

    return read


# --- accounts at a provider ----------------------------------------------------------------------
@pytest.fixture(scope="session")
def private_key():
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def key_file(private_key):
    """A function that gives a service-account JSON as Google makes them; fields can be changed
    or removed (None)."""

    def make(**changes) -> str:
        fields = {
            "type": "service_account",
            "project_id": "biddano-app",
            "private_key_id": "0123456789abcdef",
            "private_key": private_key,
            "client_email": "firebase-adminsdk-x1@biddano-app.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
            **changes,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None})

    return make


@pytest.fixture
def fcm(cast, key_file):
    """A Firebase connection that is in use."""
    with scope(cast.workspace):
        row = Connection(workspace=cast.workspace, name="Live app", provider="fcm", per_second=500)
        connections.store_account(row, key_file())
        row.is_active = True
        connections.save_and_pause_orphans(row)
    return row


@pytest.fixture
def no_leak(private_key):
    """A function that says that an answer holds no part of the private key."""
    lines = [line for line in private_key.splitlines() if not line.startswith("-----")]

    def check(answer) -> str:
        html = answer.content.decode()
        assert not any(line in html for line in lines)
        assert "PRIVATE KEY" not in html
        return html

    return check


@pytest.fixture
def google(monkeypatch):
    """A list of the accounts that Google was asked about; `google.answers(ok)` says what it
    answers."""

    class Google(list):
        result = CheckResult(True, "Connected to Google.")

        def answers(
            self, *, ok, message="Google refused the service account.", is_unanswered=False
        ):
            self.result = CheckResult(ok, message, is_unanswered=is_unanswered)

        def check(self, account):
            assert len(database.savepoint_ids) == depth, (
                "the provider may take 20 seconds: no lock is held meanwhile"
            )
            self.append(account.project_id)
            return self.result

    depth = len(database.savepoint_ids)
    asked = Google()
    monkeypatch.setattr(sdk, "check", asked.check)
    return asked
