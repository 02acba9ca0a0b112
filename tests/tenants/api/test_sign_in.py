"""Register, login, second factor, refresh, logout; and every token that is not right."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from tenants import operators
from tenants.models import AuditEntry, User
from tenants.scope import every_workspace
from tenants.workspaces import create_workspace
from tests.tenants.api.app import App, refused
from tests.tenants.identity.people import (
    PASSWORD,
    account,
    browser,
    code_of,
    recovery_codes,
    set_up_totp,
    signed_in_as,
    text,
)

NEW = {"email": "Ravi@Example.com", "password": "a long and rare one 9", "full_name": "Ravi Iyer"}


# --- register -------------------------------------------------------------------------------------
def test_a_new_person_confirms_the_address_and_signs_in(app, mailoutbox):
    answer = app.post("/auth/register", **NEW)
    assert answer.status_code == 202
    user = User.objects.get()
    assert (user.email, user.full_name, user.auth_provider) == (
        "ravi@example.com",
        "Ravi Iyer",
        "email",
    )
    assert refused(app.login(NEW["email"], NEW["password"])) == (403, "email_not_verified")
    (mail,) = mailoutbox
    assert mail.to == ["ravi@example.com"]
    link = next(word for word in mail.body.split() if "/accounts/confirm-email/" in word)
    Client().post(link.removeprefix(settings.PUBLIC_URL))
    assert app.login(NEW["email"], NEW["password"]).json()["user"]["full_name"] == "Ravi Iyer"
    assert app.is_in()


def test_registering_says_that_no_mail_left_a_server_without_a_mail_server(app, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    answer = app.post("/auth/register", **NEW)
    assert (answer.status_code, answer.json()["mailed"]) == (202, False)
    assert "We have mailed" not in answer.json()["detail"]
    assert User.objects.get().email == "ravi@example.com"
    assert "We have mailed" not in app.login(NEW["email"], NEW["password"]).json()["detail"]


def test_a_known_address_gets_the_same_answer_and_its_owner_a_mail(app, asha, mailoutbox):
    known = app.post("/auth/register", **{**NEW, "email": "ASHA@example.com"})
    unknown = app.post("/auth/register", **NEW)
    assert (
        (known.status_code, known.content)
        == (unknown.status_code, unknown.content)
        == (202, known.content)
    )
    assert [mail.to for mail in mailoutbox] == [["asha@example.com"], ["ravi@example.com"]]
    assert "already" in mailoutbox[0].body
    asha.refresh_from_db()
    assert asha.check_password(PASSWORD)
    assert asha.full_name == "Asha R."
    assert User.objects.count() == 2


def test_register_leaves_no_session_behind(app):
    app.post("/auth/register", **NEW)
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nonsense"}, "email"),
        ({"email": None}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "ravi@example.com"}, "password"),
        ({"full_name": "  "}, "full_name"),
        ({"full_name": "R\0"}, "full_name"),
        ({"full_name": "R\ud800"}, "full_name"),
        ({"full_name": ["Ravi"]}, "full_name"),
        ({"full_name": "R" * 151}, "full_name"),
        ({"is_superuser": True}, "is_superuser"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_made(app, change, field):
    answer = app.post("/auth/register", **{**NEW, **change})
    assert refused(answer) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert field in answer.json()["detail"]
    assert not User.objects.exists()


def test_a_refused_password_is_not_repeated(app):
    answer = app.post("/auth/register", **{**NEW, "password": ["hunter22"]})
    assert "hunter22" not in text(answer)


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '"x"', "[" * 60_000, '{"email": 1e999}', "\xff", "9" * 5000]
)
def test_a_body_that_is_no_object_is_a_clear_error(app, body):
    assert app.ask("POST", "/auth/login", body).status_code in (400, 422)


def test_sign_ups_are_limited(app):
    answers = [app.post("/auth/register", **NEW).status_code for _ in range(21)]
    assert answers == [202] * 20 + [429]


def test_a_mail_that_cannot_be_sent_is_said_and_makes_no_account(app, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    assert refused(app.post("/auth/register", **NEW)) == (503, "mail_not_sent")
    assert not User.objects.exists()


# --- login ----------------------------------------------------------------------------------------
def test_the_tokens_open_the_api(app, asha):
    answer = app.login()
    told = answer.json()
    assert told["user"] == {
        "id": asha.pk,
        "email": asha.email,
        "full_name": "Asha R.",
        "auth_provider": "email",
    }
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 300)
    assert app.is_in()


@pytest.mark.parametrize("who", [{"password": "wrong"}, {"email": "nobody@example.com"}])
def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(app, asha, who):
    answer = app.login(**who)
    assert refused(answer) == (401, "wrong_credentials")
    assert answer.json()["detail"] == "The e-mail address or the password is wrong."
    assert not UserSession.objects.exists()


def test_passwords_cannot_be_guessed_without_end(app, asha):
    answers = [refused(app.login(password=f"wrong {n}")) for n in range(6)]
    assert answers == [(401, "wrong_credentials")] * 5 + [(429, "too_many_attempts")]
    assert app.login(password="right or wrong").headers["Retry-After"] == "300"


def test_a_deactivated_account_is_told_so_only_with_its_password(app, asha):
    User.objects.update(is_active=False)
    assert refused(app.login()) == (403, "account_inactive")
    assert refused(app.login(password="wrong")) == (401, "wrong_credentials")


# --- the second factor ----------------------------------------------------------------------------
@pytest.fixture
def secret(asha) -> str:
    return set_up_totp(browser(asha))


def test_the_password_alone_is_not_enough(app, secret):
    answer = app.login()
    assert refused(answer) == (401, "second_factor_required")
    assert answer.json()["methods"] == ["recovery_codes", "totp"]
    assert "access_token" not in answer.json()


def test_the_code_may_come_with_the_password(app, secret):
    assert app.login(code=code_of(secret)).status_code == 200
    assert app.is_in()


def test_the_code_may_come_afterwards_and_counts_once(app, secret):
    waiting = app.login().json()["second_factor_token"]
    assert refused(app.post("/auth/second-factor", second_factor_token=waiting, code="000000")) == (
        401,
        "wrong_code",
    )
    code = {"second_factor_token": waiting, "code": code_of(secret)}
    assert app.keep(app.post("/auth/second-factor", **code)).status_code == 200
    assert app.is_in()
    assert refused(App().post("/auth/second-factor", **code)) == (401, "session_ended")


def test_a_recovery_code_works_once(app, asha):
    client = browser(asha)
    set_up_totp(client)
    code = recovery_codes(client)[0]
    assert app.login(code=code).status_code == 200
    assert refused(App().login(code=code)) == (401, "wrong_code")


def test_codes_cannot_be_guessed_without_end(app, secret):
    waiting = app.login().json()["second_factor_token"]
    guesses = [{"second_factor_token": waiting, "code": f"00000{n}"} for n in range(7)]
    assert [app.post("/auth/second-factor", **guess).status_code for guess in guesses][-1] == 429


def test_a_token_of_a_waiting_sign_in_opens_nothing(app, secret):
    waiting = app.login().json()["second_factor_token"]
    app.authorization = f"Bearer {waiting}"
    assert refused(app.get("/workspaces")) == (401, "token_invalid")
    assert refused(app.post("/auth/refresh", refresh_token=waiting)) == (401, "token_invalid")


def test_no_other_token_stands_for_a_waiting_sign_in(ashas, secret):
    for name in ("access_token", "refresh_token"):
        answer = App().post(
            "/auth/second-factor", second_factor_token=ashas.tokens[name], code=code_of(secret)
        )
        assert refused(answer) == (401, "token_invalid")


# --- refresh --------------------------------------------------------------------------------------
def test_refresh_gives_new_tokens_of_the_same_session(ashas):
    answer = ashas.post("/auth/refresh", refresh_token=ashas.tokens["refresh_token"])
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != ashas.tokens["refresh_token"]
    assert App(f"Bearer {answer.json()['access_token']}").is_in()
    assert ashas.is_in()
    assert UserSession.objects.count() == 1
    assert (
        ashas.post("/auth/refresh", refresh_token=answer.json()["refresh_token"]).status_code == 200
    )


def test_an_old_refresh_token_ends_the_session_for_both_and_is_audited(asha, ashas):
    workspace = create_workspace("FreshCart", owner=asha)
    old = ashas.tokens["refresh_token"]
    new = ashas.post("/auth/refresh", refresh_token=old).json()
    other = App().sign_in(asha.email)
    assert refused(App().post("/auth/refresh", refresh_token=old)) == (401, "refresh_token_reused")
    assert not App(f"Bearer {new['access_token']}").is_in()
    assert refused(App().post("/auth/refresh", refresh_token=new["refresh_token"])) == (
        401,
        "session_ended",
    )
    assert other.is_in()
    with every_workspace():
        entry = AuditEntry.objects.get(action="session ended")
    assert (entry.workspace_id, entry.target, entry.via) == (workspace.pk, "Asha R.", "api")
    assert old not in str(entry.__dict__)


def test_a_refresh_that_another_request_has_overtaken_is_a_reuse(ashas, monkeypatch):
    """Both have read their token; the row of the session lets one in after the other."""
    from tenants.api import tokens

    token, look = ashas.tokens["refresh_token"], tokens.claims_of

    def overtaken(*args):
        monkeypatch.setattr(tokens, "claims_of", look)
        found = look(*args)
        assert App().post("/auth/refresh", refresh_token=token).status_code == 200
        return found

    monkeypatch.setattr(tokens, "claims_of", overtaken)
    assert refused(ashas.post("/auth/refresh", refresh_token=token)) == (
        401,
        "refresh_token_reused",
    )
    assert not ashas.is_in()


def test_a_logout_while_the_tokens_are_refreshed_wins(ashas, monkeypatch):
    """It comes between reading the session and saving it."""
    from tenants.api import tokens

    monkeypatch.setattr(
        tokens.internal,
        "create_access_token",
        lambda *args: Session.objects.all().delete() and "never seen",
    )
    answer = ashas.post("/auth/refresh", refresh_token=ashas.tokens["refresh_token"])
    assert refused(answer) == (401, "session_ended")


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="the in-memory database has one connection"
)
def test_of_many_requests_with_one_refresh_token_at_most_one_is_answered():
    account()
    app = App().sign_in("asha@example.com")

    def refresh(_: int) -> int:
        try:
            return (
                App().post("/auth/refresh", refresh_token=app.tokens["refresh_token"]).status_code
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = sorted(pool.map(refresh, range(6)))
    assert answers == [200] + [401] * 5
    assert not app.is_in()


def test_an_access_token_does_not_refresh_and_a_refresh_token_opens_nothing(ashas):
    access = ashas.tokens["access_token"]
    assert refused(ashas.post("/auth/refresh", refresh_token=access)) == (401, "token_invalid")
    ashas.authorization = f"Bearer {ashas.tokens['refresh_token']}"
    assert refused(ashas.get("/workspaces")) == (401, "token_invalid")


# --- the end of a session -------------------------------------------------------------------------
def test_logout_counts_at_once_and_for_this_session_alone(asha, ashas):
    other = App().sign_in(asha.email)
    assert ashas.ask("POST", "/auth/logout").status_code == 204
    assert refused(ashas.get("/workspaces")) == (401, "session_ended")
    again = ashas.post("/auth/refresh", refresh_token=ashas.tokens["refresh_token"])
    assert refused(again) == (401, "session_ended")
    assert refused(ashas.ask("POST", "/auth/logout")) == (401, "session_ended")
    assert other.is_in()


def test_a_session_of_the_api_is_on_the_page_of_sessions_and_ends_there(asha, ashas):
    client = browser(asha)
    mine = UserSession.objects.exclude(session_key=client.session.session_key).get()
    client.post("/accounts/sessions/", {"session": mine.pk})
    assert not ashas.is_in()


def test_a_new_password_ends_it(asha, ashas):
    asha.set_password("another rare one 8")
    asha.save()
    assert not ashas.is_in()
    assert (
        ashas.post("/auth/refresh", refresh_token=ashas.tokens["refresh_token"]).status_code == 401
    )


def test_a_deactivated_person_is_out_at_once(asha, ashas):
    operators.deactivate(asha, by=User.objects.create_superuser("root@push.test", PASSWORD))
    assert not ashas.is_in()
    assert (
        ashas.post("/auth/refresh", refresh_token=ashas.tokens["refresh_token"]).status_code == 401
    )


# --- wrong tokens ---------------------------------------------------------------------------------
def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def signed(content: dict, key: str | None = None) -> str:
    return jwt.encode(content, key or settings.HEADLESS_JWT_PRIVATE_KEY, "HS256")


def test_the_control_a_token_signed_anew_with_the_right_key_works(ashas):
    assert App(f"Bearer {signed(claims(ashas.tokens['access_token']))}").is_in()


FORGERIES = {
    "signed by another key": lambda said: signed(said, "x" * 64),
    "signed by SECRET_KEY itself": lambda said: signed(said, settings.SECRET_KEY),
    "not signed": lambda said: jwt.encode(said, None, "none"),
    "with another algorithm": lambda said: jwt.encode(
        said, settings.HEADLESS_JWT_PRIVATE_KEY, "HS512"
    ),
    "without a session": lambda said: signed({**said, "sid": None}),
    "without its use": lambda said: signed(
        {name: said[name] for name in said if name != "token_use"}
    ),
    "cut off": lambda said: signed(said)[:-4],
    "no token": lambda said: "eyJhbGciOi",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_is_refused(ashas, forgery):
    for name, ask in (
        ("access_token", lambda token: App(f"Bearer {token}").get("/workspaces")),
        ("refresh_token", lambda token: App().post("/auth/refresh", refresh_token=token)),
    ):
        answer = ask(FORGERIES[forgery](claims(ashas.tokens[name])))
        assert refused(answer) == (401, "token_invalid")
        assert "Bearer" in answer.headers["WWW-Authenticate"]


def test_an_expired_token_says_so(ashas):
    for name in ("access_token", "refresh_token"):
        ashas.tokens[name] = signed({**claims(ashas.tokens[name]), "exp": int(time.time()) - 1})
    access, refresh = ashas.tokens["access_token"], ashas.tokens["refresh_token"]
    assert refused(App(f"Bearer {access}").get("/workspaces")) == (401, "token_expired")
    assert refused(App().post("/auth/refresh", refresh_token=refresh)) == (401, "token_expired")


def test_a_token_of_one_person_does_not_speak_for_another(ashas, cast):
    forged = signed({**claims(ashas.tokens["access_token"]), "sub": str(cast.owner.pk)})
    assert refused(App(f"Bearer {forged}").get("/workspaces")) == (401, "session_ended")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Token x", "Basic eA==", "Bearer a b", "Bearer \xe9"]
)
def test_no_token_is_401(app, header):
    app.authorization = header
    answer = app.get("/workspaces")
    assert answer.status_code == 401
    assert "Authorization" in answer.json()["detail"] or answer.json()["code"] == "token_invalid"


# --- cookies --------------------------------------------------------------------------------------
def test_a_browsers_cookie_alone_opens_nothing(asha):
    client = browser(asha)
    client.handler.enforce_csrf_checks = True
    app = App(client=client)
    assert refused(app.get("/workspaces")) == (401, "unauthenticated")
    assert refused(app.post("/workspaces", name="Taken over")) == (401, "unauthenticated")
    assert refused(app.ask("POST", "/auth/logout")) == (401, "unauthenticated")
    assert signed_in_as(client) == asha


def test_signing_in_by_api_neither_uses_nor_changes_a_browsers_session(asha, cast):
    client = Client()
    client.force_login(cast.owner, backend="tenants.access.EmailBackend")
    before = dict(client.session.items())
    app = App(client=client).sign_in(asha.email)
    assert app.tokens["user"]["email"] == asha.email
    assert dict(client.session.items()) == before
    assert signed_in_as(client) == cast.owner


def test_a_sessions_key_is_not_in_its_tokens_and_no_header_takes_one(ashas):
    key = UserSession.objects.get().session_key
    assert key not in str(
        [claims(ashas.tokens[name]) for name in ("access_token", "refresh_token")]
    )
    answer = App().get("/workspaces", **{"X-Session-Token": key})
    assert refused(answer) == (401, "unauthenticated")


def test_a_sign_in_with_somebodys_session_header_starts_anew(asha, cast):
    theirs = App().sign_in(asha.email)
    EmailAddress.objects.create(
        user=cast.owner, email=cast.owner.email, verified=True, primary=True
    )
    key = UserSession.objects.get().session_key
    body = {"email": cast.owner.email, "password": "correct horse"}
    answer = App().ask("POST", "/auth/login", body, **{"X-Session-Token": key})
    assert answer.json()["user"]["email"] == cast.owner.email
    assert theirs.is_in()
