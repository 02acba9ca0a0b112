"""An authenticator app: the six digits of a secret, by RFC 6238 and not by the library under
test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time


def code_of(secret: str) -> str:
    """What the app shows now for a base32 secret. Just before it changes the next is waited for,
    as a person would."""
    left_secs = 30 - time.time() % 30
    if left_secs < 3:
        time.sleep(left_secs)
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, (int(time.time()) // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"
