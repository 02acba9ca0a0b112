"""Google's and Apple's id_tokens at the API: verified whole, and the same rules about whose
account as on the web."""

from __future__ import annotations

import hashlib

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialToken
from allauth.usersessions.models import UserSession
from django.test import Client

from tenants.models import User
from tests.tenants.api.app import App, refused
from tests.tenants.identity.people import PASSWORD, account, browser, code_of, set_up_totp
from tests.tenants.identity_provider import APPLE, CLIENT_IDS, FORGERIES, GOOGLE

BOTH = pytest.mark.parametrize("provider", [GOOGLE, APPLE])


def come(app: App, identity_provider, provider: str, *, forgery: str = "", body=None, **said):
    """The app signs in with a token that says `said`; `body` goes beside it."""
    token = identity_provider.id_token(provider, forgery=forgery, **said)
    return app.keep(app.post(f"/auth/{provider}", id_token=token, **(body or {})))


@BOTH
def test_a_new_person_gets_an_account_and_tokens(app, identity_provider, provider, mailoutbox):
    told = come(app, identity_provider, provider, body={"full_name": "Asha Rao"}).json()
    assert (told["user"]["full_name"], told["user"]["auth_provider"]) == ("Asha Rao", provider)
    assert app.is_in()
    user = User.objects.get()
    assert not user.has_usable_password()
    assert EmailAddress.objects.get(user=user).verified
    assert SocialAccount.objects.get().extra_data == {
        "email": "asha@example.com",
        "full_name": "Asha Rao",
    }
    assert not SocialToken.objects.exists()
    assert not mailoutbox


@BOTH
def test_the_same_person_comes_back_to_the_same_account(identity_provider, db, provider):
    for email in ("asha@example.com", "renamed@example.com"):
        assert come(App(), identity_provider, provider, email=email).status_code == 200
    assert User.objects.get().email == "asha@example.com"


def test_the_name_in_the_token_counts_more_than_the_one_beside_it(app, identity_provider):
    told = come(app, identity_provider, GOOGLE, body={"full_name": "Somebody Else"}).json()
    assert told["user"]["full_name"] == "Asha Rao"


@BOTH
@pytest.mark.parametrize("forgery", [name for name in FORGERIES if name != "empty"])
def test_a_wrong_token_is_refused_and_changes_nothing(app, identity_provider, provider, forgery):
    assert refused(come(app, identity_provider, provider, forgery=forgery)) == (
        401,
        "id_token_refused",
    )
    assert not User.objects.exists()
    assert not UserSession.objects.exists()


def test_an_empty_token_names_its_field(app, identity_provider):
    assert app.post("/auth/google", id_token="").json()["errors"][0]["field"] == "id_token"


def test_a_token_of_the_other_provider_is_refused(app, identity_provider):
    answer = app.post("/auth/apple", id_token=identity_provider.id_token(GOOGLE))
    assert refused(answer) == (401, "id_token_refused")


def test_apples_apps_have_client_ids_of_their_own_beside_the_webs(app, identity_provider, settings):
    token = identity_provider.id_token(APPLE, aud="test.pushpilot.ios")
    assert refused(app.post("/auth/apple", id_token=token)) == (401, "id_token_refused")
    (own,) = settings.SOCIALACCOUNT_PROVIDERS[APPLE]["APPS"]
    own["client_id"] += ",test.pushpilot.ios"
    assert app.post("/auth/apple", id_token=token).status_code == 200
    assert identity_provider.start(Client(), APPLE)["client_id"] == CLIENT_IDS[APPLE]


def test_a_token_with_an_id_counts_once(app, identity_provider):
    token = identity_provider.id_token(GOOGLE, jti="only-once")
    assert app.post("/auth/google", id_token=token).status_code == 200
    assert refused(app.post("/auth/google", id_token=token)) == (401, "id_token_refused")


@BOTH
@pytest.mark.parametrize("told", ["n-1", hashlib.sha256(b"n-1").hexdigest()])
def test_the_apps_nonce_fits_as_it_is_or_hashed(app, identity_provider, provider, told):
    assert (
        come(app, identity_provider, provider, nonce=told, body={"nonce": "n-1"}).status_code == 200
    )


@BOTH
@pytest.mark.parametrize(("told", "given"), [("n-2", "n-1"), (None, "n-1"), ("n-1", None)])
def test_a_token_made_for_another_nonce_is_refused(app, identity_provider, provider, told, given):
    body = {"nonce": given} if given else {}
    assert refused(come(app, identity_provider, provider, nonce=told, body=body)) == (
        401,
        "id_token_refused",
    )


@BOTH
def test_a_provider_that_is_down_is_no_forgery(app, identity_provider, provider):
    identity_provider.down = True
    answer = come(app, identity_provider, provider)
    assert refused(answer) == (503, "provider_unreachable")
    assert answer.headers["Retry-After"] == "30"


@BOTH
def test_a_provider_that_is_not_set_up_says_so(app, provider):
    assert refused(app.post(f"/auth/{provider}", id_token="x.y.z")) == (404, "provider_not_set_up")


# --- whose account --------------------------------------------------------------------------------
@BOTH
def test_a_verified_address_opens_the_account_that_proved_the_same(
    app, asha, identity_provider, provider
):
    assert come(app, identity_provider, provider).json()["user"]["id"] == asha.pk
    asha.refresh_from_db()
    assert (asha.full_name, asha.auth_provider) == ("Asha R.", "email")
    assert asha.check_password(PASSWORD)


@BOTH
def test_an_address_that_the_provider_did_not_verify_opens_nobodys_account(
    app, asha, identity_provider, provider
):
    answer = come(app, identity_provider, provider, email_verified=False)
    assert refused(answer) == (403, "email_not_verified")
    assert not SocialAccount.objects.exists()
    assert User.objects.get() == asha


@BOTH
def test_an_unverified_address_of_a_new_person_must_be_confirmed_first(
    app, identity_provider, provider, mailoutbox
):
    answer = come(app, identity_provider, provider, email_verified=False)
    assert refused(answer) == (403, "email_not_verified")
    assert not EmailAddress.objects.get().verified
    assert len(mailoutbox) == 1


@BOTH
def test_who_registered_a_strangers_address_loses_every_way_in(db, identity_provider, provider):
    trap = account(verified=False, name="Attacker")
    Authenticator.objects.create(user=trap, type=Authenticator.Type.TOTP, data={"secret": "x"})
    assert come(App(), identity_provider, provider).json()["user"]["id"] == trap.pk
    assert refused(App().login()) == (401, "wrong_credentials")


@BOTH
def test_a_token_without_an_address_makes_no_account(app, identity_provider, provider):
    assert refused(come(app, identity_provider, provider, email=None)) == (422, "email_missing")
    assert not User.objects.exists()


@BOTH
def test_a_deactivated_person_is_not_let_in(app, asha, identity_provider, provider):
    User.objects.update(is_active=False)
    assert refused(come(app, identity_provider, provider)) == (403, "account_inactive")


@BOTH
def test_the_second_factor_is_asked_for_here_too(app, asha, identity_provider, provider):
    secret = set_up_totp(browser(asha))
    answer = come(app, identity_provider, provider, jti="only-once")
    assert refused(answer) == (401, "second_factor_required")
    waiting = answer.json()["second_factor_token"]
    app.keep(app.post("/auth/second-factor", second_factor_token=waiting, code=code_of(secret)))
    assert app.is_in()


@BOTH
def test_the_code_may_come_with_the_token(app, asha, identity_provider, provider):
    secret = set_up_totp(browser(asha))
    assert come(app, identity_provider, provider, body={"code": code_of(secret)}).status_code == 200
