"""What a person does with their account in the browser, in whatever language; shared by the tests
and the pictures."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import CDPSession, Page, expect

from tests.totp import code_of


def prove(page: Page, password: str) -> None:
    """Show that it is you, if the page asks."""
    if "/reauthenticate/" in page.url:
        page.locator("input[name=password]").fill(password)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/reauthenticate/" not in url)


@dataclass
class Device:
    """A virtual authenticator that keeps passkeys and always recognises its owner."""

    devtools: CDPSession
    id: str

    def forget(self) -> None:
        self.devtools.send("WebAuthn.clearCredentials", {"authenticatorId": self.id})


def device_with_fingerprint(page: Page) -> Device:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    added = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return Device(devtools, added["authenticatorId"])


def add_passkey(page: Page, password: str, name: str) -> None:
    page.goto("/accounts/2fa/webauthn/add/")
    prove(page, password)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Add passkey").click()
    page.wait_for_url(lambda url: "/add/" not in url)


def set_up_totp(page: Page, password: str) -> str:
    """The secret that the app would have read from the QR code."""
    page.goto("/accounts/2fa/totp/activate/")
    prove(page, password)
    expect(page.get_by_alt_text("QR code for your authenticator app")).to_be_visible()
    page.get_by_text("I cannot scan it").click()
    secret = page.locator(".pp-key").inner_text()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Turn on").click()
    page.wait_for_url(lambda url: "/activate/" not in url)
    return secret


def type_password(page: Page, email: str, password: str) -> None:
    page.goto("/accounts/login/")
    page.locator("input[name=login]").fill(email)
    page.locator("input[name=password]").fill(password)
    page.keyboard.press("Enter")


def sign_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.locator("form[action$='/logout/'] button[type=submit]").click()
    page.wait_for_url("**/accounts/login/")
