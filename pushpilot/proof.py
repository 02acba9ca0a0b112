"""What asks for the password, a code or a passkey again: an open browser on a desk is not its
owner.

The API asks nobody: its sessions and keys are no browsers that somebody else finds open.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from tenants.admin.base import after_dialog

# By the name of the address, on both sites.
ASKED_AGAIN = frozenset(
    {
        # secrets
        "tenants_apikey_add",
        "tenants_apikey_rotate",
        "tenants_apikey_identity",
        "tenants_apikey_verify_identity",
        "tenants_connection_add",
        "tenants_connection_change",
        # who may do what
        "tenants_membership_change",
        "tenants_membership_remove",
        "tenants_invitation_add",
        "tenants_invitation_resend",
        "tenants_workspace_transfer",
        "tenants_user_make_operator",
        "tenants_user_remove_operator",
        "tenants_user_deactivate",
        # files with people in them
        "tenants_auditentry_export",
        "campaigns_run_export",
        # the end
        "tenants_workspace_delete_workspace",
    }
)
PROVED_SECS = 15 * 60  # since signing in or the last proof
FILLING_SECS = 45 * 60  # more for who opened a form in time and fills it in


def is_proved(request: HttpRequest) -> bool:
    """Did the user show lately that it is them? Who signs in by a provider alone has nothing to
    show here: the provider protects the account, as it does for the pages of the account."""
    user: Any = request.user
    within = PROVED_SECS + (FILLING_SECS if request.method == "POST" else 0)
    records = get_authentication_records(request, user)
    if any(record.get("at", 0) > time.time() - within for record in records):
        return True
    return not get_reauthentication_flows(user)


class AskAgain:
    """Leads to the page that asks, and from there back to the page that one was on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or match.url_name not in ASKED_AGAIN or match.namespaces[:1] == ["api"]:
            return None
        if not request.user.is_authenticated or is_proved(request):
            return None
        # A dialog is opened again from its page.
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
        back_to = page.path if page.path else request.get_full_path()
        # Outside of the workspace's address: account pages have one address for all workspaces.
        ask = "/accounts/" + reverse("account_reauthenticate").partition("/accounts/")[2]
        return after_dialog(request, f"{ask}?{urlencode({'next': back_to})}")
