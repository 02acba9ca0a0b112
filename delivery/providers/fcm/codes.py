"""What FCM's codes mean, for people who do not read its manual."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

MEANINGS = {
    "UNREGISTERED": gettext_lazy(
        "The app was uninstalled, or its token expired. The device is retired. You need not do "
        "anything."
    ),
    "SENDER_ID_MISMATCH": gettext_lazy(
        "The token belongs to another Firebase project than the connection. The device stays. "
        "Connect the right project, then send again."
    ),
    "INVALID_ARGUMENT": gettext_lazy("The provider calls the token of the device invalid."),
    "QUOTA_EXCEEDED": gettext_lazy(
        "The quota of the provider was used up. PushPilot tries again after the break that the "
        "provider asked for."
    ),
    "UNAVAILABLE": gettext_lazy(
        "The provider was overloaded. PushPilot tries again, and counts the message as a possible "
        "duplicate."
    ),
    "INTERNAL": gettext_lazy(
        "The provider had an internal error. PushPilot tries again, and counts the message as a "
        "possible duplicate."
    ),
    "THIRD_PARTY_AUTH_ERROR": gettext_lazy(
        "The push service of Apple or of the browser refuses the provider. Check the APNs key and "
        "the web push certificate in the Firebase console."
    ),
}

# The same codes of messages that ended with them: nothing tries them again by itself.
GIVEN_UP = {
    "QUOTA_EXCEEDED": gettext_lazy(
        "The quota of the provider was used up, and the send ended before another try."
    ),
    "UNAVAILABLE": gettext_lazy(
        "The provider was overloaded at every try. PushPilot does not try again by itself. The "
        "message may have arrived all the same."
    ),
    "INTERNAL": gettext_lazy(
        "The provider had an internal error at every try. PushPilot does not try again by itself. "
        "The message may have arrived all the same."
    ),
}

# Platforms that FCM reaches through somebody else's push service, and what to do if that refuses
# FCM.
REMEDIES = {
    "ios": gettext_lazy(
        "Upload the APNs key in the Firebase console: Project settings → Cloud Messaging → Apple "
        "app configuration."
    ),
    "web": gettext_lazy(
        "Check the web push certificate in the Firebase console: Project settings → Cloud "
        "Messaging."
    ),
}

# A run keeps these sentences, so they stay English.
ALARMS = {
    "mismatch": "the devices belong to another Firebase project than the connection. No device was "
    "retired. Connect the service account of the project of the app under Connections, then "
    "resume, and send again to the rejected recipients",
    "gone": "the devices are gone; is this the right Firebase project?",
}
