"""The sessions page."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession

from tenants.sessions import device
from tests.tenants.identity.people import account, sign_in, signed_in_as, text

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 "
    "Mobile Safari/604.1"
)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (CHROME, "Chrome on Windows"),
        (f"{CHROME} Edg/126.0", "Edge on Windows"),
        (PHONE, "Safari on iPhone"),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14) Chrome/126.0 Mobile Safari/537.36 SamsungBrowser/25",
            "Samsung Internet on Android",
        ),
        (PHONE.replace("Version/17.5", "CriOS/126.0"), "Chrome on iPhone"),
        (PHONE.replace("Version/17.5", "FxiOS/127.0"), "Firefox on iPhone"),
        ("curl/8.5", "curl/8.5"),
        ("okhttp/4.12", "okhttp/4.12"),
        ("x" * 500, "x" * 60),
        ("Windows", "Unknown browser on Windows"),
        ("", "Unknown browser"),
    ],
)
def test_a_device_has_the_name_that_people_use(user_agent, name):
    assert device(user_agent) == name


@pytest.fixture
def two(db):
    """This browser and a phone of the same person."""
    account()
    return sign_in(headers={"User-Agent": CHROME})[0], sign_in(headers={"User-Agent": PHONE})[0]


def row_of(client) -> UserSession:
    return UserSession.objects.get(session_key=client.session.session_key)


def test_the_page_names_each_device_and_this_one_first(two):
    shown = text(two[0].get("/accounts/sessions/"))
    assert (
        shown.index("Chrome on Windows") < shown.index("This one") < shown.index("Safari on iPhone")
    )


def test_one_session_can_be_ended(two):
    here, phone = two
    third, _ = sign_in()
    shown = here.post("/accounts/sessions/", {"session": row_of(phone).pk}, follow=True)
    assert "has to sign in again" in text(shown)
    assert signed_in_as(phone) is None
    assert signed_in_as(third)
    assert signed_in_as(here)


def test_all_others_can_be_ended_at_once(two):
    here, phone = two
    third, _ = sign_in()
    here.post("/accounts/sessions/", {})
    assert signed_in_as(phone) is signed_in_as(third) is None
    assert signed_in_as(here)
    assert 'data-sessions="1"' in text(here.get("/accounts/sessions/"))


def test_a_session_of_somebody_else_is_not_ended(two):
    account("other@example.com")
    other, _ = sign_in("other@example.com")
    for wrong in (row_of(other).pk, 987654, "x", "99999999999999999999"):
        shown = two[0].post("/accounts/sessions/", {"session": wrong})
        assert shown.status_code == 200
        assert "already ended" in text(shown)
    assert signed_in_as(other)
    assert signed_in_as(two[1])


def test_a_new_password_ends_every_other_session(two):
    here, phone = two
    secret = {
        "oldpassword": "a long and rare one 7",
        "password1": "another rare one 8",
        "password2": "another rare one 8",
    }
    here.post("/accounts/password/change/", secret)
    assert here.get("/accounts/profile/").status_code == 200
    assert phone.get("/accounts/profile/").status_code == 302
