"""What the sandbox's devices received: a client of the sandbox's log."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.utils.translation import gettext as _

from delivery.providers.base import (
    CredentialsRefused,
    LogPage,
    ProviderUnreachable,
    Received,
    SandboxSilent,
)
from delivery.providers.fcm.account import AccessToken, FcmAccount
from pushpilot.lib import http

TIMEOUT_SECS = 5
LONGEST_PAGE_BYTES = 16 * 1024 * 1024  # a thousand messages of 4 kB, and what the log says of each
TOKEN_SPARE_SECS = 60
BUTTONS_MOST = 3


def received(account: FcmAccount, *, after: int | None, limit: int) -> LogPage:
    """See Sandbox.received."""
    newest = int(_read(_get(f"{account.base_url}/sandbox/health"))["last"])
    if after is None or after > newest:  # the first look, or the sandbox began a new log
        after = max(0, newest - limit)
    answer = _log(account, after, limit)
    found = [_message(entry) for entry in answer["messages"]]
    return LogPage(found, int(answer["last"]), len(found) == limit)


def _log(account: FcmAccount, after: int, limit: int) -> dict[str, Any]:
    url = f"{account.base_url}/sandbox/projects/{account.project_id}/log"
    for is_fresh in (False, True):
        answer = _get(url, token=_token(account, is_fresh), after=after, limit=limit)
        if answer.status != 401:  # a sandbox that was started anew does not know its old tokens
            break
    if answer.status != 200:
        raise SandboxSilent(
            _(
                "The sandbox does not know this workspace any more. Connect the sandbox again "
                "under Connections."
            )
        )
    return _read(answer)


def _read(answer: http.Answer) -> dict[str, Any]:
    """The sandbox's own answer: it says how far its log goes. Raises SandboxSilent if something
    else answered."""
    try:
        found: dict[str, Any] = answer.json()
        int(found["last"])
    except (ValueError, KeyError, TypeError) as error:
        raise SandboxSilent(no_answer()) from error
    return found


_tokens: dict[tuple[str, str], AccessToken] = {}


def _token(account: FcmAccount, is_fresh: bool) -> str:
    """An access token, kept in this process until it ends: minting costs an RSA signature and a
    request."""
    key = (account.project_id, str(account.service_account.get("private_key_id")))
    held = _tokens.get(key)
    if is_fresh or held is None or held.expires_at - TOKEN_SPARE_SECS < time.time():
        try:
            held = account.mint()
        except CredentialsRefused as error:
            raise SandboxSilent(
                _(
                    "The sandbox does not know the key of this workspace. Connect the sandbox "
                    "again under Connections."
                )
            ) from error
        except ProviderUnreachable as error:
            raise SandboxSilent(no_answer()) from error
        for stale in [known for known in _tokens if known[0] == account.project_id]:
            _tokens.pop(stale, None)
        _tokens[key] = held
    return held.value


def _get(url: str, *, token: str = "", **query: int) -> http.Answer:
    headers = {}
    if token:
        headers = {"Authorization": f"Bearer {token}"}
    url = f"{url}?{urlencode(query)}"
    try:
        return http.ask(
            url,
            is_ours=True,
            headers=headers,
            timeout_secs=TIMEOUT_SECS,
            most_bytes=LONGEST_PAGE_BYTES,
        )
    except http.NoAnswer as error:
        raise SandboxSilent(no_answer()) from error


def no_answer() -> str:
    """What people read while no sandbox runs."""
    words = _("The sandbox at %(address)s does not answer. Start it with `manage.py sandbox`.")
    return words % {"address": settings.SANDBOX_URL}


def _message(entry: dict[str, Any]) -> Received:
    message = entry["message"]
    notification, data = message.get("notification") or {}, message.get("data") or {}
    buttons = tuple(
        (number, data[f"pp_button_{number}_text"], data.get(f"pp_button_{number}_url", ""))
        for number in range(1, BUTTONS_MOST + 1)
        if f"pp_button_{number}_text" in data
    )
    return Received(
        seq=entry["seq"],
        at=entry["at"],
        token=entry["token"],
        ref=data.get("pp_ref", ""),
        # A data message: the app draws it from its data.
        title=notification.get("title", data.get("pp_title", "")),
        body=notification.get("body", data.get("pp_body", "")),
        image=notification.get("image", data.get("pp_image", "")),
        link=data.get("pp_link", ""),
        buttons=buttons,
    )
