"""Sign-in with Google and Apple: the whole redirect flow, what is refused, and whose account is
opened."""

from __future__ import annotations

import json

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.conf import settings
from django.core.exceptions import ValidationError
from django.test import Client, RequestFactory

from tenants.models import User
from tenants.social_sign_in import SocialAccountAdapter
from tests.tenants.identity.people import PASSWORD, account, signed_in_as, text
from tests.tenants.identity_provider import APPLE, CLIENT_IDS, FORGERIES, GOOGLE, REDIRECT_FORGERIES

pytestmark = pytest.mark.once

BOTH = pytest.mark.parametrize("provider", [GOOGLE, APPLE])
APPLES_NAME = json.dumps({"name": {"firstName": "Asha", "lastName": "Rao"}})


# --- the way there and back -----------------------------------------------------------------------
@BOTH
def test_the_provider_is_asked_with_state_pkce_and_nonce(db, identity_provider, provider):
    asked = identity_provider.start(Client(), provider)
    assert asked["client_id"] == CLIENT_IDS[provider]
    assert asked["redirect_uri"] == f"{settings.PUBLIC_URL}/accounts/{provider}/login/callback/"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 16
    assert asked["nonce"] == asked["code_challenge"]
    assert {"email"} <= set(asked["scope"].split())


@BOTH
def test_a_new_person_gets_an_account_and_is_signed_in(db, identity_provider, provider, mailoutbox):
    client = Client()
    page = identity_provider.sign_in(client, provider, user=APPLES_NAME)
    assert "Welcome, Asha" in text(page)
    user = signed_in_as(client)
    assert (user.email, user.full_name, user.auth_provider) == (
        "asha@example.com",
        "Asha Rao",
        provider,
    )
    assert not user.has_usable_password()
    assert EmailAddress.objects.get(user=user).verified
    assert not mailoutbox


@BOTH
def test_the_same_person_comes_back_to_the_same_account(db, identity_provider, provider):
    identity_provider.sign_in(Client(), provider, user=APPLES_NAME)
    client = Client()
    identity_provider.sign_in(client, provider, email="renamed@example.com")
    assert signed_in_as(client) == User.objects.get()
    assert User.objects.get().full_name == "Asha Rao"


@BOTH
def test_only_address_and_name_are_kept_of_what_the_provider_says(db, identity_provider, provider):
    identity_provider.sign_in(Client(), provider, user=APPLES_NAME)
    assert SocialAccount.objects.get().extra_data == {
        "email": "asha@example.com",
        "full_name": "Asha Rao",
    }
    assert not SocialToken.objects.exists()


@BOTH
@pytest.mark.parametrize("forgery", REDIRECT_FORGERIES)
def test_a_wrong_token_is_refused_and_changes_nothing(db, identity_provider, provider, forgery):
    client = Client()
    page = identity_provider.sign_in(client, provider, forgery=forgery)
    assert page.status_code == 401
    assert "could not sign you in" in text(page)
    assert signed_in_as(client) is None
    assert not User.objects.exists()
    assert not SocialAccount.objects.exists()


@BOTH
def test_the_forged_tokens_differ_from_a_right_one_only_in_the_forgery(
    db, identity_provider, provider
):
    """The control of the test above: the same way with an honest token signs in."""
    client = Client()
    assert identity_provider.sign_in(client, provider).status_code == 200
    assert signed_in_as(client)


@BOTH
def test_an_answer_to_another_browsers_request_is_refused(db, identity_provider, provider):
    mine, theirs = Client(), Client()
    asked = identity_provider.start(theirs, provider)
    code = identity_provider.approve(provider, asked)
    page = identity_provider.come_back(mine, provider, code, asked["state"])
    assert page.status_code == 401
    assert signed_in_as(mine) is None


@BOTH
def test_a_stolen_code_does_not_work_in_another_browser(db, identity_provider, provider):
    victim, thief = Client(), Client()
    stolen = identity_provider.approve(provider, identity_provider.start(victim, provider))
    own_state = identity_provider.start(thief, provider)["state"]
    assert identity_provider.come_back(thief, provider, stolen, own_state).status_code == 401
    assert signed_in_as(thief) is None


@BOTH
def test_an_answer_counts_once(db, identity_provider, provider):
    client = Client()
    asked = identity_provider.start(client, provider)
    code = identity_provider.approve(provider, asked)
    identity_provider.come_back(client, provider, code, asked["state"])
    assert identity_provider.come_back(Client(), provider, code, asked["state"]).status_code == 401


@BOTH
def test_a_provider_that_is_down_is_a_clear_page(db, identity_provider, provider):
    client = Client()
    asked = identity_provider.start(client, provider)
    code = identity_provider.approve(provider, asked)
    identity_provider.down = True
    page = identity_provider.come_back(client, provider, code, asked["state"])
    assert page.status_code == 401
    assert "could not sign you in" in text(page)


@BOTH
def test_saying_no_at_the_provider_leads_back_to_sign_in(db, identity_provider, provider):
    client = Client()
    state = identity_provider.start(client, provider)["state"]
    refused = {"error": "access_denied", "state": state}
    if provider == APPLE:
        refused["error"] = "user_cancelled_authorize"
        posted = Client().post("/accounts/apple/login/callback/", refused)
        page = client.get(posted.headers["Location"], follow=True)
    else:
        page = client.get("/accounts/google/login/callback/", refused, follow=True)
    assert "/accounts/login/" in text(page)
    assert signed_in_as(client) is None


# --- a native id_token ----------------------------------------------------------------------------
def verify(provider: str, token: dict[str, str]):
    request = RequestFactory().post("/")
    return SocialAccountAdapter().get_provider(request, provider).verify_token(request, token)


@BOTH
def test_a_native_token_names_its_person(db, identity_provider, provider):
    login = verify(provider, {"id_token": identity_provider.id_token(provider)})
    assert (login.account.provider, login.account.uid) == (provider, f"{provider}-asha")
    assert [(address.email, address.verified) for address in login.email_addresses] == [
        ("asha@example.com", True)
    ]


@BOTH
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_wrong_native_token_is_refused(db, identity_provider, provider, forgery):
    with pytest.raises(ValidationError):
        verify(provider, {"id_token": identity_provider.id_token(provider, forgery=forgery)})


@BOTH
def test_a_missing_native_token_is_refused(db, identity_provider, provider):
    for token in ({}, {"id_token": ""}, {"access_token": "x"}, {"id_token": 5}):
        with pytest.raises(ValidationError):
            verify(provider, token)


def test_a_token_of_the_other_provider_is_refused(db, identity_provider):
    with pytest.raises(ValidationError):
        verify(APPLE, {"id_token": identity_provider.id_token(GOOGLE)})


# --- what Apple's form may say --------------------------------------------------------------------
def test_an_address_in_apples_form_is_not_believed(db, identity_provider):
    account("victim@example.com")
    client = Client()
    said = json.dumps(
        {"email": "victim@example.com", "email_verified": True, "sub": "x", "id_token": "y"}
    )
    identity_provider.sign_in(client, APPLE, user=said, email=None, email_verified=None)
    assert signed_in_as(client) is None
    assert not SocialAccount.objects.exists()


def test_a_name_of_apple_keeps_nothing_that_cannot_be_seen(db, identity_provider):
    client = Client()
    said = json.dumps({"name": {"firstName": "As\u202eha\n", "lastName": "Rao\u0007"}})
    identity_provider.sign_in(client, APPLE, user=said)
    assert signed_in_as(client).full_name == "Asha Rao"


@pytest.mark.parametrize(
    "said",
    ["[1]", "5", '"x"', '{"name": "Asha"}', '{"name": {"firstName": 7}}', "{", '{"name": null}'],
)
def test_a_malformed_form_of_apple_only_loses_the_name(db, identity_provider, said):
    client = Client()
    identity_provider.sign_in(client, APPLE, user=said)
    assert signed_in_as(client).full_name == ""


# --- whose account --------------------------------------------------------------------------------
@BOTH
def test_a_verified_address_opens_the_account_that_proved_the_same(
    db, identity_provider, provider, mailoutbox
):
    user = account()
    client = Client()
    identity_provider.sign_in(client, provider)
    assert signed_in_as(client) == user
    user.refresh_from_db()
    assert (user.full_name, user.auth_provider) == ("Asha R.", "email")
    assert user.check_password(PASSWORD)
    assert SocialAccount.objects.get().user == user


@BOTH
def test_an_account_without_a_name_gets_the_providers(db, identity_provider, provider):
    user = account(name="")
    identity_provider.sign_in(Client(), provider, user=APPLES_NAME)
    user.refresh_from_db()
    assert user.full_name == "Asha Rao"


@BOTH
@pytest.mark.parametrize("verified", [False, None, "false", "no", 0])
def test_an_address_that_the_provider_did_not_verify_opens_nothing(
    db, identity_provider, provider, verified, mailoutbox
):
    user = account()
    client = Client()
    page = identity_provider.sign_in(client, provider, email_verified=verified)
    assert signed_in_as(client) is None
    assert "Check your mail" in text(page)
    assert not SocialAccount.objects.exists()
    assert User.objects.get() == user
    assert len(mailoutbox) == 1
    assert mailoutbox[0].to == [user.email]


@BOTH
def test_an_unverified_address_of_a_new_person_must_be_confirmed_first(
    db, identity_provider, provider, mailoutbox
):
    client = Client()
    page = identity_provider.sign_in(client, provider, email_verified=False)
    assert "Check your mail" in text(page)
    assert signed_in_as(client) is None
    assert not EmailAddress.objects.get().verified


@BOTH
def test_who_registered_a_strangers_address_loses_every_way_in(db, identity_provider, provider):
    """Pre-hijacking: the attacker knows the password of an unconfirmed account with the victim's
    address."""
    trap = account(verified=False, name="Attacker")
    SocialAccount.objects.create(user=trap, provider=APPLE, uid="attackers-apple")
    Authenticator.objects.create(user=trap, type=Authenticator.Type.TOTP, data={"secret": "x"})
    client = Client()
    identity_provider.sign_in(client, provider, user=APPLES_NAME)
    assert signed_in_as(client) == trap
    trap.refresh_from_db()
    assert not trap.has_usable_password()
    assert (trap.full_name, trap.auth_provider) == ("Asha Rao", provider)
    assert not Authenticator.objects.exists()
    assert SocialAccount.objects.get().uid == f"{provider}-asha"
    assert EmailAddress.objects.get(user=trap).verified
    attacker = Client()
    attacker.post("/accounts/login/", {"login": "asha@example.com", "password": PASSWORD})
    assert signed_in_as(attacker) is None


@BOTH
def test_sessions_opened_before_the_owner_proved_the_address_end(db, identity_provider, provider):
    attacker = Client()
    attacker.force_login(account(verified=False), backend="tenants.access.EmailBackend")
    assert attacker.get("/accounts/profile/").status_code == 200
    identity_provider.sign_in(Client(), provider)
    assert attacker.get("/accounts/profile/").status_code == 302


@BOTH
def test_an_address_somebody_else_only_claimed_makes_an_account_of_its_own(
    db, identity_provider, provider
):
    """Pre-hijacking, second kind: the attacker's own account lists the victim's address as a
    further one."""
    attacker = account("attacker@example.com")
    EmailAddress.objects.create(
        user=attacker, email="asha@example.com", verified=False, primary=False
    )
    client = Client()
    identity_provider.sign_in(client, provider)
    assert signed_in_as(client).email == "asha@example.com"
    assert signed_in_as(client) != attacker
    assert attacker.check_password(PASSWORD)
    assert list(attacker.emailaddress_set.values_list("email", flat=True)) == [
        "attacker@example.com"
    ]


def test_connecting_a_provider_never_takes_over_the_account_with_its_address(db, identity_provider):
    account(verified=False)
    me = account("me@example.com")
    client = Client()
    client.post("/accounts/login/", {"login": me.email, "password": PASSWORD})
    identity_provider.sign_in(client, GOOGLE, process="connect")
    assert not SocialAccount.objects.exists()
    assert User.objects.get(email="asha@example.com").check_password(PASSWORD)


# --- without a client id --------------------------------------------------------------------------
PROVIDER_ADDRESSES = [
    "google/login/", "google/login/callback/", "google/login/token/",
    "apple/login/", "apple/login/callback/finish/",
]  # fmt: skip


@pytest.mark.parametrize("path", PROVIDER_ADDRESSES)
def test_a_provider_that_is_not_set_up_has_no_addresses(db, path):
    assert Client().get(f"/accounts/{path}").status_code == 404


@pytest.mark.parametrize("path", PROVIDER_ADDRESSES)
def test_the_addresses_of_a_provider_answer_a_stray_visit_with_a_page(db, identity_provider, path):
    for answer in (Client().get(f"/accounts/{path}"), Client().post(f"/accounts/{path}")):
        assert answer.status_code in (200, 302, 401)


def test_a_provider_cannot_be_set_up_by_a_row(db):
    SocialApp.objects.create(provider="google", client_id="row", secret="x")
    assert Client().get("/accounts/google/login/").status_code == 404
