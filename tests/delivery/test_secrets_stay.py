"""Credentials are in no dump, log, error report and repr; and none can be moved to another
workspace."""

from __future__ import annotations

import json
import logging
import re
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection as database
from django.test import RequestFactory
from django.utils import timezone
from django.views.debug import ExceptionReporter

from campaigns.models import Run
from delivery import connections
from delivery.engine import pipeline
from delivery.providers.fcm import account
from delivery.providers.fcm.sender import FcmSender
from pushpilot.lib.redaction import SecretsHidden, without_secrets
from tenants import invitations, keys, secrets
from tenants.models import ApiKey, Connection
from tenants.scope import every_workspace, scope
from tests.tenants.api.calls import app_of


@pytest.fixture
def secret(cast, connected) -> list[str]:
    """What must be seen nowhere: a line of the private key, and the ciphertext."""
    with scope(cast.workspace), database.cursor() as cursor:
        cursor.execute("SELECT sealed FROM tenants_connection")
        ciphertext = cursor.fetchone()[0]
        pem = json.loads(connected.credentials)["private_key"]
    return [pem.splitlines()[3], ciphertext[:60]]


def shown(secret: list[str], text: str) -> list[str]:
    return [part for part in secret if part in text]


def broken(*args, **kwargs):
    raise RuntimeError("something unforeseen")


# --- dumps ----------------------------------------------------------------------------------------
def test_a_dump_of_everything_holds_no_secret(
    cast, connected, secret, mailoutbox, django_capture_on_commit_callbacks
):
    with scope(cast.workspace):
        key = ApiKey(
            workspace=cast.workspace, name="Server", kind="secret", scopes=["events:write"]
        )
        secret.append(keys.create(key, by=cast.owner))
        with django_capture_on_commit_callbacks(execute=True):
            invitations.invite(
                cast.workspace, "new@biddano.test", "member", by=cast.owner, now=timezone.now()
            )
    secret.append(re.search(r"/([\w-]{43})\b", mailoutbox[-1].body)[1])
    Authenticator.objects.create(
        user=cast.owner, type="totp", data={"secret": secrets.encrypt("JBSWY3DPEHPK3PXP")}
    )
    dump = StringIO()
    with every_workspace():
        call_command("dumpdata", "--all", stdout=dump)
    assert shown([*secret, "JBSWY3DPEHPK3PXP", "correct horse"], dump.getvalue()) == []
    [row] = [row for row in json.loads(dump.getvalue()) if row["model"] == "tenants.connection"]
    assert (row["fields"]["sealed"], row["fields"]["settings"]) == ("", connected.settings)


# --- error reports --------------------------------------------------------------------------------
def test_an_error_report_shows_no_credentials(cast, connected, secret, settings, monkeypatch):
    settings.DEBUG = True
    monkeypatch.setattr(account, "load_pem_private_key", broken)
    monkeypatch.setattr(account, "_private_key", lambda pem: account.load_pem_private_key(pem))
    client = cast.client("owner")
    client.raise_request_exception = False
    answer = client.post(cast.url(f"tenants/connection/{connected.pk}/test/"))
    assert answer.status_code == 500
    page = answer.content.decode()
    assert "something unforeseen" in page
    assert (
        shown([*secret, *django_settings.ENCRYPTION_KEYS, django_settings.SECRET_KEY], page) == []
    )


def test_an_error_report_shows_nothing_of_a_form_with_a_key_file(
    cast, secret, settings, monkeypatch
):
    settings.DEBUG = True
    monkeypatch.setattr(account, "load_pem_private_key", broken)
    monkeypatch.setattr(account, "_private_key", lambda pem: account.load_pem_private_key(pem))
    client = cast.client("owner")
    client.raise_request_exception = False
    with scope(cast.workspace):
        form = {
            "name": "Live app",
            "per_second": "9",
            "key_text": Connection.objects.get().credentials,
        }
    page = client.post(cast.url("tenants/connection/add/"), form).content.decode()
    assert "something unforeseen" in page
    assert "Live app" in page
    assert shown(secret, page) == []


def test_an_error_of_the_api_tells_and_logs_nothing_of_a_service_account(
    cast, connected, secret, monkeypatch, caplog
):
    monkeypatch.setattr(account, "load_pem_private_key", broken)
    monkeypatch.setattr(account, "_private_key", lambda pem: account.load_pem_private_key(pem))
    with scope(cast.workspace):
        given = json.loads(connected.credentials)
    owner = app_of(cast.owner)
    owner.client.raise_request_exception = False
    answer = owner.post(
        f"/workspaces/{cast.workspace.slug}/firebase", service_account=given, name="Live"
    )
    assert answer.status_code == 500
    assert "something unforeseen" in caplog.text
    (record,) = [one for one in caplog.records if one.exc_info]
    report = ExceptionReporter(None, *record.exc_info).get_traceback_text()
    html = ExceptionReporter(None, *record.exc_info).get_traceback_html()
    assert "something unforeseen" in html
    for text in (answer.content.decode(), caplog.text, report, html):
        assert shown(secret, text) == []


def test_an_error_report_shows_no_password_of_a_form_or_an_address(settings):
    settings.CACHES = {"default": {"LOCATION": "redis://:hunter2@cache/0"}}
    request = RequestFactory().post(
        "/", {"password1": "hunter2", "full_name": "Noor", "x": "pp_live_" + "a" * 30}
    )
    request.META["EMAIL_URL"] = "smtp://root:hunter2@mail:25"
    hidden = SecretsHidden()
    assert dict(hidden.get_post_parameters(request).items()) == {
        "password1": hidden.cleansed_substitute, "full_name": "Noor", "x": hidden.cleansed_substitute,
    }  # fmt: skip
    seen = str([hidden.get_safe_settings()["CACHES"], hidden.get_safe_request_meta(request)])
    assert ("hunter2" in seen, "…@cache/0" in seen, "…@mail:25" in seen) == (False, True, True)


@pytest.mark.parametrize(
    "text",
    [
        "Bearer-less pp_identity_" + "hunter2-" * 5,
        "pp_test_page.eyJ1c2VyIjoxfQ:1w2x3y:hunter2-_" + "a" * 20,
    ],
)
def test_the_identity_secret_and_the_key_of_a_page_are_told_by_their_look(text):
    hidden = SecretsHidden()
    seen = hidden.get_post_parameters(RequestFactory().post("/", {"x": text}))
    assert seen["x"] == hidden.cleansed_substitute
    assert "hunter2" not in without_secrets(text)


# --- logs -----------------------------------------------------------------------------------------
def test_a_failing_send_and_a_failing_test_log_no_credentials(
    cast, connected, prepared, secret, monkeypatch, caplog
):
    """At the most talkative level, of every library."""
    caplog.set_level(logging.DEBUG)
    run = prepared(3)
    with scope(cast.workspace):
        tokens = [connections.account_of(Connection.objects.get()).mint().value]
        monkeypatch.setattr(FcmSender, "poll", broken)
        pipeline.tick(timezone.now())
        pipeline.work(timezone.now())
        run.refresh_from_db()
        assert run.state == Run.State.PAUSED
        monkeypatch.setattr(account, "GoogleRequest", broken)
        with pytest.raises(RuntimeError):
            connections.test_connection(Connection.objects.get(), by=None)
    assert "something unforeseen" in caplog.text
    assert shown([*secret, *tokens], caplog.text + run.last_error) == []


def test_nothing_shows_credentials_as_its_repr(cast, secret):
    with scope(cast.workspace):
        row = Connection.objects.get()
        opened = connections.account_of(row)
        assert row.credentials
    assert (
        shown(secret, f"{row!r} {row} {opened!r} {opened.mint()!r} {connections.sender_for(row)!r}")
        == []
    )


# --- bound to their row ---------------------------------------------------------------------------
def test_a_ciphertext_copied_to_another_workspace_does_not_decrypt_there(cast, connected):
    with scope(cast.other_workspace):
        Connection.objects.create(
            workspace=cast.other_workspace, name="Stolen", provider="fcm_sandbox"
        )
    with every_workspace(), database.cursor() as cursor:
        cursor.execute(
            "UPDATE tenants_connection SET sealed = (SELECT max(sealed) FROM tenants_connection)"
        )
    with scope(cast.other_workspace):
        stolen = Connection.objects.get()
        with pytest.raises(secrets.SecretUnreadable, match="another workspace"):
            _ = stolen.credentials
        assert connections.test_connection(stolen, by=None).ok is False
    with scope(cast.workspace):
        assert Connection.objects.get().credentials
