"""E-mail addresses: who may claim one, what a stranger learns, and how often one may try."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import caches
from django.test import Client

from tenants.models import User
from tests.tenants.api.app import App
from tests.tenants.identity.people import PASSWORD, account, browser, sign_in, signed_in_as, text

NEW = {"full_name": "Asha Rao", "email": "asha@example.com", "password1": PASSWORD}


def link_in(mail) -> str:
    return re.search(r"https?://[^/]+(/\S+)", mail.body)[1]


def answer_to(path: str, data: dict[str, str]) -> tuple[list[tuple[str, int]], str]:
    """Where a stranger is led and what they read; tokens and what they typed themselves left
    out."""
    page = Client().post(path, data, follow=True)
    words = re.sub(r'(csrfmiddlewaretoken" value=")[^"]+', r"\1", text(page))
    return page.redirect_chain, words.replace(data.get("email", data.get("login", "")), "…")


# --- nobody learns who has an account -------------------------------------------------------------
@pytest.mark.parametrize("verified", [True, False])
def test_signing_up_with_a_taken_address_looks_like_signing_up(db, mailoutbox, verified):
    fresh = answer_to("/accounts/signup/", {**NEW, "email": "fresh@example.com"})
    user = account(verified=verified)
    assert answer_to("/accounts/signup/", NEW) == fresh
    assert User.objects.filter(email=user.email).count() == 1
    user.refresh_from_db()
    assert (user.full_name, user.check_password(PASSWORD)) == ("Asha R.", True)
    assert mailoutbox[-1].to == [user.email]
    assert "You have a PushPilot account already" in mailoutbox[-1].subject


def test_asking_for_a_new_password_looks_the_same_for_everybody(db, mailoutbox):
    account()
    assert answer_to("/accounts/password/reset/", {"email": "asha@example.com"}) == answer_to(
        "/accounts/password/reset/", {"email": "nobody@example.com"}
    )
    assert [mail.to for mail in mailoutbox] == [["asha@example.com"], ["nobody@example.com"]]
    assert "There is no PushPilot account" in mailoutbox[1].subject


def test_a_wrong_password_looks_like_an_unknown_address(db):
    account()
    wrong = answer_to("/accounts/login/", {"login": "asha@example.com", "password": "wrong"})
    unknown = answer_to("/accounts/login/", {"login": "nobody@example.com", "password": "wrong"})
    assert wrong == unknown
    assert "The e-mail address or the password is wrong" in wrong[1]


def test_adding_a_taken_address_looks_like_adding_a_free_one(db, mailoutbox):
    account("taken@example.com")
    client = browser(account())
    pages = [
        text(
            client.post("/accounts/email/", {"action_add": "", "email": email}, follow=True)
        ).replace(email, "…")
        for email in ("taken@example.com", "free@example.com")
    ]
    assert "We sent a link to" in pages[0]
    assert ("We sent a link to" in pages[0]) == ("We sent a link to" in pages[1])


# --- whose address it is --------------------------------------------------------------------------
@pytest.fixture
def claimed(db):
    """Somebody's own account also lists the address of Asha, who has none yet."""
    attacker = account("attacker@example.com")
    EmailAddress.objects.create(user=attacker, email="asha@example.com", verified=False)
    return attacker


def test_a_claimed_address_can_be_signed_up_with(claimed, mailoutbox):
    Client().post("/accounts/signup/", NEW)
    Client().post(link_in(mailoutbox[-1]))
    assert EmailAddress.objects.get(email="asha@example.com", verified=True).user != claimed


@pytest.mark.parametrize("door", ["sign-up", "reset", "api"])
def test_nobody_s_form_cancels_a_pending_change_of_address(claimed, mailoutbox, door):
    """Whoever claims the address may be its owner, who has the mail already and opens its link."""
    client = browser(claimed)
    EmailAddress.objects.filter(verified=False).delete()
    client.post("/accounts/email/", {"action_add": "", "email": "asha@example.com"})
    pending = link_in(mailoutbox[-1])
    if door == "sign-up":
        Client().post("/accounts/signup/", NEW)
    elif door == "reset":
        Client().post("/accounts/password/reset/", {"email": "asha@example.com"})
    else:
        App().post("/auth/register", email="asha@example.com", password=PASSWORD, full_name="Asha")
    assert EmailAddress.objects.filter(
        user=claimed, email="asha@example.com", verified=False
    ).exists()
    client.post(pending)
    client.post("/accounts/email/", {"action_primary": "", "email": "asha@example.com"})
    assert User.objects.get().email == "asha@example.com"


def test_a_claim_ends_when_the_owner_confirms(claimed, mailoutbox):
    Client().post("/accounts/signup/", NEW)
    assert EmailAddress.objects.filter(user=claimed).count() == 2
    Client().post(link_in(mailoutbox[-1]))
    assert [address.email for address in EmailAddress.objects.filter(user=claimed)] == [
        "attacker@example.com"
    ]


def test_an_account_that_was_opened_before_stays_when_another_confirms_its_address(
    claimed, mailoutbox
):
    # by a command: without a mail that waits for its answer
    User.objects.create_user("asha@example.com")
    client = browser(claimed)
    EmailAddress.objects.filter(verified=False).delete()
    client.post("/accounts/email/", {"action_add": "", "email": "asha@example.com"})
    client.post(link_in(mailoutbox[-1]))
    assert User.objects.filter(email="asha@example.com").exists()


def test_the_owner_of_a_claimed_address_gets_no_key_to_the_claimers_account(claimed, mailoutbox):
    Client().post("/accounts/password/reset/", {"email": "asha@example.com"})
    assert "There is no PushPilot account" in mailoutbox[-1].subject


def test_who_resets_the_password_of_an_account_in_their_name_shuts_its_maker_out(db, mailoutbox):
    """Pre-hijacking by password: the attacker signed up with the victim's address, the victim
    comes later."""
    Client().post("/accounts/signup/", {**NEW, "password1": "the attackers one 9"})
    Client().post("/accounts/password/reset/", {"email": "asha@example.com"})
    victim = Client()
    form = victim.get(link_in(mailoutbox[-1]), follow=True).redirect_chain[-1][0]
    victim.post(form, {"password1": PASSWORD, "password2": PASSWORD})
    assert signed_in_as(sign_in("asha@example.com", "the attackers one 9")[0]) is None


def test_an_added_address_must_be_confirmed_and_says_whose_account_asks(db, mailoutbox):
    client = browser(account())
    client.post("/accounts/email/", {"action_add": "", "email": "second@example.com"})
    mail = mailoutbox[-1]
    assert mail.subject == "Is this address yours?"
    assert "Asha R. (asha@example.com)" in mail.body
    assert "account of Asha R. (asha@example.com)" in text(client.get(link_in(mail)))
    client.post(link_in(mail))
    client.post("/accounts/email/", {"action_primary": "", "email": "second@example.com"})
    assert User.objects.get().email == "second@example.com"
    assert mailoutbox[-1].to == ["asha@example.com"]


def test_changing_addresses_needs_the_password_again(db):
    account()
    client, _ = sign_in()
    answer = client.post("/accounts/email/", {"action_add": "", "email": "second@example.com"})
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert EmailAddress.objects.count() == 1


def test_an_account_has_at_most_five_addresses(db):
    user = account()
    for number in range(4):
        EmailAddress.objects.create(user=user, email=f"a{number}@example.com", verified=True)
    shown = text(
        browser(user).post("/accounts/email/", {"action_add": "", "email": "more@example.com"})
    )
    assert "action_add" not in shown
    assert EmailAddress.objects.count() == 5


# --- how often one may try ------------------------------------------------------------------------
@pytest.fixture(params=["memory", "files"])
def _each_cache(request, settings, tmp_path):
    """Rate limits must hold in the cache of the first run too, which is made of files."""
    if request.param == "files":
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                "LOCATION": str(tmp_path),
            }
        }
    caches["default"].clear()


def attempt(email: str, address: str, password: str = "wrong") -> str:
    return text(
        Client(REMOTE_ADDR=address).post("/accounts/login/", {"login": email, "password": password})
    )


@pytest.mark.usefixtures("_each_cache")
def test_a_client_has_five_wrong_passwords_for_one_account(db):
    account()
    pages = [attempt("asha@example.com", "10.0.0.1") for _ in range(6)]
    assert "Too many attempts" not in pages[4]
    assert "Too many attempts" in pages[5]
    assert "Too many attempts" in attempt("asha@example.com", "10.0.0.1", PASSWORD)
    assert "Too many attempts" not in attempt("other@example.com", "10.0.0.1")


@pytest.mark.usefixtures("_each_cache")
def test_strangers_wrong_passwords_do_not_shut_the_owner_out(db):
    account()
    for number in range(12):
        attempt("asha@example.com", f"10.0.0.{number // 4}")
    assert signed_in_as(sign_in(REMOTE_ADDR="10.9.9.9")[0]) == User.objects.get()


@pytest.mark.parametrize("host", ["testserver", "localhost"])
def test_another_host_s_name_gives_no_more_tries(db, settings, host):
    settings.ALLOWED_HOSTS = ["*"]
    account()
    for _ in range(5):
        attempt("asha@example.com", "10.0.0.1")
    page = Client(REMOTE_ADDR="10.0.0.1", HTTP_HOST=host).post(
        "/accounts/login/", {"login": "asha@example.com", "password": "wrong"}
    )
    assert "Too many attempts" in text(page)


@pytest.mark.usefixtures("_each_cache")
def test_a_hundred_wrong_passwords_from_everywhere_shut_an_account_to_new_clients_only(
    db, settings
):
    settings.ACCOUNT_RATE_LIMITS = {
        **settings.ACCOUNT_RATE_LIMITS,
        "login_failed_anywhere": "6/h/key",
    }
    user = account()
    sign_in(REMOTE_ADDR="10.9.9.9")  # opened from there before
    account("ravi@example.com")
    sign_in("ravi@example.com", REMOTE_ADDR="10.0.2.1")  # somebody else's client
    for number in range(6):
        attempt("asha@example.com", f"10.0.1.{number}")
    assert signed_in_as(sign_in(REMOTE_ADDR="10.0.2.1")[0]) is None
    assert signed_in_as(sign_in(REMOTE_ADDR="10.9.9.9")[0]) == user


@pytest.mark.usefixtures("_each_cache")
def test_an_address_is_shut_after_ten_wrong_passwords_for_whomever(db):
    pages = [attempt(f"p{n}@example.com", "10.0.0.1") for n in range(11)]
    assert "Too many attempts" not in pages[9]
    assert "Too many attempts" in pages[10]
    assert "Too many attempts" not in attempt("p99@example.com", "10.0.0.2")


def test_a_forged_forwarded_header_is_no_way_around(db, settings):
    settings.PROXY_COUNT = 0
    account()
    for number in range(11):
        forged = {"X-Forwarded-For": f"1.2.3.{number}"}
        page = Client(headers=forged).post(
            "/accounts/login/", {"login": f"p{number}@example.com", "password": "x"}
        )
    assert "Too many attempts" in text(page)


@pytest.mark.usefixtures("_each_cache")
def test_mails_cannot_be_sent_without_end(db, mailoutbox):
    account()
    answers = [
        Client(REMOTE_ADDR=f"10.0.0.{n}").post(
            "/accounts/password/reset/", {"email": "asha@example.com"}
        )
        for n in range(6)
    ]
    assert [answer.status_code for answer in answers] == [302] * 5 + [429]
    assert len(mailoutbox) == 5
    assert "Please wait a minute" in text(answers[5])


def test_sign_ups_from_one_address_are_limited(db):
    answers = [
        Client().post("/accounts/signup/", {**NEW, "email": f"n{number}@example.com"})
        for number in range(21)
    ]
    assert [answer.status_code for answer in answers] == [302] * 20 + [429]


# --- a mail that did not leave --------------------------------------------------------------------
NO_MAIL = {
    "kept": {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"},
    "refused": {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": 9,
    },
}


@pytest.mark.parametrize("fate", NO_MAIL)
@pytest.mark.parametrize(
    ("path", "data"),
    [("/accounts/signup/", NEW), ("/accounts/password/reset/", {"email": "asha@example.com"})],
    ids=["sign-up", "new password"],
)
def test_no_page_says_that_a_mail_was_sent_if_none_left_the_server(db, settings, path, data, fate):
    for name, value in NO_MAIL[fate].items():
        setattr(settings, name, value)
    known = answer_to(path, data)
    assert f'data-mail="{fate}"' in known[1]
    for promise in ("We sent", "is on its way", "Check your mail"):
        assert promise not in known[1]


def test_a_visitor_whose_mail_was_refused_reads_the_promise_again_once_a_mail_left(db, settings):
    settings.EMAIL_BACKEND = NO_MAIL["refused"]["EMAIL_BACKEND"]
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    visitor = Client()
    visitor.post("/accounts/password/reset/", {"email": "asha@example.com"})
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    page = visitor.post("/accounts/password/reset/", {"email": "asha@example.com"}, follow=True)
    assert 'data-mail="sent"' in text(page)


def test_a_new_address_of_ones_own_is_not_called_mailed_without_a_mail_server(db, settings):
    visitor = browser(account())
    settings.EMAIL_BACKEND = NO_MAIL["kept"]["EMAIL_BACKEND"]
    page = visitor.post(
        "/accounts/email/", {"action_add": "", "email": "new@example.com"}, follow=True
    )
    assert "We sent a link" not in text(page)
    assert "new@example.com" in text(page)
