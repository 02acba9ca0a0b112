"""A test: one real message to a few devices, to see it before anybody else does.

It goes over the connection's provider like every message, and counts nowhere: no row of the
ledger, no figure, no event (its reference names no send, see reports.effects.OF_A_TEST), no pace.
It is asked all gates, because who has opted out gets no message at all. What the provider says
changes nothing here either: an address that it calls gone is not retired and a platform that it
cannot reach is not held, since a test may name any address and one answer proves little. The next
send finds out by itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.audience.reasons import Reason
from campaigns.channels import registry
from campaigns.channels.base import Channel, Message
from campaigns.channels.render import RenderError
from campaigns.content.lint import no_connection
from campaigns.models import Campaign
from delivery.connections import account_of
from delivery.engine.compose import Contents, NotComposable
from delivery.engine.dispatch import batches
from delivery.notifications import explained
from delivery.providers.base import (
    CredentialsRefused,
    Outcome,
    Provider,
    ProviderUnreachable,
    Sender,
    Verdict,
)
from delivery.providers.registry import provider_of
from delivery.trial_devices import Device, To, columns, find, reader_of, unknown
from pushpilot.lib import languages
from pushpilot.lib.display import Words, format_number
from pushpilot.lib.limits import Limiter
from pushpilot.lib.signing import trial_reference
from tenants import audit
from tenants.models import Connection, User
from tenants.secrets import SecretUnreadable

PER_MINUTE = 10
"""Tests of a workspace."""
ANSWER_SECS = 15.0

limiter = Limiter("tests")


class CannotTest(Exception):
    """Nothing was sent; the sentence says why and what to do. `code` is for programs."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class TooManyTests(Exception):
    """The workspace has sent its tests of this minute."""

    def __init__(self, wait_secs: int) -> None:
        words = ngettext(
            "A workspace can send %(count)s test a minute. Wait a minute, then try again.",
            "A workspace can send %(count)s tests a minute. Wait a minute, then try again.",
            PER_MINUTE,
        )
        super().__init__(words % {"count": format_number(PER_MINUTE)})
        self.wait_secs = wait_secs


class Result(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"  # certain: it did not arrive
    UNKNOWN = "unknown"  # it may have arrived
    SKIPPED = "skipped"  # the provider was not asked


@dataclass(slots=True)
class Answer:
    """What became of one device's message. `code` is the provider's own word, or the reason of
    the gate; `said` is the provider's own sentence."""

    device: str
    contact: str  # external id, "" for an address that nobody here has
    result: Result
    code: str
    words: str
    provider_id: str = ""
    said: str = ""


@dataclass(slots=True)
class Trial:
    """A test that was made. `left_out`: devices beyond DEVICES_MOST."""

    answers: list[Answer] = field(default_factory=list)
    left_out: int = 0

    @property
    def was_sent(self) -> bool:
        """Whether the provider was asked at all."""
        return any(answer.result is not Result.SKIPPED for answer in self.answers)


_MEANINGS: dict[Verdict, tuple[Result, Words]] = {
    Verdict.ACCEPTED: (
        Result.ACCEPTED,
        gettext_lazy("The provider accepted the message."),
    ),
    Verdict.GONE: (
        Result.REFUSED,
        gettext_lazy(
            "The provider does not know this address, or does not know it any more. The test "
            "changes nothing about the device."
        ),
    ),
    Verdict.WRONG_SENDER: (
        Result.REFUSED,
        gettext_lazy(
            "The address belongs to another account of the provider. Connect the account of your "
            "app."
        ),
    ),
    Verdict.PLATFORM_BROKEN: (
        Result.REFUSED,
        gettext_lazy("The push service of this platform refuses the provider."),
    ),
    Verdict.REFUSED: (
        Result.REFUSED,
        gettext_lazy("The provider refused the message."),
    ),
    Verdict.PAYLOAD_WRONG: (
        Result.REFUSED,
        gettext_lazy("The provider refused the content of the message. Change the message."),
    ),
    Verdict.BROKEN: (
        Result.REFUSED,
        gettext_lazy("The provider refused the connection. Check the connection."),
    ),
    Verdict.LATER: (
        Result.REFUSED,
        gettext_lazy("The provider takes no message now. Nothing was sent. Try again later."),
    ),
    Verdict.ROW_LATER: (
        Result.REFUSED,
        gettext_lazy("The provider takes no message now. Nothing was sent. Try again later."),
    ),
    Verdict.MAYBE_LATER: (
        Result.UNKNOWN,
        gettext_lazy("The provider had an error of its own. The message may have arrived."),
    ),
    Verdict.AMBIGUOUS: (
        Result.UNKNOWN,
        gettext_lazy("The provider did not answer. The message may have arrived."),
    ),
}


def send_campaign(
    campaign: Campaign, to: To, *, by: User | None, language: str = "", variant: str = ""
) -> Trial:
    """Send what the campaign says now as a test. `language`, `variant`: of the content; "": each
    contact gets the one that a send would give them. Raises what `send` raises."""
    rows = campaign.contents.order_by("variant", "id")
    contents = [content.snapshot() for content in rows]
    if language:
        tag = languages.tidy(language)
        contents = [one for one in contents if one["language"] == tag]
        if not contents:
            raise unknown("language", _("The campaign has no content in this language."))
    if variant:
        contents = [one for one in contents if one["variant"] == variant]
        if not contents:
            raise unknown("variant", _("The campaign has no content of this variant."))
    return send_contents(campaign, contents, to, by=by)


def send_contents(
    campaign: Campaign, contents: Sequence[Message], to: To, *, by: User | None
) -> Trial:
    """The same for these contents of the campaign, which need not be saved, and nor need the
    campaign."""
    connection = campaign.connection_in_use()
    if connection is None:
        raise CannotTest("no_connection", str(no_connection(campaign.channel)))
    return send(connection, campaign.channel, contents, to, by=by, campaign=campaign)


def channels_of(connection: Connection) -> list[str]:
    """The channels that the connection carries, never none."""
    found = [key for key, one in registry.CHANNELS.items() if one.service == connection.service]
    return found or [registry.DEFAULT]


def send_greeting(
    connection: Connection,
    channel: str,
    to: To,
    *,
    by: User | None,
    title: str = "",
    body: str = "",
) -> Trial:
    """Send a message of two lines, which shows that the connection works. Raises what `send`
    raises."""
    spoken = registry.channel_of(channel)
    content = {
        "language": connection.workspace.default_language,
        "variant": "A",
        "body": body or _("This is a test notification."),
        spoken.title_field: title or "PushPilot",
    }
    names = {"language", "variant", *(one.name for one in spoken.fields)}
    said = {name: text for name, text in content.items() if name in names}
    return send(connection, channel, [said], to, by=by)


def send(
    connection: Connection,
    channel: str,
    contents: Sequence[Message],
    to: To,
    *,
    by: User | None,
    campaign: Campaign | None = None,
) -> Trial:
    """Send one message over the connection to each of these devices, and wait for the provider's
    answers. Asks the provider for at most about half a minute: call it outside of a transaction,
    inside the workspace's scope.

    Raises ValidationError that names the field for an address or a contact that cannot be,
    TooManyTests, CannotTest, and ProviderUnreachable.
    """
    spoken, workspace = registry.channel_of(channel), connection.workspace
    provider = provider_of(connection.provider)
    trial = Trial()
    reader = reader_of(connection, to.reader)
    devices, trial.left_out = find(connection, spoken, to)
    standing = limiter.hit(str(workspace.pk), PER_MINUTE)
    if standing.is_refused:
        raise TooManyTests(standing.reset_secs)
    compiled = _compiled(connection, spoken, contents, provider)
    bodies: dict[int, bytes] = {}
    for number, device in enumerate(devices):
        trial.answers.append(_skipped(device, device.stopped, channel))
        if device.stopped is not Reason.PENDING:
            continue
        reference = trial_reference(workspace.pk, (campaign and campaign.pk) or 0)
        read_by = columns(reader or device.owner)
        try:
            bodies[number] = compiled.body(read_by, device.kind, device.address, reference)
        except NotComposable as error:
            trial.answers[number] = _skipped(device, error.reason, channel, error.code)
    if bodies:
        for number, outcome in _asked(connection, provider, bodies).items():
            trial.answers[number] = _answer(devices[number], outcome, provider)
        _record(connection, trial, by=by, campaign=campaign)
    return trial


# --- what -----------------------------------------------------------------------------------------
def _compiled(
    connection: Connection,
    channel: Channel,
    contents: Sequence[Message],
    provider: Provider[Any],
) -> Contents:
    """Raises CannotTest for contents that no send would take."""
    if not contents or any(channel.is_empty(content) for content in contents):
        raise CannotTest("content_empty", str(channel.empty_words))
    for content in contents:
        for _field, sentence in channel.problems(content):
            raise CannotTest("content_invalid", str(sentence))
    workspace = connection.workspace
    marked = [channel.as_test(content) for content in contents]
    try:
        return Contents(channel, marked, provider, workspace.default_language, workspace.zone)
    except RenderError as error:
        label = str(channel.field(error.field).label)
        raise CannotTest("content_invalid", f"{label}: {error}") from error


# --- the provider ---------------------------------------------------------------------------------
@contextlib.contextmanager
def _opened(connection: Connection, provider: Provider[Any]) -> Iterator[Sender]:
    """A sender of this test alone: those of delivery.connections belong to one worker at a time.
    Raises CannotTest."""
    try:
        sender = provider.open(account_of(connection))
    except (SecretUnreadable, ValueError) as error:
        words = _("The connection “%(connection)s” cannot be used. %(problem)s")
        told = words % {"connection": connection, "problem": error}
        raise CannotTest("connection_unusable", told) from error
    try:
        yield sender
    except CredentialsRefused as error:
        raise CannotTest("credentials_refused", str(error)) from error
    finally:
        sender.close()


def _asked(
    connection: Connection, provider: Provider[Any], bodies: Mapping[int, bytes]
) -> dict[int, Outcome]:
    """{number: what the provider said}. Raises CannotTest or ProviderUnreachable if it got none of
    the messages."""
    found: dict[int, Outcome] = {}
    sent: list[int] = []
    with _opened(connection, provider) as sender:
        try:
            for batch in batches(list(bodies.items()), provider.manners):
                sender.send(batch)
                sent += [number for number, _body in batch]
        except (CredentialsRefused, ProviderUnreachable):
            if not sent:
                raise
        deadline = time.monotonic() + ANSWER_SECS
        while sender.in_flight and (left := deadline - time.monotonic()) > 0:
            found |= {outcome.message_id: outcome for outcome in sender.poll(min(1.0, left))}
    for number in bodies.keys() - found.keys():
        verdict, code = Verdict.LATER, "NOT_SENT"
        if number in sent:
            verdict, code = Verdict.AMBIGUOUS, "NO_ANSWER"
        found[number] = Outcome(number, verdict, code)
    return found


# --- the answers ----------------------------------------------------------------------------------
def _skipped(device: Device, reason: Reason, channel: str, why: str = "") -> Answer:
    words = f"{explained(reason, channel)} {why}".strip()
    return Answer(device.name, _name(device), Result.SKIPPED, reason.slug, words)


def _answer(device: Device, outcome: Outcome, provider: Provider[Any]) -> Answer:
    result, words = _MEANINGS[outcome.verdict]
    if outcome.verdict is Verdict.PLATFORM_BROKEN:
        words = f"{words} {provider.remedies.get(device.platform, '')}".strip()
    return Answer(
        device.name,
        _name(device),
        result,
        outcome.code,
        str(words),
        outcome.provider_id.rpartition("/")[2],
        outcome.detail,
    )


def _name(device: Device) -> str:
    if device.owner is None:
        return ""
    return device.owner.external_id


def _record(
    connection: Connection, trial: Trial, *, by: User | None, campaign: Campaign | None
) -> None:
    """The trail keeps the ends of the addresses, as pages show them."""
    asked = [answer for answer in trial.answers if answer.result is not Result.SKIPPED]
    target: object = connection
    if campaign is not None and campaign.pk:
        target = campaign
    detail = {
        "connection": connection.name,
        "devices": [f"{answer.device}: {answer.code}" for answer in asked],
        "contacts": sorted({answer.contact for answer in asked if answer.contact}),
    }
    audit.record(connection.workspace, "test notification sent", target, by=by, detail=detail)
