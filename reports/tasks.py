"""What the bell "digest" wakes. It holds no state; the rows do."""

from __future__ import annotations

from django.utils import timezone

from delivery.engine import heartbeat
from reports import digest as digesting


def digest() -> None:
    heartbeat.beat()
    digesting.digest_due(timezone.now())
