"""What the tests of this folder share: accounts, clients and the codes of an authenticator app."""

from __future__ import annotations

import re

from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client

from tenants.models import User
from tests.pages import text
from tests.totp import code_of

PASSWORD = "a long and rare one 7"


def account(
    email="asha@example.com", *, verified=True, name="Asha R.", password: str | None = PASSWORD
) -> User:
    user = User.objects.create_user(email, password, full_name=name)
    EmailAddress.objects.create(user=user, email=email, verified=verified, primary=True)
    return user


def signed_in_as(client: Client) -> User | None:
    key = client.session.get("_auth_user_id")
    return User.objects.get(pk=key) if key else None


def sign_in(email="asha@example.com", password=PASSWORD, **extra) -> tuple[Client, object]:
    """A browser after the sign-in form, and the page that it got."""
    client = Client(**extra)
    return client, client.post(
        "/accounts/login/", {"login": email, "password": password}, follow=True
    )


def browser(user: User) -> Client:
    """Signed in, and shown a moment ago that it is them."""
    client, _ = sign_in(user.email)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def next_code_comes() -> None:
    """As if half a minute went by: the app's code is one that was not used yet."""
    for name in list(cache._cache):
        if "allauth.mfa.totp.used" in name:
            cache.delete(name.split(":", 2)[2])


def set_up_totp(client: Client) -> str:
    """Turns the authenticator app on, as a person does, half a minute ago. Returns the secret
    that the app keeps."""
    page = text(client.get("/accounts/2fa/totp/activate/"))
    secret = re.search(r'<code class="pp-key">(\w+)</code>', page)[1]
    done = client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)}, follow=True)
    assert 'data-left="10"' in text(done)
    next_code_comes()
    return secret


def recovery_codes(client: Client) -> list[str]:
    return client.get("/accounts/2fa/recovery-codes/download/").content.decode().split()
