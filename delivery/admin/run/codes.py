"""What the codes beside a message's fate mean, for people who do not read FCM's manual."""

from __future__ import annotations

from campaigns.audience.reasons import EXPLANATIONS, Reason

MEANINGS = {
    "UNREGISTERED": "The app was uninstalled or its token expired. The device is retired; nobody has to do anything.",
    "SENDER_ID_MISMATCH": "The token belongs to another Firebase project than the connection's. The device stays: "
    "connect the right project, then send again.",
    "INVALID_ARGUMENT": "The provider calls the device's token invalid.",
    "QUOTA_EXCEEDED": "The provider's quota was used up. It is tried again after the break it asked for.",
    "UNAVAILABLE": "The provider was overloaded. It is tried again, and counted as a possible duplicate.",
    "INTERNAL": "The provider had a fault of its own. It is tried again, and counted as a possible duplicate.",
    "THIRD_PARTY_AUTH_ERROR": "Apple or the browser's push service refuses the provider: check the APNs key and the "
    "web push certificate in the Firebase console.",
    "CREDENTIALS_REFUSED": "The service account was refused. Test the connection and replace its key.",
    "UNREACHABLE": "The provider could not be reached at all. Nothing was sent; it is tried again.",
    "NOT_SENT": "The connection broke before the message left. Nothing was sent; it is tried again.",
    "NO_ANSWER": "The connection broke after the message had left, so nobody knows whether it arrived.",
    "NO_RECEIPT": "Something else answered in the provider's place, such as a proxy's page. Nobody knows whether the "
    "message was passed on.",
    "WORKER_DIED": "The worker stopped between the call and its answer, so nobody knows whether it arrived.",
}

# The same codes of those that ended with them: nothing tries them again by itself.
_GIVEN_UP = {
    "QUOTA_EXCEEDED": "The provider's quota was used up, and the run ended before it could be tried again.",
    "UNAVAILABLE": "The provider was overloaded at every try, and it is not tried again by itself. It may have arrived "
    "all the same.",
    "INTERNAL": "The provider had a fault of its own at every try, and it is not tried again by itself. It may have "
    "arrived all the same.",
    "UNREACHABLE": "The provider could not be reached before the run ended. Nothing was sent.",
    "NOT_SENT": "The connection broke before the message left, and the run ended before another try. Nothing was sent.",
}


def meaning(reason: Reason, code: str) -> str:
    given_up = "" if reason.is_waiting else _GIVEN_UP.get(code)
    return given_up or MEANINGS.get(code) or EXPLANATIONS.get(reason, "")
