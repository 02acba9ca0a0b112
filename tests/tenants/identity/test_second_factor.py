"""Authenticator app, recovery codes and what an attacker posts to the passkey pages."""

from __future__ import annotations

import json
import re

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from tenants import mfa
from tenants.secrets import Rotation
from tests.tenants.api.app import App
from tests.tenants.identity.people import (
    account,
    browser,
    code_of,
    next_code_comes,
    recovery_codes,
    set_up_totp,
    sign_in,
    signed_in_as,
    text,
)

pytestmark = pytest.mark.once

OLD_KEY, NEW_KEY, STRANGE_KEY = (
    f"{name}-key-of-at-least-thirty-two-characters" for name in ("old", "new", "strange")
)


@pytest.fixture
def asha(db, settings):
    settings.ENCRYPTION_KEYS = [OLD_KEY]
    return account()


def test_the_password_alone_no_longer_signs_in(asha):
    set_up_totp(browser(asha))
    client, page = sign_in()
    assert "One more step" in text(page)
    assert signed_in_as(client) is None


@pytest.mark.parametrize("use", ["sign-in", "again", "api"])
def test_the_code_that_set_the_app_up_is_used(asha, use):
    client = browser(asha)
    page = text(client.get("/accounts/2fa/totp/activate/"))
    secret = re.search(r'<code class="pp-key">(\w+)</code>', page)[1]
    code = code_of(secret)
    client.post("/accounts/2fa/totp/activate/", {"code": code})
    if use == "sign-in":
        other, _ = sign_in()
        other.post("/accounts/2fa/authenticate/", {"code": code})
        assert signed_in_as(other) is None
    elif use == "again":
        answer = client.post("/accounts/2fa/reauthenticate/", {"code": code})
        assert answer.context["form"].errors.keys() == {"code"}
    else:
        assert App().login(code=code).json()["code"] == "wrong_code"
    next_code_comes()
    other, _ = sign_in()
    other.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert signed_in_as(other) == asha


def test_the_code_of_the_app_signs_in_once(asha):
    secret = set_up_totp(browser(asha))
    code = code_of(secret)
    client, _ = sign_in()
    client.post("/accounts/2fa/authenticate/", {"code": code})
    assert signed_in_as(client) == asha
    again, _ = sign_in()
    page = again.post("/accounts/2fa/authenticate/", {"code": code})
    assert "That did not match" in text(page)
    assert signed_in_as(again) is None


def test_a_recovery_code_signs_in_once(asha):
    client = browser(asha)
    set_up_totp(client)
    codes = recovery_codes(client)
    assert len(codes) == 10
    first, _ = sign_in()
    first.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert signed_in_as(first) == asha
    second, _ = sign_in()
    second.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert signed_in_as(second) is None
    assert 'data-left="9"' in text(client.get("/accounts/2fa/"))


def test_codes_cannot_be_guessed_without_end(asha):
    set_up_totp(browser(asha))
    client, _ = sign_in()
    pages = [
        text(client.post("/accounts/2fa/authenticate/", {"code": f"00000{n}"})) for n in range(7)
    ]
    assert "Too many attempts" in pages[-1]


def test_changing_the_second_step_needs_the_password_again(asha):
    client, _ = sign_in()
    for path in ("totp/activate/", "webauthn/add/", "recovery-codes/generate/"):
        assert (
            client.get(f"/accounts/2fa/{path}")
            .headers["Location"]
            .startswith("/accounts/reauthenticate/")
        )


@pytest.mark.django_db(transaction=True)
def test_each_change_is_told_by_mail_in_our_words(mailoutbox):
    client = browser(account())
    set_up_totp(client)
    client.post("/accounts/2fa/recovery-codes/generate/")
    client.post("/accounts/2fa/totp/deactivate/")
    assert [mail.subject for mail in mailoutbox] == [
        "An authenticator app was set up for your PushPilot account",
        "New recovery codes for your PushPilot account",
        "The authenticator app of your PushPilot account was turned off",
    ]
    assert "http://localhost:8000/accounts/password/reset/" in mailoutbox[0].body


# --- at rest --------------------------------------------------------------------------------------
def stored() -> dict[str, str]:
    return {
        row.type: row.data.get("secret") or row.data.get("seed")
        for row in Authenticator.objects.all()
    }


def test_secrets_are_encrypted_in_the_database(asha):
    secret = set_up_totp(browser(asha))
    assert set(stored()) == {"totp", "recovery_codes"}
    assert secret not in json.dumps(stored())
    assert all(value.startswith("gAAAAA") for value in stored().values())


def test_resealing_moves_every_secret_to_the_new_key(asha, settings):
    client = browser(asha)
    secret, codes = set_up_totp(client), recovery_codes(client)
    settings.ENCRYPTION_KEYS = [NEW_KEY, OLD_KEY]
    assert mfa.reseal_authenticators() == Rotation(current=0, moved=2)
    assert mfa.reseal_authenticators() == Rotation(current=2, moved=0)
    settings.ENCRYPTION_KEYS = [NEW_KEY]
    assert Authenticator.objects.get(type="totp").wrap().validate_code(code_of(secret))
    assert Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes() == codes


def test_a_secret_that_no_key_fits_stays_and_is_named_while_the_others_move(
    asha, settings, monkeypatch
):
    monkeypatch.setattr(mfa, "BATCH", 1)
    set_up_totp(browser(asha))
    settings.ENCRYPTION_KEYS = [STRANGE_KEY]
    set_up_totp(browser(account("other@example.com")))
    settings.ENCRYPTION_KEYS = [OLD_KEY]
    set_up_totp(browser(account("third@example.com")))
    settings.ENCRYPTION_KEYS = [NEW_KEY, STRANGE_KEY]
    before = {
        row.pk: row.data for row in Authenticator.objects.exclude(user__email="other@example.com")
    }
    # the secret and, made with it, the recovery seed
    assert mfa.reseal_authenticators(dry_run=True).moved == 2
    found = mfa.reseal_authenticators()
    assert (found.current, found.moved, len(found.unreadable)) == (0, 2, 4)
    assert f"user {asha.pk}, authenticator " in found.unreadable[0]
    assert {pk: Authenticator.objects.get(pk=pk).data for pk in before} == before


def test_a_wrong_key_lets_nobody_in_and_says_why(asha, settings):
    client = browser(asha)
    secret = set_up_totp(client)
    settings.ENCRYPTION_KEYS = [STRANGE_KEY]
    stranger, _ = sign_in()
    page = stranger.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert "this server lost the key" in text(page)
    assert signed_in_as(stranger) is None
    assert client.get("/accounts/2fa/").status_code == 200
    codes = client.get("/accounts/2fa/recovery-codes/")
    assert codes.status_code == 403
    assert "this server lost the key" in text(codes)


# --- hostile input at the passkey pages -----------------------------------------------------------
HANDLE = {"response": {"userHandle": "MQ"}}
CREDENTIALS = [
    "", "x", "[]", "5", "null", '"x"', "{}", '{"id": 1}', '{"response": 5}', '{"response": {}}', json.dumps(HANDLE),
    '{"response": {"userHandle": 5}}', '{"response": {"userHandle": "%%%"}}', '{"response": {"userHandle": "_____w"}}',
    json.dumps({"response": {"userHandle": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"}}),
    json.dumps({"id": "a", "rawId": "a", "type": "public-key", "response": {
        "clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "userHandle": "MQ"}}),
    json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": {
        "clientDataJSON": "e30", "attestationObject": "AA"}}),
    json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "clientExtensionResults": [], "response": {
        "clientDataJSON": "bnVsbA", "attestationObject": "oA"}}),
]  # fmt: skip


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_credential_that_is_none_signs_nobody_in(asha, credential):
    client = Client()
    client.get("/accounts/2fa/webauthn/login/", headers={"Accept": "application/json"})
    page = client.post("/accounts/2fa/webauthn/login/", {"credential": credential}, follow=True)
    assert page.status_code == 200
    assert signed_in_as(client) is None


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_credential_that_is_none_is_not_added(asha, credential):
    client = browser(asha)
    client.get("/accounts/2fa/webauthn/add/")
    page = client.post(
        "/accounts/2fa/webauthn/add/", {"credential": credential, "passwordless": "on"}
    )
    assert page.status_code == 200
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_credential_that_is_none_is_no_second_step(asha, credential):
    set_up_totp(browser(asha))
    client, _ = sign_in()
    page = client.post("/accounts/2fa/authenticate/", {"credential": credential})
    assert page.status_code == 200
    assert signed_in_as(client) is None


def test_a_passkey_of_another_person_is_404(asha):
    theirs = Authenticator.objects.create(
        user=account("other@example.com"), type="webauthn", data={"name": "x"}
    )
    client = browser(asha)
    for verb in ("edit", "remove"):
        assert client.get(f"/accounts/2fa/webauthn/keys/{theirs.pk}/{verb}/").status_code == 404
        assert (
            client.post(
                f"/accounts/2fa/webauthn/keys/{theirs.pk}/{verb}/", {"name": "y"}
            ).status_code
            == 404
        )
    theirs.refresh_from_db()
    assert theirs.data == {"name": "x"}
