"""Phrases of the operators' pages."""

from __future__ import annotations

from allauth.mfa.models import Authenticator

SECOND_STEPS = {
    Authenticator.Type.TOTP: "authenticator app",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery codes",
}
