"""What every provider speaks: verdicts, outcomes, and errors named by the caller's reaction.

Nothing here knows Django, a database or a provider.
"""

import enum
from dataclasses import dataclass
from typing import Any

import msgspec

Json = dict[str, Any]


class Verdict(enum.Enum):
    """What the caller must do about one message."""

    ACCEPTED = "accepted"  # the provider took it (not: delivered)
    GONE = "gone"  # the address is dead: retire it
    WRONG_SENDER = (
        "wrong_sender"  # the address belongs to another sender, and ours may be the wrong one: retire nothing
    )
    PLATFORM_BROKEN = "platform_broken"  # the provider cannot send to the address's platform: hold that platform
    REFUSED = "refused"  # this message never again; the address may live
    PAYLOAD_WRONG = "payload_wrong"  # the content is wrong for everybody: stop the run
    BROKEN = "broken"  # the connection is broken: pause and tell the owner
    LATER = "later"  # try later; certain that nothing was delivered
    MAYBE_LATER = "maybe_later"  # try again after >= 10 s; count it as a possible duplicate
    AMBIGUOUS = "ambiguous"  # bytes were written and no answer came: policy decides


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one message. `code` is the provider's own word, or ours when it gave none."""

    message_id: int
    verdict: Verdict
    code: str
    provider_id: str = ""
    detail: str = ""
    retry_after_secs: float | None = None


@dataclass(slots=True, frozen=True)
class CheckResult:
    """The answer of "test connection": one sentence for the owner, and the provider's code if it gave one."""

    ok: bool
    message: str
    code: str = ""


class CredentialsRefused(Exception):
    """The provider refuses our credentials: pause the connection and show the owner this sentence."""


class ProviderUnreachable(Exception):
    """The provider could not be asked at all; nothing was sent: try again later."""
