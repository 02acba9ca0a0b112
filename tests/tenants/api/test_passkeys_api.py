"""Adding, removing and using passkeys by API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone
from fido2.utils import websafe_encode

from tenants.models import User
from tests.tenants.api.app import App, refused
from tests.tenants.api.passkeys import (
    AUTHENTICATE,
    ENROLL,
    Device,
    enroll,
    prove,
    sign_in_with,
)
from tests.tenants.identity.people import account, browser, code_of, set_up_totp


# --- adding ---------------------------------------------------------------------------------------
def test_a_passkey_is_added_in_two_steps_and_listed(ashas, asha):
    made = enroll(ashas, Device(), name="Work phone")
    assert (made["name"], made["is_passwordless"], made["last_used_at"]) == (
        "Work phone",
        True,
        None,
    )
    listed = ashas.get("/auth/passkeys").json()
    assert listed["count"] == 1
    assert listed["results"][0]["id"] == made["id"] == Authenticator.objects.get(type="webauthn").pk
    assert ashas.get("/auth/user").json()["second_factors"] == ["recovery_codes", "webauthn"]


def test_the_first_one_brings_recovery_codes_which_are_shown_once(ashas, asha):
    codes = enroll(ashas, Device())["recovery_codes"]
    assert len(codes) == 10
    assert App().login(code=codes[0]).status_code == 200
    assert enroll(ashas, Device())["recovery_codes"] == []


def test_without_a_name_it_gets_one(ashas):
    assert enroll(ashas, Device())["name"] == "My passkey"
    assert enroll(ashas, Device())["name"] == "Passkey 2"


@pytest.mark.parametrize("path", [ENROLL, f"{ENROLL}/"])
def test_adding_needs_a_proof_of_the_last_five_minutes(ashas, path):
    answer = ashas.post(path)
    assert refused(answer) == (403, "proof_needed")
    assert answer.json()["methods"] == ["password"]
    prove(ashas)
    assert ashas.post(path).status_code == 200
    session = Session.objects.get()
    store = session.get_session_store_class()(session.session_key)
    for record in store["account_authentication_methods"]:
        record["at"] -= 301
    store.save()
    assert refused(ashas.post(path)) == (403, "proof_needed")


def test_an_address_that_waits_for_its_confirmation_stops_it(ashas, asha):
    asha.emailaddress_set.create(email="new@example.com", verified=False)
    prove(ashas)
    assert refused(ashas.post(ENROLL)) == (409, "refused")


def test_options_make_one_passkey(ashas):
    prove(ashas)
    options = ashas.post(ENROLL).json()["options"]
    credential = Device().create(options)
    assert ashas.post(ENROLL, credential=credential).status_code == 201
    answer = ashas.post(ENROLL, credential=Device().create(options))
    assert refused(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["field"] == "credential"
    assert Authenticator.objects.filter(type="webauthn").count() == 1


def test_one_that_asks_for_no_finger_is_no_way_in_alone(ashas):
    prove(ashas)
    options = ashas.post(ENROLL).json()["options"]
    answer = ashas.post(ENROLL, credential=Device(verifies=False).create(options))
    assert refused(answer) == (422, "invalid")
    assert not Authenticator.objects.exists()


CREDENTIALS = [
    {},
    {"id": 1},
    {"response": 5},
    {"response": {}},
    {"response": {"userHandle": "MQ"}},
    {"response": {"userHandle": "%%%"}},
    {
        "id": "AA",
        "rawId": "AA",
        "type": "public-key",
        "response": {"clientDataJSON": "e30", "attestationObject": "AA"},
    },
    {
        "id": "a",
        "rawId": "a",
        "type": "public-key",
        "response": {
            "clientDataJSON": "e30",
            "authenticatorData": "AA",
            "signature": "AA",
            "userHandle": "MQ",
        },
    },
]


@pytest.mark.parametrize("credential", [*CREDENTIALS, "x", [], 5])
def test_what_is_no_credential_is_named(ashas, credential):
    prove(ashas)
    ashas.post(ENROLL)
    answer = ashas.post(ENROLL, credential=credential)
    assert refused(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["field"] == "credential"
    assert not Authenticator.objects.exists()


NESTED = websafe_encode(b"\x81" * 5_000)  # a list in a list in a list, as CBOR


def test_an_answer_without_a_bottom_is_refused(ashas, app):
    prove(ashas)
    credential = Device().create(ashas.post(ENROLL).json()["options"])
    credential["response"]["attestationObject"] = NESTED
    assert refused(ashas.post(ENROLL, credential=credential)) == (422, "invalid")
    token = app.post(AUTHENTICATE).json()["passkey_token"]
    flags = b"\x80" + bytes(4)  # extensions follow
    data = websafe_encode(bytes(32) + flags + b"\x81" * 5_000)
    credential["response"] |= {"authenticatorData": data, "signature": "AA", "userHandle": "MQ"}
    answer = app.post(AUTHENTICATE, passkey_token=token, credential=credential)
    assert refused(answer) == (401, "passkey_refused")


@pytest.mark.parametrize("extensions", [{"credProps": None}, {"credProps": 5}, {"credProps": []}])
def test_an_answer_that_no_page_could_read_again_is_not_kept(ashas, extensions):
    prove(ashas)
    credential = Device().create(ashas.post(ENROLL).json()["options"])
    credential["clientExtensionResults"] = extensions
    answer = ashas.post(ENROLL, credential=credential)
    assert refused(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["field"] == "credential"
    assert not Authenticator.objects.exists()


def test_a_passkey_is_added_once_for_a_key(ashas):
    prove(ashas)
    body = {"credential": Device().create(ashas.post(ENROLL).json()["options"])}
    first, second = (
        ashas.ask("POST", ENROLL, body, **{"Idempotency-Key": "k-1"}) for _ in range(2)
    )
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert Authenticator.objects.filter(type="webauthn").count() == 1


def test_a_new_passkey_is_told_by_mail_and_no_mail_server_stops_it(ashas, mailoutbox, monkeypatch):
    enroll(ashas, Device())
    assert "passkey" in mailoutbox[0].subject

    def refuse(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    enroll(ashas, Device())
    assert ashas.get("/auth/passkeys").json()["count"] == 2


# --- removing -------------------------------------------------------------------------------------
def test_a_passkey_is_removed_and_signs_nobody_in(ashas):
    device = Device()
    pk = enroll(ashas, device)["id"]
    assert ashas.delete(f"/auth/passkeys/{pk}").status_code == 204
    assert refused(sign_in_with(device)) == (401, "passkey_refused")
    assert not Authenticator.objects.exists()  # the recovery codes have gone with it


def test_removing_needs_a_proof(app, asha):
    first = App().sign_in(asha.email)
    pk = enroll(first, Device(), passwordless=False)["id"]
    code = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()[0]
    assert app.login(code=code).status_code == 200
    answer = app.delete(f"/auth/passkeys/{pk}")
    assert refused(answer) == (403, "proof_needed")
    assert answer.json()["methods"] == ["password", "recovery_codes", "webauthn"]


def test_a_passkey_of_somebody_else_is_not_there(ashas):
    theirs = Authenticator.objects.create(
        user=account("other@example.com"), type="webauthn", data={"name": "x"}
    )
    prove(ashas)
    for pk in (theirs.pk, 999_999, 10**30):
        assert refused(ashas.delete(f"/auth/passkeys/{pk}")) == (404, "passkey_not_found")
    assert ashas.get("/auth/passkeys").json()["results"] == []


# --- signing in -----------------------------------------------------------------------------------
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_passkey_alone_signs_its_person_in(ashas, asha, slash):
    device, app = Device(), App()
    enroll(ashas, device)
    begun = app.post(AUTHENTICATE + slash).json()
    credential = device.get(begun["options"])
    answer = app.keep(
        app.post(AUTHENTICATE + slash, passkey_token=begun["passkey_token"], credential=credential)
    )
    assert answer.json()["user"]["email"] == asha.email
    assert app.is_in()
    refreshed = app.post("/auth/refresh", refresh_token=app.tokens["refresh_token"])
    assert refreshed.status_code == 200
    key = UserSession.objects.latest("pk").session_key
    assert Session.objects.get(pk=key).expire_date > timezone.now() + timedelta(days=13)


def test_a_passkey_needs_no_code_beside_it(app, asha):
    secret, device = set_up_totp(browser(asha)), Device()
    app.login(code=code_of(secret))
    assert enroll(app, device)["recovery_codes"] == []
    assert sign_in_with(device).status_code == 200


def test_an_answer_counts_once(ashas):
    device, app = Device(), App()
    enroll(ashas, device)
    begun = app.post(AUTHENTICATE).json()
    body = {"passkey_token": begun["passkey_token"], "credential": device.get(begun["options"])}
    assert app.post(AUTHENTICATE, **body).status_code == 200
    assert refused(app.post(AUTHENTICATE, **body)) == (401, "session_ended")


def test_an_answer_to_other_options_is_refused(ashas):
    device, app = Device(), App()
    enroll(ashas, device)
    options = app.post(AUTHENTICATE).json()["options"]
    token = app.post(AUTHENTICATE).json()["passkey_token"]
    answer = app.post(AUTHENTICATE, passkey_token=token, credential=device.get(options))
    assert refused(answer) == (401, "passkey_refused")


def test_a_stranger_in_the_name_of_somebody_is_refused(ashas):
    device, thief = Device(), Device()
    enroll(ashas, device)
    thief.id, thief.user_handle = device.id, device.user_handle
    assert refused(sign_in_with(thief)) == (401, "passkey_refused")


def test_one_that_asks_for_no_finger_signs_nobody_in_alone(ashas):
    device = Device(verifies=False)
    enroll(ashas, device, passwordless=False)
    assert refused(sign_in_with(device)) == (401, "passkey_refused")


@pytest.mark.parametrize("credential", CREDENTIALS[1:])
def test_what_is_no_credential_signs_nobody_in(app, asha, credential):
    token = app.post(AUTHENTICATE).json()["passkey_token"]
    answer = app.post(AUTHENTICATE, passkey_token=token, credential=credential)
    assert refused(answer) == (401, "passkey_refused")


def test_a_deactivated_account_stays_closed(ashas):
    device = Device()
    enroll(ashas, device)
    User.objects.update(is_active=False)
    assert refused(sign_in_with(device)) == (403, "account_inactive")


def test_sign_ins_are_limited(app, asha):
    token = app.post(AUTHENTICATE).json()["passkey_token"]
    body = {"passkey_token": token, "credential": {"id": "x"}}
    answers = [app.post(AUTHENTICATE, **body).status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]


@pytest.mark.parametrize("token", [None, "", "x", "access_token", "refresh_token"])
def test_no_other_token_stands_for_the_options(ashas, token):
    sent = ashas.tokens.get(token, token) if token else token
    body = {} if sent is None else {"passkey_token": sent}
    answer = App().post(AUTHENTICATE, credential={"id": "x"}, **body)
    assert refused(answer) in {(401, "token_invalid"), (422, "invalid")}


def test_a_token_of_the_options_opens_nothing(app, asha):
    token = app.post(AUTHENTICATE).json()["passkey_token"]
    app.authorization = f"Bearer {token}"
    assert refused(app.get("/workspaces")) == (401, "token_invalid")
    assert refused(app.post("/auth/refresh", refresh_token=token)) == (401, "token_invalid")


# --- as the second step ---------------------------------------------------------------------------
def test_a_passkey_is_the_second_step_after_the_password(ashas):
    device, app = Device(verifies=False), App()
    enroll(ashas, device, passwordless=False)
    waiting = app.login()
    assert refused(waiting) == (401, "second_factor_required")
    assert waiting.json()["methods"] == ["recovery_codes", "webauthn"]
    token = waiting.json()["second_factor_token"]
    assert sign_in_with(device, app, second_factor_token=token).status_code == 200
    assert app.is_in()


def test_a_passkey_of_another_person_is_no_second_step(ashas):
    enroll(ashas, Device())
    account("other@example.com")
    other = Device()
    enroll(App().sign_in("other@example.com"), other)
    token = App().login().json()["second_factor_token"]
    answer = sign_in_with(other, second_factor_token=token)
    assert refused(answer) == (401, "passkey_refused")


def test_who_has_no_passkey_is_told_to_send_a_code(asha):
    secret = set_up_totp(browser(asha))
    token = App().login().json()["second_factor_token"]
    assert refused(App().post(AUTHENTICATE, second_factor_token=token)) == (409, "refused")
    answer = App().post("/auth/second-factor", second_factor_token=token, code=code_of(secret))
    assert answer.status_code == 200


# --- as a proof -----------------------------------------------------------------------------------
def test_a_passkey_proves_that_it_is_them(ashas):
    device = Device()
    enroll(ashas, device)
    app = App()
    assert sign_in_with(device, app).status_code == 200
    asked = app.post("/auth/reauthenticate").json()
    assert asked["is_proved"] is False
    assert app.post("/auth/reauthenticate", credential=device.get(asked["options"])).json()[
        "is_proved"
    ]
    assert app.post(ENROLL).status_code == 200
