"""Who gets a test (delivery.trial): the devices of contacts, and addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.channels.base import Channel
from campaigns.models import Contact, Endpoint
from pushpilot.lib.bounded import OutOfBounds, check_id
from pushpilot.lib.display import format_number
from tenants.models import Connection

CONTACTS_MOST = 5
TOKENS_MOST = 5
ID_CHARS = 200
DEVICES_MOST = 10
"""The devices of contacts that a test takes, the last seen first."""
_NOBODY = {"external_id": "", "language": "", "country": "", "time_zone": "", "attributes": {}}


@dataclass(frozen=True, slots=True)
class To:
    """Who gets a test: contacts by external id, and addresses. `reader`: the external id of the
    contact that the message is personalised for; "": each reads their own."""

    contacts: Sequence[str] = ()
    tokens: Sequence[str] = ()
    reader: str = ""


@dataclass(slots=True)
class Device:
    """One address. `stopped`: the gate that keeps the message from it, PENDING for none."""

    name: str
    kind: str = ""
    address: str = ""
    platform: str = ""
    owner: Contact | None = None
    stopped: Reason = Reason.PENDING


def reader_of(connection: Connection, external_id: str) -> Contact | None:
    if not external_id:
        return None
    return _contacts(connection, [external_id], "reader")[0]


def _contacts(connection: Connection, external_ids: Sequence[str], name: str) -> list[Contact]:
    """The contacts in this order. Raises ValidationError."""
    try:
        external_ids = [check_id(one, _("The external id"), ID_CHARS) for one in external_ids]
    except OutOfBounds as error:
        raise unknown(name, error.detail) from error
    rows = Contact.objects.filter(
        workspace=connection.workspace_id, external_id__in=set(external_ids)
    )
    known = {contact.external_id: contact for contact in rows}
    for external_id in external_ids:
        if external_id not in known:
            words = _("There is no contact with the external id “%(id)s”.")
            raise unknown(name, words % {"id": external_id[:100]})
    return [known[external_id] for external_id in dict.fromkeys(external_ids)]


def find(connection: Connection, channel: Channel, to: To) -> tuple[list[Device], int]:
    """(the devices, how many are left out). Raises ValidationError."""
    if not to.contacts and not to.tokens:
        raise unknown("contacts", _("Name a contact or a token that gets the test."))
    for name, given, most in (
        ("contacts", to.contacts, CONTACTS_MOST),
        ("tokens", to.tokens, TOKENS_MOST),
    ):
        if len(given) > most:
            words = _("A test takes at most %(limit)s of these. Send another test for the others.")
            raise unknown(name, words % {"limit": format_number(most)})
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
        raise unknown("tokens", str(error)) from error


def _named(connection: Connection, channel: Channel, tokens: Sequence[str]) -> list[Device]:
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
        else Device(f"…{token[-8:]}", kind=kind, address=token)
        for token in tokens
    ]


def _of_contacts(
    connection: Connection, channel: Channel, contacts: Sequence[Contact], named: set[str]
) -> list[Device]:
    """The contacts' devices on the channel: first the devices that will get the test, the last
    seen first. A contact without a device is one that gets nothing."""
    if not contacts:
        return []
    by_id = {contact.pk: contact for contact in contacts}
    stops = _stops(connection, channel, list(by_id))
    rows = Endpoint.objects.filter(
        workspace=connection.workspace_id, channel=channel.key, contact__in=by_id
    )
    found: list[tuple[Any, Device]] = []
    for row in rows.exclude(value__in=named).order_by("pk"):
        row.contact = by_id[row.contact_id]
        seen = row.last_seen_at or row.created_at
        found.append((seen, _device(row, stops)))
    found.sort(key=lambda one: one[0], reverse=True)
    found.sort(key=lambda one: one[1].stopped is not Reason.PENDING)
    without = [
        Device(str(contact), owner=contact, stopped=stops[contact.pk, None])
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


def _device(row: Endpoint, stops: Mapping[tuple[int, int | None], Reason]) -> Device:
    stopped = stops.get((row.contact_id, row.pk), Reason.LEFT_AUDIENCE)
    return Device(str(row), row.kind, row.value, row.platform, row.contact, stopped)


def columns(contact: Contact | None) -> Mapping[str, Any]:
    if contact is None:
        return _NOBODY
    return {name: getattr(contact, name) for name in _NOBODY}


def unknown(name: str, sentence: str) -> ValidationError:
    return ValidationError({name: [ValidationError(sentence, code="unknown")]})
