"""Batches out, outcomes back: FCM's answers read by what the caller must do (docs/engine.md)."""

import re
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.account import AccessToken, FcmAccount
from delivery.providers.http2 import Answer, Failure, Request, Transport

REFRESH_BEFORE_SECS = 300
"""A token with less than this to live is replaced before the next batch."""
QUOTA_WAIT_SECS = 60.0
"""FCM: a 429 without Retry-After means a minute."""
NO_RECEIPT = "NO_RECEIPT"
"""Our code for a 2xx that does not hold FCM's own answer."""

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_ABOUT_THE_TOKEN = re.compile(
    r"(the )?(fcm )?registration token is not |invalid "
    r"registration",
    re.IGNORECASE,
)
_RECEIPT = re.compile(r"projects/[^/\s]+/messages/\S+")
_KNOWN = {
    (404, "UNREGISTERED"): Verdict.GONE,
    (403, "SENDER_ID_MISMATCH"): Verdict.WRONG_SENDER,
    (401, "THIRD_PARTY_AUTH_ERROR"): Verdict.PLATFORM_BROKEN,
}
TOO_FAST = frozenset({"QUOTA_EXCEEDED", "HTTP_429", "RESOURCE_EXHAUSTED"})
_TARGET_FIELDS = frozenset({"message.token", "message.fid"})


class FcmSender:
    """Sends one connection's messages through a transport. Not thread-safe."""

    def __init__(self, account: FcmAccount, transport: Transport) -> None:
        self._account = account
        self._transport = transport
        self._token: AccessToken | None = None
        self._mint_count = 0
        self._last_good_mint = 0
        self._headers: tuple[str, ...] = ()
        self._minted_with: dict[int, int] = {}

    @property
    def in_flight(self) -> int:
        """Messages sent and without outcome."""
        return self._transport.in_flight

    def send(self, batch: Iterable[tuple[int, bytes]]) -> None:
        """Start sending (message id, whole request body) pairs; returns at once but for a token
        being minted.

        Raises CredentialsRefused (the owner must act) or ProviderUnreachable (try later): then
        nothing was sent.
        """
        self._ensure_token()
        url, headers, mint = self._account.send_url, self._headers, self._mint_count
        started = [Request(message_id, url, headers, body) for message_id, body in batch]
        self._minted_with.update(dict.fromkeys((request.key for request in started), mint))
        self._transport.submit(started)

    def poll(self, wait_secs: float) -> list[Outcome]:
        """Return what FCM said since the last poll; waits at most `wait_secs` for the first
        answer."""
        return [self._outcome(answer) for answer in self._transport.poll(wait_secs)]

    def close(self) -> None:
        """Drop the connections; messages in flight get no outcome from here."""
        self._transport.close()

    def _ensure_token(self) -> None:
        if self._token is None or self._token.expires_at - time.time() < REFRESH_BEFORE_SECS:
            self._token = self._account.mint()
            self._mint_count += 1
            self._headers = (
                f"Authorization: Bearer {self._token.value}",
                "Content-Type: application/json; charset=UTF-8",
                "Accept:",
                "User-Agent: PushPilot",
            )

    def _outcome(self, answer: Answer) -> Outcome:
        outcome = interpret(answer)
        mint = self._minted_with.pop(answer.key, 0)
        if outcome.code == "UNAUTHENTICATED" and answer.status == 401:
            return self._unauthenticated(outcome, mint)
        if outcome.verdict is Verdict.ACCEPTED:
            self._last_good_mint = mint
        return outcome

    def _unauthenticated(self, outcome: Outcome, mint: int) -> Outcome:
        """A token that ended early (key rotated, clock skew) is worth one new one; a refused
        fresh one is not."""
        is_first_time = mint == 1 or mint <= self._last_good_mint
        if mint == self._mint_count:
            self._token = None
        if not is_first_time:
            return outcome
        return Outcome(
            outcome.message_id,
            Verdict.LATER,
            outcome.code,
            detail=outcome.detail,
            retry_after_secs=1.0,
        )


def interpret(answer: Answer) -> Outcome:
    """Read one answer. Never raises, whatever the body holds; texts of a provider are cut at 500
    characters.

    Sources: FCM's ErrorCode reference and docs/engine.md. A 404 that is not about a token (wrong
    address, no such project), any other 401 and 403 mean the connection, not the message. A 2xx
    counts as accepted only with FCM's receipt in it: another server that answered in its place
    may have passed the message on or not.
    """
    if answer.failure is Failure.NOT_SENT:
        return Outcome(answer.key, Verdict.LATER, "NOT_SENT", detail=answer.detail)
    if answer.failure is Failure.AMBIGUOUS:
        return Outcome(answer.key, Verdict.AMBIGUOUS, "NO_ANSWER", detail=answer.detail)
    body = _decoded(answer.body)
    if 200 <= answer.status < 300:
        if answer.status == 200 and is_receipt(body.get("name")):
            return Outcome(
                answer.key, Verdict.ACCEPTED, "ACCEPTED", provider_id=_text(body["name"])
            )
        return Outcome(
            answer.key,
            Verdict.AMBIGUOUS,
            NO_RECEIPT,
            detail=f"HTTP {answer.status} without FCM's receipt",
        )
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    code = _error_code(error) or f"HTTP_{answer.status}"
    verdict = _verdict(answer.status, code, error)
    return Outcome(
        answer.key,
        verdict,
        code,
        detail=_text(error.get("message")) or f"HTTP {answer.status} without an explanation",
        retry_after_secs=_wait_secs(verdict, answer.retry_after_secs),
        is_throttled=verdict is Verdict.LATER and code in TOO_FAST,
    )


def is_receipt(name: object) -> bool:
    """True for the name of a message that FCM took. A proxy or a portal answers 200, too, and
    took nothing."""
    return isinstance(name, str) and _RECEIPT.fullmatch(name) is not None


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}
    if isinstance(decoded, dict):
        return decoded
    return {}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value[:500]
    return ""


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    listed = error.get("details")
    if isinstance(listed, list):
        return [item for item in listed if isinstance(item, dict)]
    return []


def _error_code(error: dict[str, Any]) -> str:
    """FCM's own errorCode when there is one, else the RPC status; Google names the same thing
    twice."""
    for detail in _details(error):
        if detail.get("@type") == _FCM_ERROR and isinstance(detail.get("errorCode"), str):
            return str(detail["errorCode"])[:64]
    return _text(error.get("status"))[:64]


def _is_about_the_token(error: dict[str, Any]) -> bool:
    """True when a 400 names the address. With field violations only they count: a message may
    quote user text."""
    fields = []
    for detail in _details(error):
        listed = detail.get("fieldViolations")
        if isinstance(listed, list):
            fields += [item.get("field") for item in listed if isinstance(item, dict)]
    if fields:
        return all(name in _TARGET_FIELDS for name in fields)
    return _ABOUT_THE_TOKEN.match(_text(error.get("message"))) is not None


def _verdict(status: int, code: str, error: dict[str, Any]) -> Verdict:
    if status == 429:
        return Verdict.LATER
    if status >= 500 or status == 408:
        return Verdict.MAYBE_LATER
    if (known := _KNOWN.get((status, code))) is not None:
        return known
    if status == 400:
        if _is_about_the_token(error):
            return Verdict.GONE
        return Verdict.PAYLOAD_WRONG
    if status in (401, 403, 404) or status < 400:
        return Verdict.BROKEN
    return Verdict.REFUSED


def _wait_secs(verdict: Verdict, asked_secs: float | None) -> float | None:
    if verdict is Verdict.LATER:
        return asked_secs or QUOTA_WAIT_SECS
    if verdict is Verdict.MAYBE_LATER:
        return asked_secs
    return None
