"""What FCM's codes mean, for people who do not read its manual."""

from __future__ import annotations

MEANINGS = {
    "UNREGISTERED": "The app was uninstalled or its token expired. The device is retired; nobody "
    "has to do anything.",
    "SENDER_ID_MISMATCH": "The token belongs to another Firebase project than the connection's. "
    "The device stays: connect the right project, then send again.",
    "INVALID_ARGUMENT": "The provider calls the device's token invalid.",
    "QUOTA_EXCEEDED": "The provider's quota was used up. It is tried again after the break it "
    "asked for.",
    "UNAVAILABLE": "The provider was overloaded. It is tried again, and counted as a possible "
    "duplicate.",
    "INTERNAL": "The provider had a fault of its own. It is tried again, and counted as a possible "
    "duplicate.",
    "THIRD_PARTY_AUTH_ERROR": "Apple or the browser's push service refuses the provider: check the "
    "APNs key and the web push certificate in the Firebase console.",
}

# The same codes of messages that ended with them: nothing tries them again by itself.
GIVEN_UP = {
    "QUOTA_EXCEEDED": "The provider's quota was used up, and the run ended before it could be "
    "tried again.",
    "UNAVAILABLE": "The provider was overloaded at every try, and it is not tried again by itself. "
    "It may have arrived all the same.",
    "INTERNAL": "The provider had a fault of its own at every try, and it is not tried again by "
    "itself. It may have arrived all the same.",
}

# Platforms that FCM reaches through somebody else's push service, and what to do if that refuses
# FCM.
REMEDIES = {
    "ios": "Upload the APNs key in the Firebase console: Project settings → Cloud Messaging → "
    "Apple app configuration.",
    "web": "Check the web push certificate in the Firebase console: Project settings → Cloud "
    "Messaging.",
}

ALARMS = {
    "mismatch": "these devices belong to another Firebase project than the connection's. No device "
    "was retired. Connect the service account of the app's own project under Connections, then "
    "resume, and send again to the rejected",
    "gone": "the devices are gone; is this the right Firebase project?",
}
