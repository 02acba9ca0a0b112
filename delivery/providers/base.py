"""What a provider is: one carrier that takes the messages of a channel. It knows its
credentials, its requests, what its answers mean and how it wants to be treated; all book-keeping
is the engine's.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec
from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.channels.base import Compiled, Message
from pushpilot.lib.display import Words

ADDRESS = "address"
"""The slot of a recipient's address in a request."""


class Verdict(enum.Enum):
    """What the caller must do about one message."""

    ACCEPTED = "accepted"  # the provider took it (not: delivered)
    GONE = "gone"  # the address is dead: retire it
    WRONG_SENDER = (
        # the address belongs to another sender, and ours may be the wrong one: retire nothing
        "wrong_sender"
    )
    # the provider cannot send to the address's platform: hold that platform
    PLATFORM_BROKEN = "platform_broken"
    REFUSED = "refused"  # this message never again; the address may live
    PAYLOAD_WRONG = "payload_wrong"  # the content is wrong for everybody: stop the run
    BROKEN = "broken"  # the connection is broken: pause and tell the owner
    # this message later, nobody else waits; certain that it was not delivered
    ROW_LATER = "row_later"
    LATER = "later"  # everybody later; certain that nothing was delivered
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
    is_throttled: bool = False  # the provider asks for a lower rate


@dataclass(slots=True, frozen=True)
class CheckResult:
    """The answer of "test connection": one sentence for the owner, and the provider's code if it
    gave one. `is_unanswered`: the provider itself has said nothing, so the same credentials may
    pass later."""

    ok: bool
    message: str
    code: str = ""
    is_unanswered: bool = False


class CredentialsRefused(Exception):
    """The provider refuses our credentials: pause the connection and show the owner this
    sentence."""


class ProviderUnreachable(Exception):
    """The provider could not be asked at all; nothing was sent: try again later."""


class Request(Protocol):
    """One content for one kind of address, ready to be filled in."""

    def fill(self, values: Mapping[str, str]) -> bytes:
        """The body of the request. `values` has the personal fields, the reference
        (channels.base.REFERENCE) and ADDRESS."""


class Sender(Protocol):
    """Sends one connection's messages. Not thread-safe; one worker uses it at a time."""

    @property
    def in_flight(self) -> int:
        """Messages sent and without outcome."""

    def send(self, batch: Iterable[tuple[int, bytes]]) -> None:
        """Start sending (message id, body) pairs; returns without waiting for answers.

        Raises CredentialsRefused (the owner must act) or ProviderUnreachable (try later): then
        nothing was sent.
        """

    def poll(self, wait_secs: float) -> list[Outcome]:
        """What became of messages since the last poll; waits at most `wait_secs` for the first
        answer."""

    def close(self) -> None:
        """Drop the connections; messages in flight get no outcome from here."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Manners:
    """How a provider wants to be treated, and how long it may take."""

    per_second: int = 100
    """What a new connection starts with."""
    ramp_floor: int = 100
    """A faster rate begins at this many messages a second …"""
    ramp: timedelta = timedelta()
    """… and grows for so long; none: it begins at its full rate."""
    quarter_hours: timedelta = timedelta()
    """How long around :00, :15, :30 and :45 big sends rest, where a campaign asks for it."""
    answer_secs: float = 20.0
    """Longer than the transport waits for an answer."""
    retries_most: int = 8
    """Tries after which a message that may have arrived is given up."""
    retry_wait_secs: float = 10.0
    """Before the first of them; each next wait is twice as long."""
    trouble_wait: timedelta = timedelta(seconds=30)
    """The break of a provider that answers with errors of its own."""
    unreachable_wait: timedelta = timedelta(seconds=15)
    """Before a provider that could not be reached at all is asked again."""
    batch: int | None = None
    """The most messages that one `Sender.send` gets; None: any number."""
    batch_bytes: int | None = None
    """The most bytes that their bodies have together; a longer single one goes alone."""


class CredentialsForm(forms.Form):
    """The provider's part of the connection page."""

    nothing: ClassVar[Words] = gettext_lazy("Enter the credentials.")
    """The error of a new connection without any."""

    def secret(self) -> str:
        """The credentials that were entered, as one string for `Provider.read`; "" for none.
        Raises ValueError with a sentence."""
        return ""

    def secret_field(self) -> str:
        """The field that an error about them belongs to; "": the first of this form's own."""
        return ""


class Account(Protocol):
    """Credentials that were read."""

    @property
    def settings(self) -> dict[str, str]:
        """What may be shown and stored in clear: whose account it is."""


A = TypeVar("A", bound=Account)


class Provider(ABC, Generic[A]):
    """The base of every provider; an instance per key stands in delivery.providers.registry."""

    key: ClassVar[str]
    """Stored in connections; a sandbox's ends in _sandbox."""
    label: ClassVar[Words]
    summary: ClassVar[Words]
    """What it reaches, or what a sandbox does instead: a sentence for the page that adds it."""
    mark: ClassVar[str]
    """Two letters for lists."""
    service: ClassVar[str]
    """The kind of connection; a channel names the one that it needs."""
    manners: ClassVar[Manners]
    codes: ClassVar[Mapping[str, Words]] = {}
    """What its codes mean, in words: {code: sentence}."""
    final_codes: ClassVar[Mapping[str, Words]] = {}
    """The same for messages that ended with the code: nothing tries them again by itself."""
    remedies: ClassVar[Mapping[str, Words]] = {}
    """{platform: what to do if the platform's own push service refuses the provider}; others are
    never held."""
    alarms: ClassVar[Mapping[str, str]] = {}
    """Words of its own for causes of the circuit breaker (delivery.engine.breaker.CAUSES): English,
    because a run keeps them."""
    credentials_form: ClassVar[type[CredentialsForm]]

    @abstractmethod
    def read(self, credentials: str) -> A:
        """The account of what `CredentialsForm.secret` or `Sandbox.create_account` returned.
        Raises ValueError with sentences for the owner, which name the field and the remedy."""

    @abstractmethod
    def check(self, account: A) -> CheckResult:
        """Ask the provider whether it takes the credentials. May take 20 seconds; never raises."""

    def check_message(
        self, account: A, message: Message, broadcast: tuple[str, str] | None
    ) -> CheckResult:
        """Let the provider look at a filled message, if it can, and send nothing. May take 20
        seconds; never raises."""
        return CheckResult(
            ok=False, message=_("This provider cannot check a message without sending it.")
        )

    @abstractmethod
    def open(self, account: A) -> Sender:
        """A sender of its own for each call."""

    @abstractmethod
    def request(self, content: Compiled, kind: str) -> Request:
        """The request of a content for this kind of address (Endpoint.kind; "" where the channel
        has no kinds) or broadcast (its key). Its fixed texts are `content.static`, the names of
        those to fill in `content.personal`; `content.with_slots` has them all, ready for a
        PayloadTemplate with the slots REFERENCE and ADDRESS."""

    def key_id(self, account: A) -> str:
        """What tells the key from the owner's other ones and is no secret: pages show its end.
        "": nothing does."""
        return ""

    def describe(self, settings: Mapping[str, str]) -> list[tuple[str, str]]:
        """Whose account it is: (label, value) pairs for people."""
        return list(settings.items())


class Missing(Provider[Any]):
    """In the place of a provider that this installation does not have (any more): pages show it,
    nothing is sent."""

    label, summary = gettext_lazy("Provider not installed"), gettext_lazy("Reaches nobody.")
    mark, service = "?", ""
    manners = Manners(per_second=0)
    credentials_form = CredentialsForm

    def __init__(self, key: str) -> None:
        self.name = key

    def read(self, credentials: str) -> Any:
        raise ValueError(
            _(
                "This installation has no provider “%(provider)s”. Install it, or connect another "
                "provider."
            )
            % {"provider": self.name}
        )

    def check(self, account: Any) -> CheckResult:
        raise AssertionError("no account was read")

    def open(self, account: Any) -> Sender:
        raise AssertionError("no account was read")

    def request(self, content: Compiled, kind: str) -> Request:
        raise AssertionError("nothing is sent")


class SandboxSilent(Exception):
    """The sandbox's log cannot be read; the text says why and what to do."""


@dataclass(slots=True, frozen=True)
class Received:
    """One message as a device of a sandbox got it, for the phone wall; what the channel does not
    have is empty. `token` is the address, `at` in epoch seconds; buttons are (number, text,
    url)."""

    seq: int
    at: float
    token: str
    ref: str
    title: str
    body: str
    image: str
    link: str
    buttons: tuple[tuple[int, str, str], ...]

    @property
    def is_silent(self) -> bool:
        return not (self.title or self.body)


@dataclass(slots=True, frozen=True)
class LogPage:
    """Messages in order of arrival. `last` is the place to go on from."""

    messages: list[Received]
    last: int
    is_full: bool


class Sandbox(Provider[A]):
    """A provider's sandbox: the same protocol, and it makes its own accounts."""

    @abstractmethod
    def create_account(self, name: str) -> str:
        """New credentials for `read`. `name` tells workspaces apart. Raises ProviderUnreachable
        with a sentence."""

    @abstractmethod
    def received(self, account: A, *, after: int | None, limit: int) -> LogPage:
        """What devices got after a place in the log, a `Received.seq`; without one, about the
        newest `limit`. Raises SandboxSilent."""
