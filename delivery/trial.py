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

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.audience import selection
from campaigns.audience.reasons import Reason, words_of
from campaigns.channels import registry
from campaigns.channels.base import Channel, Message
from campaigns.channels.render import RenderError
from campaigns.content.lint import no_connection
from campaigns.models import Campaign, Contact, Endpoint
from delivery.connections import account_of
from delivery.engine.compose import Contents, NotComposable
from delivery.engine.dispatch import batches
from delivery.providers.base import (
    CredentialsRefused,
    Outcome,
    Provider,
    ProviderUnreachable,
    Sender,
    Verdict,
)
from delivery.providers.registry import provider_of
from pushpilot.lib import languages
from pushpilot.lib.display import Words, format_number
from pushpilot.lib.limits import Limiter
from pushpilot.lib.signing import trial_reference
from tenants import audit
from tenants.models import Connection, User
from tenants.secrets import SecretUnreadable

CONTACTS_MOST = 5
TOKENS_MOST = 5
DEVICES_MOST = 10
"""Of the contacts' devices those that were seen last."""
PER_MINUTE = 10
"""Tests of a workspace."""
ANSWER_SECS = 15.0
_NOBODY = {"external_id": "", "language": "", "country": "", "time_zone": "", "attributes": {}}

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


@dataclass(frozen=True, slots=True)
class To:
    """Who gets a test: contacts by external id, and addresses. `reader`: the external id of the
    contact that the message is personalised for; "": each reads their own."""

    contacts: Sequence[str] = ()
    tokens: Sequence[str] = ()
    reader: str = ""


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


@dataclass(slots=True)
class _Device:
    name: str
    kind: str = ""
    address: str = ""
    platform: str = ""
    owner: Contact | None = None
    stopped: Reason = Reason.PENDING


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
            raise _unknown("language", _("The campaign has no content in this language."))
    if variant:
        contents = [one for one in contents if one["variant"] == variant]
        if not contents:
            raise _unknown("variant", _("The campaign has no content of this variant."))
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
    reader = _reader(connection, to.reader)
    devices, trial.left_out = _devices(connection, spoken, to)
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
        read_by = _columns(reader or device.owner)
        try:
            bodies[number] = compiled.body(read_by, device.kind, device.address, reference)
        except NotComposable as error:
            trial.answers[number] = _skipped(device, error.reason, channel, error.code)
    if bodies:
        for number, outcome in _asked(connection, provider, bodies).items():
            trial.answers[number] = _answer(devices[number], outcome, provider)
        _record(connection, trial, by=by, campaign=campaign)
    return trial


# --- who ------------------------------------------------------------------------------------------
def _reader(connection: Connection, external_id: str) -> Contact | None:
    if not external_id:
        return None
    return _contacts(connection, [external_id], "reader")[0]


def _contacts(connection: Connection, external_ids: Sequence[str], name: str) -> list[Contact]:
    """The contacts in this order. Raises ValidationError."""
    rows = Contact.objects.filter(
        workspace=connection.workspace_id, external_id__in=set(external_ids)
    )
    known = {contact.external_id: contact for contact in rows}
    for external_id in external_ids:
        if external_id not in known:
            words = _("There is no contact with the external id “%(id)s”.")
            raise _unknown(name, words % {"id": external_id[:100]})
    return [known[external_id] for external_id in dict.fromkeys(external_ids)]


def _devices(connection: Connection, channel: Channel, to: To) -> tuple[list[_Device], int]:
    """(the devices, how many are left out). Raises ValidationError."""
    if not to.contacts and not to.tokens:
        raise _unknown("contacts", _("Name a contact or a token that gets the test."))
    for name, given, most in (
        ("contacts", to.contacts, CONTACTS_MOST),
        ("tokens", to.tokens, TOKENS_MOST),
    ):
        if len(given) > most:
            words = _("A test takes at most %(limit)s of these. Send another test for the others.")
            raise _unknown(name, words % {"limit": format_number(most)})
    tokens = [_checked(channel, token) for token in dict.fromkeys(to.tokens)]
    found = _named(connection, channel, tokens)
    of_contacts = _of_contacts(
        connection, channel, _contacts(connection, to.contacts, "contacts"), set(tokens)
    )
    room = max(0, DEVICES_MOST - len(found))
    return [*found, *of_contacts[:room]], max(0, len(of_contacts) - room)


def _checked(channel: Channel, token: str) -> str:
    try:
        return channel.check_address(token)
    except ValueError as error:
        raise _unknown("tokens", str(error)) from error


def _named(connection: Connection, channel: Channel, tokens: Sequence[str]) -> list[_Device]:
    """The devices with these addresses. One that a contact of the workspace has is asked the gates
    of its contact: naming the address is no way around an opt-out."""
    known = {}
    if tokens:
        rows = Endpoint.objects.filter(
            workspace=connection.workspace_id, channel=channel.key, value__in=tokens
        )
        known = {row.value: row for row in rows.select_related("contact")}
    stops = _stops(connection, channel, [row.contact_id for row in known.values()])
    kind = next(iter(channel.address_kinds), "")
    return [
        _device(known[token], stops)
        if token in known
        else _Device(f"…{token[-8:]}", kind=kind, address=token)
        for token in tokens
    ]


def _of_contacts(
    connection: Connection, channel: Channel, contacts: Sequence[Contact], named: set[str]
) -> list[_Device]:
    """The contacts' devices on the channel, those that will get it and were seen last first; a
    contact without any is one that gets nothing."""
    if not contacts:
        return []
    by_id = {contact.pk: contact for contact in contacts}
    stops = _stops(connection, channel, list(by_id))
    rows = Endpoint.objects.filter(
        workspace=connection.workspace_id, channel=channel.key, contact__in=by_id
    )
    found: list[tuple[Any, _Device]] = []
    for row in rows.exclude(value__in=named).order_by("pk"):
        row.contact = by_id[row.contact_id]
        seen = row.last_seen_at or row.created_at
        found.append((seen, _device(row, stops)))
    found.sort(key=lambda one: one[0], reverse=True)
    found.sort(key=lambda one: one[1].stopped is not Reason.PENDING)
    without = [
        _Device(str(contact), owner=contact, stopped=stops[contact.pk, None])
        for contact in contacts
        if (contact.pk, None) in stops
    ]
    return [*(device for _seen, device in found), *without]


def _stops(
    connection: Connection, channel: Channel, contacts: Sequence[int]
) -> dict[tuple[int, int | None], Reason]:
    """{(contact, endpoint or None): the gate that stops it}, as a send would ask them."""
    if not contacts:
        return {}
    rows = selection.recipients(connection.workspace, channel.key, {}).filter(pk__in=contacts)
    return {(row["id"], row["reached__id"]): Reason(row["reason"]) for row in rows}


def _device(row: Endpoint, stops: Mapping[tuple[int, int | None], Reason]) -> _Device:
    stopped = stops.get((row.contact_id, row.pk), Reason.LEFT_AUDIENCE)
    return _Device(str(row), row.kind, row.value, row.platform, row.contact, stopped)


def _columns(contact: Contact | None) -> Mapping[str, Any]:
    if contact is None:
        return _NOBODY
    return {name: getattr(contact, name) for name in _NOBODY}


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
def _skipped(device: _Device, reason: Reason, channel: str, why: str = "") -> Answer:
    words = f"{words_of(reason, channel).explanation} {why}".strip()
    return Answer(device.name, _name(device), Result.SKIPPED, reason.slug, words)


def _answer(device: _Device, outcome: Outcome, provider: Provider[Any]) -> Answer:
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


def _name(device: _Device) -> str:
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


def _unknown(name: str, sentence: str) -> ValidationError:
    return ValidationError({name: [ValidationError(sentence, code="unknown")]})
