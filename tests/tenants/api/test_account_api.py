"""A person's own account by API: name, password, address, and the proof that it is them."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.models import User
from tenants.workspaces import create_workspace
from tests.tenants.api.app import App, refused
from tests.tenants.api.calls import audited
from tests.tenants.api.passkeys import Device, enroll, sign_in_with
from tests.tenants.identity.people import (
    PASSWORD,
    account,
    browser,
    code_of,
    set_up_totp,
    sign_in,
    signed_in_as,
)

NEW = "another rare one 9"


def last(part: str, mail) -> str:
    """The last part of the mailed link."""
    return re.search(rf"/accounts/{part}/([^/\s]+)/", mail.body)[1]


# --- who you are ----------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/auth/user", "/auth/user/"])
def test_a_person_reads_their_own_account(ashas, asha, path):
    told = ashas.get(path).json()
    assert told.pop("created_at")
    assert told == {
        "id": asha.pk,
        "email": asha.email,
        "full_name": "Asha R.",
        "auth_provider": "email",
        "has_password": True,
        "second_factors": [],
    }


def test_the_second_factors_and_a_missing_password_are_told(app, asha):
    secret = set_up_totp(browser(asha))
    app.login(code=code_of(secret))
    assert app.get("/auth/user").json()["second_factors"] == ["recovery_codes", "totp"]


@pytest.mark.parametrize("path", ["/auth/user", "/auth/user/"])
def test_a_new_name_is_kept_and_stands_in_the_trail(ashas, asha, path):
    create_workspace("Asha's", owner=asha)
    assert ashas.ask("PATCH", path, {"full_name": " Asha Rao "}).json()["full_name"] == "Asha Rao"
    assert User.objects.get().full_name == "Asha Rao"
    assert audited("person renamed").changes == {"full_name": ["Asha R.", "Asha Rao"]}
    assert ashas.patch("/auth/user").json()["full_name"] == "Asha Rao"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"full_name": ""}, "full_name"),
        ({"full_name": None}, "full_name"),
        ({"full_name": "A\nB"}, "full_name"),
        ({"full_name": "A" * 151}, "full_name"),
        ({"username": "asha"}, "username"),
        ({"email": "new@example.com"}, "email"),
        ({"is_superuser": True}, "is_superuser"),
    ],
)
def test_what_cannot_be_changed_is_named(ashas, change, field):
    answer = ashas.patch("/auth/user", **change)
    assert refused(answer) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert User.objects.get().full_name == "Asha R."


# --- the password ---------------------------------------------------------------------------------
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_new_password_ends_the_other_sessions_and_this_one_goes_on(
    ashas, asha, slash, mailoutbox
):
    other, (window, _) = App().sign_in(asha.email), sign_in()
    former = dict(ashas.tokens)
    body = {"current_password": PASSWORD, "new_password": NEW}
    answer = ashas.keep(ashas.post(f"/auth/password/change{slash}", **body))
    assert answer.status_code == 200
    assert ashas.is_in()
    assert not other.is_in()
    assert not App(f"Bearer {former['access_token']}").is_in()
    for tokens in (former, other.tokens):
        refreshed = App().post("/auth/refresh", refresh_token=tokens["refresh_token"])
        assert refused(refreshed) == (401, "session_ended")
    refreshed = ashas.post("/auth/refresh", refresh_token=ashas.tokens["refresh_token"])
    assert refreshed.status_code == 200
    assert window.get("/accounts/profile/").status_code == 302
    assert refused(App().login(password=PASSWORD)) == (401, "wrong_credentials")
    assert App().login(password=NEW).status_code == 200
    assert [mail.to for mail in mailoutbox] == [[asha.email]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"current_password": "wrong"}, "current_password"),
        ({"current_password": None}, "current_password"),
        ({"new_password": "short"}, "new_password"),
        ({"new_password": "asha@example.com"}, "new_password"),
        ({"new_password": None}, "new_password"),
        ({"new_password2": NEW}, "new_password2"),
    ],
)
def test_a_refused_change_of_the_password_names_the_field(ashas, change, field):
    body = {"current_password": PASSWORD, "new_password": NEW, **change}
    answer = ashas.post("/auth/password/change", **body)
    assert refused(answer) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert ashas.is_in()
    assert User.objects.get().check_password(PASSWORD)


def test_the_current_password_cannot_be_guessed_without_end(ashas):
    body = {"current_password": "wrong", "new_password": NEW}
    answers = [ashas.post("/auth/password/change", **body).status_code for _ in range(6)]
    assert answers == [422] * 5 + [429]


def test_no_mail_server_stops_a_new_password(ashas, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert ashas.post("/auth/password/change", **body).status_code == 200


def test_who_has_no_password_yet_sets_one(app, asha):
    device, first = Device(), App().sign_in(asha.email)
    enroll(first, device)
    asha.set_unusable_password()
    asha.save()
    sign_in_with(device, app)
    assert app.get("/auth/user").json()["has_password"] is False
    assert app.keep(app.post("/auth/password/change", new_password=NEW)).status_code == 200
    assert app.get("/auth/user").json()["has_password"] is True
    again = app.post("/auth/password/change", new_password="third rare one")
    assert again.json()["errors"][0]["field"] == "current_password"


def test_a_refresh_in_the_same_moment_waits(ashas):
    """Both write the whole session: what one of them lost would end it."""
    with CaptureQueriesContext(connection) as asked:
        ashas.post("/auth/reauthenticate", password=PASSWORD)
    if connection.features.has_select_for_update:
        locks = [one["sql"] for one in asked if "FOR UPDATE" in one["sql"]]
        assert "usersessions_usersession" in locks[0]


# --- a forgotten password -------------------------------------------------------------------------
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_forgotten_password_is_replaced_by_the_mailed_key(app, ashas, asha, mailoutbox, slash):
    answer = app.post(f"/auth/password/reset{slash}", email="ASHA@example.com")
    assert (answer.status_code, answer.json()["mailed"]) == (202, True)
    (mail,) = mailoutbox
    assert mail.to == [asha.email]
    body = {"key": last("password/reset/key", mail), "new_password": NEW}
    assert app.post(f"/auth/password/reset/confirm{slash}", **body).status_code == 204
    assert not ashas.is_in()
    assert app.login(password=NEW).status_code == 200
    again = app.post("/auth/password/reset/confirm", **{**body, "new_password": "third rare one"})
    assert refused(again) == (422, "invalid")
    assert again.json()["errors"][0]["field"] == "key"


def test_an_unknown_address_gets_the_same_answer_and_a_mail(app, asha, mailoutbox):
    known = app.post("/auth/password/reset", email=asha.email)
    unknown = app.post("/auth/password/reset", email="nobody@example.com")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert [mail.to for mail in mailoutbox] == [[asha.email], ["nobody@example.com"]]
    assert "There is no account with this address" in mailoutbox[1].body


def test_who_only_claims_an_address_gets_no_key_for_it(app, asha, mailoutbox):
    EmailAddress.objects.create(user=asha, email="boss@example.com", verified=False)
    app.post("/auth/password/reset", email="boss@example.com")
    assert "/accounts/password/reset/key/" not in mailoutbox[0].body


def test_a_reset_leaves_no_session_and_signs_nobody_in(app, asha, mailoutbox):
    app.post("/auth/password/reset", email=asha.email)
    body = {"key": last("password/reset/key", mailoutbox[0]), "new_password": NEW}
    app.post("/auth/password/reset/confirm", **body)
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"key": "x"}, "key"),
        ({"key": "1-c0ffee"}, "key"),
        ({"key": "%%-\u00e9"}, "key"),
        ({"key": ""}, "key"),
        ({"new_password": "short"}, "new_password"),
        ({"new_password": "asha@example.com"}, "new_password"),
    ],
)
def test_a_refused_reset_names_the_field(app, asha, mailoutbox, change, field):
    app.post("/auth/password/reset", email=asha.email)
    body = {"key": last("password/reset/key", mailoutbox[0]), "new_password": NEW, **change}
    answer = app.post("/auth/password/reset/confirm", **body)
    assert refused(answer) == (422, "invalid")
    assert {error["field"] for error in answer.json()["errors"]} == {field}
    assert User.objects.get().check_password(PASSWORD)


def test_resets_of_an_address_are_limited_alike_for_a_stranger(app, asha):
    for email in (asha.email, "nobody@example.com"):
        answers = [app.post("/auth/password/reset", email=email).status_code for _ in range(6)]
        assert answers == [202] * 5 + [429]


def test_a_reset_that_cannot_be_mailed_says_so(app, asha, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    for email in (asha.email, "nobody@example.com"):
        assert refused(app.post("/auth/password/reset", email=email)) == (503, "mail_not_sent")


# --- the address ----------------------------------------------------------------------------------
@pytest.fixture
def ravi(db) -> User:
    return account("ravi@example.com", verified=False)


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_address_is_confirmed_by_the_mailed_key(app, ravi, mailoutbox, slash):
    answer = app.post(f"/auth/verify-email/resend{slash}", email="Ravi@example.com")
    assert answer.status_code == 202
    key = last("confirm-email", mailoutbox[0])
    confirmed = app.post(f"/auth/verify-email{slash}", key=key)
    assert (confirmed.status_code, confirmed.json()) == (200, {"email": ravi.email})
    assert not Session.objects.exists()
    assert app.login(ravi.email).status_code == 200
    assert refused(app.post("/auth/verify-email", key=key)) == (422, "invalid")


@pytest.mark.parametrize("key", ["", "x", "MTI:1x:y", "\u00e9" * 20, "a" * 201])
def test_a_key_that_confirms_nothing_is_named(app, ravi, key):
    answer = app.post("/auth/verify-email", key=key)
    assert refused(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["field"] == "key"


def test_an_address_that_somebody_else_has_confirmed_meanwhile_stays_theirs(
    app, ravi, asha, mailoutbox
):
    app.post("/auth/verify-email/resend", email=ravi.email)
    EmailAddress.objects.create(user=asha, email=ravi.email, verified=True)
    answer = app.post("/auth/verify-email", key=last("confirm-email", mailoutbox[0]))
    assert refused(answer) == (422, "invalid")
    assert not EmailAddress.objects.get(user=ravi).verified


def test_the_link_is_mailed_again_with_the_same_answer_for_everybody(app, ravi, asha, mailoutbox):
    answers = [
        app.post("/auth/verify-email/resend", email=email)
        for email in (ravi.email, asha.email, "nobody@example.com")
    ]
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert [mail.to[0] for mail in mailoutbox] == [ravi.email, asha.email, "nobody@example.com"]
    assert ["/accounts/confirm-email/" in mail.body for mail in mailoutbox] == [True, False, False]
    assert not Session.objects.exists()


def test_a_link_is_mailed_once_in_three_minutes_whoever_has_the_address(app, ravi, asha):
    for email in (ravi.email, asha.email, "nobody@example.com"):
        answers = [app.post("/auth/verify-email/resend", email=email) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 429]
        assert answers[1].headers["Retry-After"] == "180"


def test_a_claim_of_another_account_is_not_mailed_as_theirs(app, asha, mailoutbox):
    EmailAddress.objects.create(user=asha, email="boss@example.com", verified=False)
    app.post("/auth/verify-email/resend", email="boss@example.com")
    assert "/accounts/confirm-email/" not in mailoutbox[0].body


# --- the proof that it is you ---------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/auth/reauthenticate", "/auth/reauthenticate/"])
def test_a_password_or_a_code_proves_it(app, asha, path):
    secret = set_up_totp(browser(asha))
    app.login(code=code_of(secret))
    asked = app.post(path).json()
    assert asked == {
        "is_proved": False,
        "methods": ["password", "recovery_codes", "totp"],
        "options": None,
    }
    assert app.post(path, password=PASSWORD).json()["is_proved"]
    assert refused(app.post(path, code=code_of(secret))) == (422, "invalid")  # it has signed in
    assert refused(app.post(path, password="wrong")) == (422, "invalid")
    assert app.is_in()


def test_proofs_cannot_be_guessed_without_end(ashas):
    answers = [ashas.post("/auth/reauthenticate", password="x").status_code for _ in range(11)]
    assert set(answers[:5]) == {422}
    assert answers[-1] == 429


def test_a_proof_counts_for_its_own_session(ashas, asha):
    other = App().sign_in(asha.email)
    ashas.post("/auth/reauthenticate", password=PASSWORD)
    assert ashas.post("/auth/biometric/enroll").status_code == 200
    assert refused(other.post("/auth/biometric/enroll")) == (403, "proof_needed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/auth/user"),
        ("PATCH", "/auth/user"),
        ("POST", "/auth/reauthenticate"),
        ("POST", "/auth/password/change"),
        ("GET", "/auth/passkeys"),
        ("DELETE", "/auth/passkeys/1"),
        ("POST", "/auth/biometric/enroll"),
    ],
)
def test_a_browsers_cookie_opens_none_of_it(asha, method, path):
    window = browser(asha)
    assert refused(App(client=window).ask(method, path, {})) == (401, "unauthenticated")
    assert signed_in_as(window) == asha
