"""Whose write key is it? Answered from memory: a database look-up per request would cost more than the rest of it."""

from __future__ import annotations

import base64
import binascii
import time
from collections import OrderedDict
from dataclasses import dataclass

from pushpilot.lib.problems import Problem
from tenants.models import ApiKey
from tenants.scope import every_workspace

KNOWN_SECS = 30  # the longest that a revoked key goes on working
UNKNOWN_SECS = 5  # the longest that a new key is refused, if it was tried before it existed
KEPT = 10_000
_SECRET_LIMIT = 200


@dataclass(frozen=True, slots=True)
class WriteKey:
    id: int
    workspace_id: int


class _Memory:
    """digest → key, for some seconds each, at most KEPT of them: the oldest goes first."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._kept: OrderedDict[str, tuple[float, WriteKey | None]] = OrderedDict()

    def get(self, digest: str) -> tuple[float, WriteKey | None] | None:
        found = self._kept.get(digest)
        return found if found is not None and found[0] > time.monotonic() else None

    def put(self, digest: str, key: WriteKey | None) -> None:
        self._kept.pop(digest, None)
        self._kept[digest] = (time.monotonic() + self.seconds, key)
        while len(self._kept) > KEPT:
            try:
                self._kept.popitem(last=False)
            except KeyError:  # another thread emptied it
                return

    def clear(self) -> None:
        self._kept.clear()


# Apart, so that a flood of invented keys cannot push the real ones out.
_known, _unknown = _Memory(KNOWN_SECS), _Memory(UNKNOWN_SECS)


def forget_all() -> None:
    """Look every key up again: after a test, or a key was revoked in this process."""
    _known.clear()
    _unknown.clear()


def authenticate(header: str) -> WriteKey:
    """The write key of an Authorization header: `Bearer <key>`, or Basic with the key as user name.

    Raises Problem 401 if there is none, or it is unknown or revoked.
    """
    secret = _secret_in(header)
    if not secret:
        raise _refusal("Send a write key as `Authorization: Bearer pp_write_…`, or as the user name of Basic.")
    digest = ApiKey.digest_of(secret)
    found = _known.get(digest) or _unknown.get(digest)
    key = found[1] if found else _look_up(digest)
    if key is None:
        raise _refusal("This write key is unknown or revoked. Make a new one in the console under API keys.")
    return key


def _look_up(digest: str) -> WriteKey | None:
    with every_workspace():
        row = (
            ApiKey.objects.filter(digest=digest, kind=ApiKey.Kind.WRITE, revoked_at__isnull=True)
            .values_list("id", "workspace_id")
            .first()
        )
    key = WriteKey(*row) if row else None
    (_known if key else _unknown).put(digest, key)
    return key


def _secret_in(header: str) -> str:
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic" and len(value) <= 2 * _SECRET_LIMIT:
        try:
            value = base64.b64decode(value, validate=True).decode("utf-8", "replace").partition(":")[0]
        except (binascii.Error, ValueError):
            return ""
    elif scheme.lower() != "bearer":
        return ""
    return value if len(value) <= _SECRET_LIMIT else ""


def _refusal(detail: str) -> Problem:
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": 'Bearer realm="events"'})
