"""FCM HTTP v1: app push and web push. The same code talks to Google and to the sandbox; only addresses differ.

account: whose key, which addresses · message: our neutral payload as FCM's · sender: batches out, outcomes back ·
sdk: Google's own firebase-admin, for "test connection" and as the second transport of the conformance test.
"""

from delivery.providers.base import CredentialsRefused, ProviderUnreachable
from delivery.providers.fcm.account import FcmAccount
from delivery.providers.fcm.message import (
    build_message,
    envelope,
    expiry,
)
from delivery.providers.fcm.sdk import check, check_message, send_with_sdk
from delivery.providers.fcm.sender import REMEDIES, FcmSender, interpret

__all__ = [
    "REMEDIES",
    "CredentialsRefused",
    "FcmAccount",
    "FcmSender",
    "ProviderUnreachable",
    "build_message",
    "check",
    "check_message",
    "envelope",
    "expiry",
    "interpret",
    "send_with_sdk",
]
