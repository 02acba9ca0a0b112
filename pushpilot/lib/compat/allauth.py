"""allauth."""

from __future__ import annotations

from typing import Any


def use_code(app: Any, code: str) -> bool:
    """Take a code of an authenticator app (allauth.mfa.totp.internal.auth.TOTP); False if it was
    taken before."""
    return bool(app._mark_code_used(code))
