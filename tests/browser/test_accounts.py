"""Passkeys, authenticator app, sessions and the look of the account pages, in a real browser."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Page, expect

from tests.browser.accounts import (
    add_passkey,
    device_with_fingerprint,
    prove,
    set_up_totp,
    sign_out,
    type_password,
)
from tests.browser.axe import violations
from tests.totp import code_of

# Beside the pages of pages.py, which test_pseudo.py shows to axe-core.
ENTRANCE = ["confirm-email/bad/", "inactive/"]
# Asked for by one who is signed in, with an authenticator app and a passkey.
MANAGE = [
    "reauthenticate/",
    "2fa/",
    "2fa/reauthenticate/",
    "2fa/webauthn/",
    "2fa/webauthn/reauthenticate/",
    "2fa/totp/deactivate/",
    "2fa/recovery-codes/",
    "2fa/recovery-codes/generate/",
    "3rdparty/",
]


def test_a_passkey_is_added_and_signs_in_alone(product, sign_in):
    page = sign_in("arjun@biddano.test", afresh=True)
    device = device_with_fingerprint(page)
    add_passkey(page, product.password, "Work laptop")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("Work laptop")).to_be_visible()
    expect(page.get_by_text("only as a second step")).to_have_count(0)

    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"**{product.console}**")
    page.goto("/accounts/profile/")
    expect(page.get_by_label("Your name")).to_have_value("Arjun Mehta")

    # As a second step after the password, too.
    sign_out(page)
    type_password(page, "arjun@biddano.test", product.password)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"**{product.console}**")

    # A person whom the device does not recognise reads why nothing happened.
    sign_out(page)
    device.forget()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("No passkey was used")


def test_an_authenticator_app_and_a_recovery_code_sign_in(product, sign_in):
    page = sign_in("neha@biddano.test", afresh=True)
    secret = set_up_totp(page, product.password)
    expect(page.locator("[data-left='10']")).to_be_visible()
    codes = [code.strip() for code in page.locator("#recovery-codes li").all_inner_texts()]

    sign_out(page)
    type_password(page, "neha@biddano.test", product.password)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("That did not match")
    time.sleep(30 - time.time() % 30)  # the code of the set-up counts as used until the next one
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"**{product.console}**")

    sign_out(page)
    type_password(page, "neha@biddano.test", product.password)
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"**{product.console}**")
    page.goto("/accounts/2fa/")
    expect(page.locator("[data-left='9']")).to_be_visible()


def test_a_session_is_ended_from_another_device(product, sign_in):
    here, there = (
        sign_in("vikram@biddano.test", afresh=True),
        sign_in("vikram@biddano.test", afresh=True),
    )
    here.goto("/accounts/sessions/")
    expect(here.get_by_text("This one")).to_have_count(1)
    here.get_by_role("button", name=re.compile("End the session of")).first.click()
    expect(here.get_by_text("That device has to sign in again")).to_be_visible()
    expect(here.locator("[data-sessions='1']")).to_be_visible()
    there.goto(product.console)
    expect(there.get_by_role("heading", name="Welcome back")).to_be_visible()


def test_the_pages_of_a_second_factor_are_accessible_in_light_and_dark(product, sign_in):
    product.add_person("Meera Nair", "meera@biddano.test")
    page = sign_in("meera@biddano.test", afresh=True)
    device_with_fingerprint(page)
    add_passkey(page, product.password, "My passkey")
    set_up_totp(page, product.password)
    wrong = violations_of(page, MANAGE, product.password)
    sign_out(page)
    assert wrong + violations_of(page, ENTRANCE, product.password) == []


def violations_of(page: Page, paths: list[str], password: str) -> list[str]:
    wrong: list[str] = []
    for path in paths:
        page.goto(f"/accounts/{path}")
        if not path.endswith("reauthenticate/"):
            prove(page, password)
        wrong += violations(page)
    return wrong
