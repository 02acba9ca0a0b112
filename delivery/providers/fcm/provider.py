"""Firebase Cloud Messaging and its sandbox, as the registry knows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.channels.base import REFERENCE, Compiled, Message
from campaigns.channels.payload import PayloadTemplate, slot
from delivery.providers.base import (
    ADDRESS,
    CheckResult,
    LogPage,
    Manners,
    Provider,
    ProviderUnreachable,
    Sandbox,
)
from delivery.providers.fcm import sandbox_client, sdk
from delivery.providers.fcm.account import FcmAccount
from delivery.providers.fcm.codes import ALARMS, GIVEN_UP, MEANINGS, REMEDIES
from delivery.providers.fcm.forms import KeyFileForm
from delivery.providers.fcm.message import build_message, envelope, expiry
from delivery.providers.fcm.sender import FcmSender
from delivery.providers.http2 import CurlTransport
from pushpilot.lib import http
from pushpilot.lib.display import Words

_EXPIRES = "expires"


class FcmRequest:
    """FCM's JSON of one content. iOS has no time-to-live but an end, which moves with the clock."""

    __slots__ = ("_content", "_ends", "_payload")

    def __init__(self, content: Compiled, kind: str) -> None:
        self._content = content.static
        self._ends = content.static.get("ttl_secs") is not None
        message = build_message(
            content.with_slots, target=(kind, slot(ADDRESS)), expires=slot(_EXPIRES)
        )
        slots = (*content.personal, REFERENCE, ADDRESS, _EXPIRES)
        self._payload = PayloadTemplate.compile(envelope(message), slots)

    def fill(self, values: Mapping[str, str]) -> bytes:
        return self._payload.fill(
            {**values, _EXPIRES: expiry(self._content)} if self._ends else values
        )


class Fcm(Provider[FcmAccount]):
    key, mark, service = "fcm", "FC", "push"
    label: ClassVar[Words] = "Firebase Cloud Messaging"
    summary = gettext_lazy("Reaches the real phones and browsers of your app.")
    manners = Manners(
        per_second=10_000,  # the default quota is 600,000 a minute
        ramp_floor=1000,
        ramp=timedelta(seconds=60),
        quarter_hours=timedelta(minutes=2),
        answer_secs=20.0,
        retries_most=8,  # 10 s, 20 s, … 640 s: about 25 minutes of 500s and 503s
        retry_wait_secs=10.0,  # "a minimum timeout of 10 seconds before the retry"
        trouble_wait=timedelta(seconds=30),
        unreachable_wait=timedelta(seconds=15),
    )
    codes = MEANINGS
    final_codes = GIVEN_UP
    remedies = REMEDIES
    alarms = ALARMS
    credentials_form = KeyFileForm

    def read(self, credentials: str) -> FcmAccount:
        return FcmAccount.parse(credentials, sandbox_url=None)

    def check(self, account: FcmAccount) -> CheckResult:
        return sdk.check(account)

    def check_message(
        self, account: FcmAccount, message: Message, broadcast: tuple[str, str] | None
    ) -> CheckResult:
        return sdk.check_message(account, message, target=broadcast)

    def open(self, account: FcmAccount) -> FcmSender:
        return FcmSender(account, CurlTransport())

    def request(self, content: Compiled, kind: str) -> FcmRequest:
        return FcmRequest(content, kind)

    def key_id(self, account: FcmAccount) -> str:
        return str(account.service_account.get("private_key_id") or "")

    def describe(self, settings: Mapping[str, str]) -> list[tuple[str, str]]:
        return [
            (_("Project"), settings.get("project_id", "")),
            (_("Service account"), settings.get("account", "")),
        ]


class FcmSandbox(Fcm, Sandbox[FcmAccount]):
    key, label, mark = "fcm_sandbox", gettext_lazy("Sandbox (no real phones)"), "SB"
    summary = gettext_lazy(
        "Answers exactly like Firebase, on your own machine. Messages arrive on the phone wall and "
        "nowhere else."
    )

    def read(self, credentials: str) -> FcmAccount:
        return FcmAccount.parse(credentials, sandbox_url=settings.SANDBOX_URL)

    def create_account(self, name: str) -> str:
        try:
            answer = http.ask(
                f"{settings.SANDBOX_URL}/sandbox/projects",
                is_ours=True,
                body=msgspec.json.encode({"project_id": name[:30].rstrip("-")}),
                headers={"Content-Type": "application/json"},
            )
            if not answer.is_ok:
                raise ValueError(f"the sandbox answered {answer.status}")
            return msgspec.json.encode(answer.json()).decode()
        except (http.NoAnswer, ValueError) as error:
            raise ProviderUnreachable(sandbox_client.no_answer()) from error

    def received(self, account: FcmAccount, *, after: int | None, limit: int) -> LogPage:
        return sandbox_client.received(account, after=after, limit=limit)
