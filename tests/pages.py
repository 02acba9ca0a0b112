"""What tests of pages share: the text of an answer, and what a dialog posts."""

from __future__ import annotations

import time
from typing import Any

from django.test import Client

from tenants.models import User

# What Unfold's dialogs post as the answer "yes".
YES: dict[str, Any] = {"_form_submitted": "on"}


def text(response: Any) -> str:
    return str(response.content.decode())


def signed_in_now(client: Client, user: User, *, ago_secs: float = -86_400) -> None:
    """By the password: a moment ago, for as long as a test may take, or some time before."""
    client.force_login(user, backend="tenants.access.EmailBackend")
    session = client.session
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time() - ago_secs}
    ]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
