"""The providers of this installation: one line each."""

from __future__ import annotations

from typing import Any

from delivery.providers.base import Missing, Provider, Sandbox
from delivery.providers.fcm.provider import Fcm, FcmSandbox

PROVIDERS: dict[str, Provider[Any]] = {
    provider.key: provider
    for provider in (
        Fcm(),
        FcmSandbox(),
    )
}


def provider_of(key: str) -> Provider[Any]:
    """The provider; for a connection whose provider was taken out of this installation, one that reads no account."""
    return PROVIDERS.get(key) or Missing(key)


def sandbox_of(service: str) -> Sandbox[Any] | None:
    """The sandbox that stands in for the providers of this service."""
    found = (one for one in PROVIDERS.values() if isinstance(one, Sandbox) and one.service == service)
    return next(found, None)
