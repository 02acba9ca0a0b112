"""An address is taken as it was written or refused, at every door: never cut, never with what
nobody sees in it."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from tenants import account_forms
from tenants.models import Invitation, User
from tenants.scope import scope
from tests.tenants.api.app import App
from tests.tenants.identity.people import PASSWORD, account, browser
from tests.tenants.identity_provider import GOOGLE

pytestmark = pytest.mark.once

# One character more than an address has; without it, that is an address at a stranger's domain.
LONG = f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}.abc.com"
HIDDEN = {
    "zero width": "asha@exam\u200bple.com", "soft hyphen": "asha@exam\u00adple.com", "joiner": "a@exam\u2060ple.com",
    "bidi": "asha@\u202eelpmaxe.com", "control": '"as\x01ha"@example.com', "delete": '"as\x7fha"@example.com',
    "full width": "asha@ｅxample.com", "cyrillic": "asha@ехample.com", "other dot": "asha@example。com",
    "long s": "a\u017fha@example.com", "no-break": "asha\u00a0rao@example.com", "too long": LONG,
}  # fmt: skip
REFUSED = pytest.mark.parametrize("email", HIDDEN.values(), ids=HIDDEN.keys())


def test_the_long_address_is_one_character_too_long():
    assert (len(LONG), LONG[:254][-3:]) == (255, ".co")


@REFUSED
def test_the_sign_up_page_refuses_it_and_mails_nobody(db, mailoutbox, email):
    for _ in range(2):
        page = Client().post(
            "/accounts/signup/", {"full_name": "Asha", "email": email, "password1": PASSWORD}
        )
        assert page.status_code == 200
        assert page.context["form"].errors.keys() == {"email"}
    assert not User.objects.exists()
    assert not mailoutbox


@REFUSED
def test_the_api_refuses_it_and_mails_nobody(db, mailoutbox, email):
    answer = App().post("/auth/register", email=email, password=PASSWORD, full_name="Asha")
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == ["email"]
    assert not User.objects.exists()
    assert not mailoutbox


@REFUSED
def test_nobody_adds_it_to_an_account(db, mailoutbox, email):
    page = browser(account()).post("/accounts/email/", {"action_add": "", "email": email})
    assert page.context["form"].errors.keys() == {"email"}
    assert EmailAddress.objects.count() == 1
    assert not mailoutbox


@REFUSED
def test_nobody_asks_for_a_new_password_with_it(db, mailoutbox, email):
    page = Client().post("/accounts/password/reset/", {"email": email})
    assert page.context["form"].errors.keys() == {"email"}
    assert not mailoutbox


@REFUSED
def test_nobody_is_invited_to_it(cast, mailoutbox, email):
    form = {"emails": f"good@example.com, {email}", "role": "member"}
    page = cast.client("owner").post(cast.url("tenants/invitation/add/"), form)
    assert page.status_code == 200
    assert page.context["adminform"].form.errors.keys() == {"emails"}
    app = App()
    account("asha@example.com")
    app.login()
    founded = app.post("/workspaces", name="Asha's").json()
    answer = app.post(f"/workspaces/{founded['id']}/invitations", email=email, role="member")
    assert answer.status_code == 422
    with scope(cast.workspace):
        assert not Invitation.objects.exists()
    assert not mailoutbox


@REFUSED
def test_no_command_makes_an_account_of_it(db, email):
    with pytest.raises(CommandError):
        call_command("createsuperuser", "--noinput", email=email)
    with pytest.raises(ValidationError):
        User.objects.create_user(email)
    assert not User.objects.exists()


@REFUSED
def test_a_provider_s_word_for_it_makes_no_account(db, identity_provider, email):
    answer = App().post("/auth/google", id_token=identity_provider.id_token(GOOGLE, email=email))
    assert answer.json()["code"] == "email_missing"
    assert not User.objects.exists()


def test_half_a_name_is_not_kept_of_a_provider_s_long_one(db, identity_provider):
    told = App().post("/auth/google", id_token=identity_provider.id_token(GOOGLE, name="A" * 151))
    assert told.json()["user"]["full_name"] == ""


@pytest.mark.parametrize(
    "email", ["o'hara+push@sub.example.co.uk", "asha@xn--mnchen-3ya.de", "UPPER@Example.com"]
)
def test_addresses_that_people_have_are_taken(db, mailoutbox, email):
    Client().post("/accounts/signup/", {"full_name": "Asha", "email": email, "password1": PASSWORD})
    assert [mail.to for mail in mailoutbox] == [[email.lower()]]
    assert User.objects.get().email == email.lower()


@pytest.mark.parametrize("door", ["page", "api"])
def test_of_two_sign_ups_in_one_moment_the_second_looks_like_the_first(
    db, mailoutbox, monkeypatch, door
):
    """The first one is saved after the second one has asked whether the address is free."""
    account()
    monkeypatch.setattr(account_forms, "owners_of", lambda email: [])
    said = {"full_name": "Asha", "email": "asha@example.com"}
    if door == "page":
        answer = Client().post("/accounts/signup/", {**said, "password1": PASSWORD})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/confirm-email/")
    else:
        assert App().post("/auth/register", **said, password=PASSWORD).status_code == 202
    assert [mail.to for mail in mailoutbox] == [["asha@example.com"]]
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("who", "path"),
    [("anonymous", "/accounts/signup/"), ("anonymous", "/accounts/password/reset/"), ("anonymous", "/accounts/login/"),
     ("outsider", "/"), ("member", "/accounts/profile/"), ("member", "/accounts/email/"),
     ("owner", "w:tenants/invitation/add/"), ("owner", "w:tenants/apikey/add/"), ("owner", "w:campaigns/template/"),
     ("owner", "w:campaigns/template/add/"), ("owner", "w:campaigns/campaign/add/"), ("owner", "w:tenants/workspace/")],
)  # fmt: skip
def test_no_field_lets_the_browser_cut_what_is_pasted(cast, who, path):
    url = cast.url(path[2:]) if path.startswith("w:") else path
    page = cast.client(who).get(url, follow=True)
    assert page.status_code == 200
    assert b"<input" in page.content
    assert b"maxlength" not in page.content
