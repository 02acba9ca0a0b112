"""What the codes beside a message's fate mean, for people who do not read FCM's manual."""

from __future__ import annotations

from campaigns.reasons import EXPLANATIONS, Reason

MEANINGS = {
    "UNREGISTERED": "The app was uninstalled or its token expired. The device is retired; nobody has to do anything.",
    "SENDER_ID_MISMATCH": "The token belongs to another Firebase project. The device is retired.",
    "INVALID_ARGUMENT": "The provider calls the device's token invalid.",
    "QUOTA_EXCEEDED": "The provider's quota was used up. It is tried again after the break it asked for.",
    "UNAVAILABLE": "The provider was overloaded. It is tried again, and counted as a possible duplicate.",
    "INTERNAL": "The provider had a fault of its own. It is tried again, and counted as a possible duplicate.",
    "THIRD_PARTY_AUTH_ERROR": "Apple or the browser's push service refused the provider: check the APNs key.",
    "CREDENTIALS_REFUSED": "The service account was refused. Test the connection and replace its key.",
    "UNREACHABLE": "The provider could not be reached at all. Nothing was sent; it is tried again.",
    "NOT_SENT": "The connection broke before the message left. Nothing was sent; it is tried again.",
    "NO_ANSWER": "The connection broke after the message had left, so nobody knows whether it arrived.",
    "WORKER_DIED": "The worker stopped between the call and its answer, so nobody knows whether it arrived.",
}


def meaning(reason: Reason, code: str) -> str:
    return MEANINGS.get(code) or EXPLANATIONS.get(reason, "")
