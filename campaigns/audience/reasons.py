"""The one list of reasons: each recipient of a run is in exactly one, and their sum is the size
of the audience.

The numbers are stored in every Message and never change their meaning.
"""

from __future__ import annotations

from enum import IntEnum

from django.utils.translation import gettext_lazy, ngettext_lazy

from campaigns.channels import registry
from campaigns.channels.base import ReasonWords
from pushpilot.lib.display import Words


class Reason(IntEnum):
    """Each with words that hold for every channel; people read `words_of`, because a channel may
    have its own."""

    words: ReasonWords

    def __new__(cls, number: int, *words: Words) -> Reason:
        reason = int.__new__(cls, number)
        reason._value_, reason.words = number, ReasonWords(*words)
        return reason

    # Waiting: something still has to happen.
    PENDING = (
        0,
        gettext_lazy("Waiting to be sent"),
        gettext_lazy("Not attempted yet, or waiting for another attempt."),
    )
    DEFERRED = (
        1,
        gettext_lazy("Deferred"),
        gettext_lazy(
            "The provider cannot take the message now. The message is sent as soon as the "
            "provider can take it."
        ),
    )
    RETRY_SCHEDULED = (
        2,
        gettext_lazy("Waiting for a retry"),
        gettext_lazy("The provider asked to try again later."),
    )

    # Not attempted: the provider was never asked.
    NO_ENDPOINT = (
        100,
        gettext_lazy("No address"),
        gettext_lazy("The contact has no address on this channel."),
        ngettext_lazy("%(count)s has no address", "%(count)s have no address", "number"),
    )
    ENDPOINT_INACTIVE = (
        101,
        gettext_lazy("Address retired"),
        gettext_lazy(
            "The address was retired earlier: it is gone, signed out or silent for too long."
        ),
        ngettext_lazy(
            "%(count)s has a retired address", "%(count)s have a retired address", "number"
        ),
    )
    NOT_OPTED_IN = (
        102,
        gettext_lazy("Not opted in"),
        gettext_lazy("The address has not agreed to get messages."),
        ngettext_lazy("%(count)s has not opted in", "%(count)s have not opted in", "number"),
    )
    UNSUBSCRIBED = (
        103,
        gettext_lazy("Unsubscribed"),
        gettext_lazy("The contact unsubscribed from this channel."),
        ngettext_lazy("%(count)s unsubscribed", "%(count)s unsubscribed", "number"),
    )
    SUPPRESSED_BOUNCE = (
        104,
        gettext_lazy("Suppressed: bounced"),
        gettext_lazy("An earlier message to this address came back as undeliverable."),
        ngettext_lazy(
            "%(count)s is suppressed after a bounce",
            "%(count)s are suppressed after a bounce",
            "number",
        ),
    )
    SUPPRESSED_COMPLAINT = (
        105,
        gettext_lazy("Suppressed: complained"),
        gettext_lazy("The recipient reported an earlier message as spam."),
        ngettext_lazy(
            "%(count)s is suppressed after a complaint",
            "%(count)s are suppressed after a complaint",
            "number",
        ),
    )
    SUPPRESSED_MANUAL = (
        106,
        gettext_lazy("Suppressed by hand"),
        gettext_lazy("A member put this address on the suppression list."),
        ngettext_lazy(
            "%(count)s is suppressed by hand", "%(count)s are suppressed by hand", "number"
        ),
    )
    DUPLICATE_ADDRESS = (
        107,
        gettext_lazy("Duplicate address"),
        gettext_lazy("Another recipient of this send has the same address."),
        ngettext_lazy(
            "%(count)s shares an address with another recipient",
            "%(count)s share an address with another recipient",
            "number",
        ),
    )
    HOLDOUT = (
        108,
        gettext_lazy("Holdout group"),
        gettext_lazy(
            "The contact is in the holdout group. The group gets no message, for comparison."
        ),
        ngettext_lazy(
            "%(count)s is in the holdout group", "%(count)s are in the holdout group", "number"
        ),
    )
    FREQ_CAPPED = (
        109,
        gettext_lazy("Frequency cap"),
        gettext_lazy("The contact already got as many messages as the frequency cap allows."),
        ngettext_lazy(
            "%(count)s has reached the frequency cap",
            "%(count)s have reached the frequency cap",
            "number",
        ),
    )
    QUIET_HOURS_DROPPED = (
        110,
        gettext_lazy("Quiet hours"),
        gettext_lazy("The contact has quiet hours, and the campaign does not wait for their end."),
        ngettext_lazy("%(count)s has quiet hours", "%(count)s have quiet hours", "number"),
    )
    LOCAL_TIME_PASSED = (
        111,
        gettext_lazy("Local time passed"),
        gettext_lazy("The planned time had passed in the contact's time zone."),
        ngettext_lazy(
            "%(count)s is past the planned local time",
            "%(count)s are past the planned local time",
            "number",
        ),
    )
    LANGUAGE_MISSING = (
        112,
        gettext_lazy("Language missing"),
        gettext_lazy("The campaign has no text in the contact's language."),
        ngettext_lazy(
            "%(count)s reads a language without a text",
            "%(count)s read a language without a text",
            "number",
        ),
    )
    RENDER_ERROR = (
        113,
        gettext_lazy("Personalisation failed"),
        gettext_lazy("The text could not be personalised for this contact."),
    )
    ABORTED_BY_TEMPLATE = (
        114,
        gettext_lazy("Aborted by the template"),
        gettext_lazy("The template decided not to send to this contact."),
    )
    PAYLOAD_TOO_LARGE = (
        115,
        gettext_lazy("Payload too large"),
        gettext_lazy("The personalised message exceeds the provider's size limit."),
    )
    PLAN_LIMIT = (
        116,
        gettext_lazy("Plan limit"),
        gettext_lazy("The plan of the workspace allows no more messages."),
        ngettext_lazy(
            "%(count)s exceeds the plan limit", "%(count)s exceed the plan limit", "number"
        ),
    )
    LEFT_AUDIENCE = (
        117,
        gettext_lazy("Left the audience"),
        gettext_lazy(
            "The contact or the address was deleted after the audience was fixed, or the address "
            "moved to another contact."
        ),
    )
    CANCELLED = (
        118,
        gettext_lazy("Cancelled"),
        gettext_lazy("The send was cancelled before this recipient's turn."),
    )
    EXPIRED = (
        119,
        gettext_lazy("Expired"),
        gettext_lazy("The time limit of the send passed before this recipient's turn."),
    )

    # Attempted: the provider was asked.
    ACCEPTED = (
        200,
        gettext_lazy("Accepted"),
        gettext_lazy(
            "The provider took the message. That does not prove that the message arrived."
        ),
    )
    REJECTED = (
        201,
        gettext_lazy("Rejected"),
        gettext_lazy("The provider refused the message."),
    )
    ENDPOINT_GONE = (
        202,
        gettext_lazy("Address gone"),
        gettext_lazy(
            "The provider says that the address does not exist any more. The address is retired."
        ),
    )
    UNKNOWN = (
        203,
        gettext_lazy("Unknown"),
        gettext_lazy(
            "The connection broke before the provider answered. The message may or may not have "
            "arrived. Only a person can send it again."
        ),
    )
    UNKNOWN_CLOSED = (
        204,
        gettext_lazy("Unknown, closed"),
        gettext_lazy(
            "The message may or may not have arrived. Somebody decided not to send it again."
        ),
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
    if spoken:
        return spoken.reason_words.get(reason.slug, reason.words)
    return reason.words
