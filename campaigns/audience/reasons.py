"""The one list of reasons: each recipient of a run is in exactly one, and their sum is the size
of the audience.

The numbers are stored in every Message and never change their meaning.
"""

from __future__ import annotations

from enum import IntEnum

from campaigns.channels import registry
from campaigns.channels.base import ReasonWords


class Reason(IntEnum):
    """Each with words that hold for every channel; people read `words_of`, because a channel may
    have its own."""

    words: ReasonWords

    def __new__(cls, number: int, *words: str) -> Reason:
        reason = int.__new__(cls, number)
        reason._value_, reason.words = number, ReasonWords(*words)
        return reason

    # Waiting: something still has to happen.
    PENDING = 0, "Waiting to be sent", "Not attempted yet, or waiting for another attempt."
    DEFERRED = (
        1,
        "Deferred",
        ("The provider cannot take the message now. The message is sent when the provider can."),
    )
    RETRY_SCHEDULED = 2, "Waiting for a retry", "The provider asked to try again later."

    # Not attempted: the provider was never asked.
    NO_ENDPOINT = (
        100,
        "No address",
        "The contact has no address on this channel.",
        "has no address",
        "have no address",
    )
    ENDPOINT_INACTIVE = (
        101,
        "Address retired",
        "The address was retired earlier: gone, signed out or silent for too long.",
        "has a retired address",
        "have a retired address",
    )
    NOT_OPTED_IN = (
        102,
        "Not opted in",
        "The address has not agreed to get messages.",
        "has not opted in",
        "have not opted in",
    )
    UNSUBSCRIBED = (
        103,
        "Unsubscribed",
        "The contact unsubscribed from this channel.",
        "unsubscribed",
        "unsubscribed",
    )
    SUPPRESSED_BOUNCE = (
        104,
        "Suppressed: bounced",
        "An earlier message to this address came back as undeliverable.",
        "is suppressed after a bounce",
        "are suppressed after a bounce",
    )
    SUPPRESSED_COMPLAINT = (
        105,
        "Suppressed: complained",
        "The recipient reported an earlier message as spam.",
        "is suppressed after a complaint",
        "are suppressed after a complaint",
    )
    SUPPRESSED_MANUAL = (
        106,
        "Suppressed by hand",
        "A member put this address on the suppression list.",
        "is suppressed by hand",
        "are suppressed by hand",
    )
    DUPLICATE_ADDRESS = (
        107,
        "Duplicate address",
        "Another recipient of this run has the same address.",
        "shares an address with another recipient",
        "share an address with another recipient",
    )
    HOLDOUT = (
        108,
        "Holdout group",
        "The contact is in the holdout group, which gets no message for comparison.",
        "is in the holdout group",
        "are in the holdout group",
    )
    FREQ_CAPPED = (
        109,
        "Frequency cap",
        "The contact already got as many messages as the frequency cap allows.",
        "has reached the frequency cap",
        "have reached the frequency cap",
    )
    QUIET_HOURS_DROPPED = (
        110,
        "Quiet hours",
        "The contact has quiet hours, and the campaign does not wait for their end.",
        "has quiet hours",
        "have quiet hours",
    )
    LOCAL_TIME_PASSED = (
        111,
        "Local time passed",
        "The planned time had passed in the contact's time zone.",
        "is past the planned local time",
        "are past the planned local time",
    )
    LANGUAGE_MISSING = (
        112,
        "Language missing",
        "The campaign has no text in the contact's language.",
        "reads a language without a text",
        "read a language without a text",
    )
    RENDER_ERROR = (
        113,
        "Personalisation failed",
        ("The text could not be personalised for this contact."),
    )
    ABORTED_BY_TEMPLATE = (
        114,
        "Aborted by the template",
        ("The template decided not to send to this contact."),
    )
    PAYLOAD_TOO_LARGE = (
        115,
        "Payload too large",
        ("The personalised message exceeds the provider's size limit."),
    )
    PLAN_LIMIT = (
        116,
        "Plan limit",
        "The plan of the workspace allows no more messages.",
        "exceeds the plan limit",
        "exceed the plan limit",
    )
    LEFT_AUDIENCE = (
        117,
        "Left the audience",
        "After the audience was fixed, the contact or the address was deleted, or the address got "
        "another contact.",
    )
    CANCELLED = 118, "Cancelled", "The run was cancelled before this recipient's turn."
    EXPIRED = 119, "Expired", "The run's time limit passed before this recipient's turn."

    # Attempted: the provider was asked.
    ACCEPTED = (
        200,
        "Accepted",
        ("The provider took the message. That does not prove that the message arrived."),
    )
    REJECTED = 201, "Rejected", "The provider refused the message."
    ENDPOINT_GONE = (
        202,
        "Address gone",
        ("The provider says that the address does not exist any more. It is retired."),
    )
    UNKNOWN = (
        203,
        "Unknown",
        "The connection or the worker died between the call and its answer. The message may or may "
        "not have arrived; it is sent again only when a person says so.",
    )
    UNKNOWN_CLOSED = (
        204,
        "Unknown, closed",
        "The message may or may not have arrived; somebody decided not to send it again.",
    )

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
# may have arrived: neither sent nor failed
UNSURE = frozenset({Reason.UNKNOWN, Reason.UNKNOWN_CLOSED})


def words_of(reason: Reason, channel: str) -> ReasonWords:
    """What people read about the reason in a message of this channel."""
    spoken = registry.CHANNELS.get(channel)
    return spoken.reason_words.get(reason.slug, reason.words) if spoken else reason.words
