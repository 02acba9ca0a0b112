"""firebase-admin and google-auth."""

from __future__ import annotations

from typing import Any

from firebase_admin import messaging
from google.auth import _helpers


class _NoClient:
    """In place of the HTTP/2 client that the SDK makes beside the one that it posts with: nobody
    here uses it, and it reads all certificates three times (150 ms)."""

    def __init__(self, **options: object) -> None:
        """As the SDK's."""

    async def aclose(self) -> None:
        """Nothing is open."""


ASYNC_CLIENT = messaging._http_client.HttpxAsyncClient
"""The SDK's own, for comparisons."""
messaging._http_client.HttpxAsyncClient = _NoClient


def post_to(app: Any, url: str) -> Any:
    """Let an app's messages go to this address; returns the session that it posts with. The SDK
    has no public way to change its address or its retries."""
    service = messaging._get_messaging_service(app)
    service._fcm_url = url
    return service._client.session


def utc_now() -> Any:
    """Naive UTC: the clock that `credentials.expiry` is counted from."""
    return _helpers.utcnow()
