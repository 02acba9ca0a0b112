"""The one list of fates: each recipient of a run is in exactly one, and their sum is the size of the audience.

The numbers are stored in every Message and never change their meaning.
"""

from __future__ import annotations

from django.db import models


class Reason(models.IntegerChoices):
    # Waiting: something still has to happen.
    PENDING = 0, "Waiting to be sent"
    DEFERRED = 1, "Deferred"
    RETRY_SCHEDULED = 2, "Waiting for a retry"

    # Not attempted: the provider was never asked.
    NO_ENDPOINT = 100, "No device"
    ENDPOINT_INACTIVE = 101, "Device retired"
    NOT_OPTED_IN = 102, "Not opted in"
    UNSUBSCRIBED = 103, "Unsubscribed"
    SUPPRESSED_BOUNCE = 104, "Suppressed: bounced"
    SUPPRESSED_COMPLAINT = 105, "Suppressed: complained"
    SUPPRESSED_MANUAL = 106, "Suppressed by hand"
    DUPLICATE_ADDRESS = 107, "Duplicate address"
    HOLDOUT = 108, "Holdout group"
    FREQ_CAPPED = 109, "Frequency cap"
    QUIET_HOURS_DROPPED = 110, "Quiet hours"
    LOCAL_TIME_PASSED = 111, "Local time passed"
    LANGUAGE_MISSING = 112, "Language missing"
    RENDER_ERROR = 113, "Personalisation failed"
    ABORTED_BY_TEMPLATE = 114, "Aborted by the template"
    PAYLOAD_TOO_LARGE = 115, "Payload too large"
    PLAN_LIMIT = 116, "Plan limit"
    LEFT_AUDIENCE = 117, "Left the audience"
    CANCELLED = 118, "Cancelled"
    EXPIRED = 119, "Expired"

    # Attempted: the provider was asked.
    ACCEPTED = 200, "Accepted"
    REJECTED = 201, "Rejected"
    ENDPOINT_GONE = 202, "Device gone"
    UNKNOWN = 203, "Unknown"
    UNKNOWN_CLOSED = 204, "Unknown, closed"

    @property
    def slug(self) -> str:
        """The word of the API and of exports: `endpoint_gone`."""
        return self.name.lower()

    @property
    def is_waiting(self) -> bool:
        return self < 100

    @property
    def is_attempted(self) -> bool:
        return self >= 200

    @property
    def is_failure(self) -> bool:
        return self in FAILED

    @property
    def is_unsure(self) -> bool:
        return self in UNSURE


WAITING = frozenset(reason for reason in Reason if reason.is_waiting)
FAILED = frozenset({Reason.REJECTED, Reason.ENDPOINT_GONE})
# Not attempted, because there was no message to hand over: mend the text, and send it once more.
UNMADE = frozenset({Reason.RENDER_ERROR, Reason.PAYLOAD_TOO_LARGE})
UNSURE = frozenset({Reason.UNKNOWN, Reason.UNKNOWN_CLOSED})  # may have arrived: neither sent nor failed

EXPLANATIONS: dict[Reason, str] = {
    Reason.PENDING: "Not attempted yet.",
    Reason.DEFERRED: "The push service of this platform refuses the provider. It waits until that is repaired.",
    Reason.RETRY_SCHEDULED: "The provider asked to try again later.",
    Reason.NO_ENDPOINT: "The contact has no device for this channel.",
    Reason.ENDPOINT_INACTIVE: "This device was retired earlier: gone, signed out, or silent for too long.",
    Reason.NOT_OPTED_IN: "The device does not allow notifications.",
    Reason.UNSUBSCRIBED: "The contact unsubscribed from this channel.",
    Reason.RENDER_ERROR: "The text could not be personalised for this contact.",
    Reason.PAYLOAD_TOO_LARGE: "The personalised message exceeds the provider's size limit.",
    Reason.CANCELLED: "The run was cancelled before this recipient's turn.",
    Reason.EXPIRED: "The run's time limit passed before this recipient's turn.",
    Reason.ACCEPTED: "The provider took the message. Whether it arrived, only the device can say.",
    Reason.REJECTED: "The provider refused the message.",
    Reason.ENDPOINT_GONE: "The app was removed or the token expired; the device is retired.",
    Reason.UNKNOWN: "The connection or the worker died between the call and its answer. It may or may not have "
    "arrived; it is sent again only when a person says so.",
    Reason.UNKNOWN_CLOSED: "It may or may not have arrived; somebody decided not to send it again.",
}
