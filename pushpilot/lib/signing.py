"""Short signed references that travel to phones and come back in events."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from functools import lru_cache

from django.conf import settings
from django.utils.encoding import force_bytes

MAC_BYTES = 9  # 12 characters; 2^72 guesses for a reference that speaks for one recipient
_SAMPLE_NUMBER = 10**7
_TESTS = 10**12
_LIKE_A_MESSAGE = re.compile(r"(?<![\w.])\d{1,18}(?:\.\d{1,18}){3}\.[\w-]{12}(?![\w-])", re.ASCII)


@lru_cache(maxsize=8)
def _key(secret: str) -> hmac.HMAC:
    return hmac.new(
        hashlib.sha256(b"pushpilot.ref" + force_bytes(secret)).digest(), digestmod=hashlib.sha256
    )


def _mac(secret: str, body: str) -> str:
    mac = _key(secret).copy()
    mac.update(body.encode())
    return base64.urlsafe_b64encode(mac.digest()[:MAC_BYTES]).decode()


def sign_reference(*numbers: int) -> str:
    """`12.34.56.mac`: the numbers in clear, unforgeable without SECRET_KEY."""
    body = ".".join(map(str, numbers))
    return f"{body}.{_mac(settings.SECRET_KEY, body)}"


def trial_reference(workspace_id: int, campaign_id: int = 0) -> str:
    """The reference of a test: no send has the number 0. Each is new, because a device replaces
    what came with the same reference."""
    return sign_reference(workspace_id, campaign_id, 0, secrets.randbelow(_TESTS) + 1)


def is_of_a_test(numbers: tuple[int, ...]) -> bool:
    return numbers[2] == 0


def sample_reference(workspace_id: int) -> str:
    """A reference as long as that of a real message, for counting bytes."""
    return sign_reference(workspace_id, _SAMPLE_NUMBER, _SAMPLE_NUMBER, _SAMPLE_NUMBER)


def read_reference(reference: str, count: int) -> tuple[int, ...] | None:
    """The numbers of a reference made by `sign_reference`, or None if it is not ours or not
    `count` numbers."""
    body, _, mac = reference.rpartition(".")
    parts = body.split(".")
    if len(parts) != count or not all(
        part.isascii() and part.isdecimal() and len(part) < 19 for part in parts
    ):
        return None
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        if hmac.compare_digest(_mac(secret, body).encode(), mac.encode("utf-8", "replace")):
            return tuple(int(part) for part in parts)
    return None


def hide_references(text: str) -> str:
    """The text without the references of messages in it: with a public write key each changes
    its person's consent."""
    return _LIKE_A_MESSAGE.sub(
        lambda found: "(ref)" if read_reference(found[0], 4) else found[0], text
    )
