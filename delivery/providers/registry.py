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
    """The provider; for a connection whose provider was taken out of this installation, one that
    reads no account."""
    return PROVIDERS.get(key) or Missing(key)


def sandboxes() -> list[Sandbox[Any]]:
    """The sandboxes of this installation, of all services."""
    return [one for one in PROVIDERS.values() if isinstance(one, Sandbox)]


def sandbox_of(service: str) -> Sandbox[Any] | None:
    """The sandbox that stands in for the providers of this service."""
    return next((one for one in sandboxes() if one.service == service), None)
