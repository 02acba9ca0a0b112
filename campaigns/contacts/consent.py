"""What people have said about being written to. Every door calls `record`: events, the API of
devices, the console.

The newest word wins, in both directions. A word about all channels also holds for channels that
the product gets later; between that word and a word about one channel, the newer word decides
(`opted_out`). A word about an unknown person waits until the contact exists (`adopt`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from campaigns.models import ALL_CHANNELS, Consent, Contact, WaitingConsent, consent_channels
from tenants import audit
from tenants.models import User, Workspace

WAITING_LIMIT = 100_000  # words of a workspace about people who are not known
ADOPTED_AT_ONCE = 5_000

Place = tuple[str, str, str]  # external id, channel, topic

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Word:
    """One statement of a person, who is named by their contact's key or by an external id. `at`:
    when they said so."""

    channel: str  # a Channel, or ALL_CHANNELS
    is_yes: bool
    source: str
    proof: str
    at: datetime
    contact_id: int | None = None
    external_id: str = ""
    topic: str = ""

    @property
    def values(self) -> dict[str, Any]:
        status = Consent.Status.OPTED_IN if self.is_yes else Consent.Status.OPTED_OUT
        return {
            "status": status,
            "source": self.source[:64],
            "proof": self.proof[:500],
            "at": self.at,
        }


_VALUES = ["status", "source", "proof", "at"]


@transaction.atomic
def record(workspace: Workspace, words: Sequence[Word]) -> None:
    """Take over what people said, unless something newer is known. Of two words of one moment
    the later one in `words` counts. Call inside the workspace's scope."""
    named = {word.external_id for word in words if word.contact_id is None}
    by_name: dict[str, int] = {}
    if named:
        rows = Contact.objects.filter(workspace=workspace, external_id__in=named)
        by_name = dict(rows.values_list("external_id", "pk"))
    known: dict[tuple[int, str, str], Word] = {}
    unknown: dict[Place, Word] = {}
    # stable: of one moment the later one stays the later one
    for word in sorted(words, key=lambda one: one.at):
        contact = word.contact_id or by_name.get(word.external_id)
        if contact is not None:
            known[contact, word.channel, word.topic] = word
        elif word.external_id:
            unknown[word.external_id, word.channel, word.topic] = word
    # In this order, as `adopt` locks them too: contacts, then words that wait.
    if known:
        _write(workspace, known)
    if unknown:
        _wait(workspace, unknown)


def _write(workspace: Workspace, words: dict[tuple[int, str, str], Word]) -> None:
    contacts = sorted({contact for contact, _, _ in words})
    alive = set(lock_contacts(contacts))
    stated = Consent.objects.filter(contact__in=contacts).values_list(
        "contact_id", "channel", "topic", "at"
    )
    newest = {(contact, channel, topic): at for contact, channel, topic, at in stated}
    rows = [
        Consent(
            workspace=workspace, contact_id=contact, channel=channel, topic=topic, **word.values
        )
        for (contact, channel, topic), word in sorted(words.items(), key=lambda item: item[0])
        if contact in alive and newest.get((contact, channel, topic), word.at) <= word.at
    ]
    Consent.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["contact", "channel", "topic"],
        update_fields=_VALUES,
    )


def lock_contacts(contacts: Sequence[int]) -> list[int]:
    """Lock them in key order, so that two workers never deadlock. Returns the ids that exist."""
    rows = Contact.objects.filter(pk__in=contacts).order_by("pk").select_for_update(no_key=True)
    return list(rows.values_list("pk", flat=True))


def outdated(workspace: Workspace, words: Sequence[Word]) -> set[Word]:
    """The words that decide nothing, because the same person said something newer about the
    channel or about all channels: a known word, or another one of `words`."""
    newest: dict[tuple[int | str, str, str], datetime] = {}
    for person, channel, topic, at in [
        *_known(workspace, words),
        *((*_place(word), word.at) for word in words),
    ]:
        newest[person, channel, topic] = max(at, newest.get((person, channel, topic), at))
    older = set()
    for word in words:
        person, channel, topic = _place(word)
        latest = max(
            newest[person, channel, topic], newest.get((person, ALL_CHANNELS, topic), word.at)
        )
        older |= {word} if word.at < latest else set()
    return older


def _place(word: Word) -> tuple[int | str, str, str]:
    return (
        word.external_id if word.contact_id is None else word.contact_id,
        word.channel,
        word.topic,
    )


def _known(
    workspace: Workspace, words: Sequence[Word]
) -> list[tuple[int | str, str, str, datetime]]:
    """(person, channel, topic, when) of what the people in `words` have said, of unknown people
    too."""
    contacts = {word.contact_id for word in words if word.contact_id is not None}
    names = {word.external_id for word in words if word.contact_id is None}
    found: list[tuple[int | str, str, str, datetime]] = []
    if contacts:
        rows = Consent.objects.filter(workspace=workspace, contact__in=contacts)
        found += rows.values_list("contact_id", "channel", "topic", "at")
    if names:
        waiting = WaitingConsent.objects.filter(workspace=workspace, external_id__in=names)
        found += waiting.values_list("external_id", "channel", "topic", "at")
    return found


# --- people who are not known yet -----------------------------------------------------------------
def _wait(workspace: Workspace, words: dict[Place, Word]) -> None:
    names = {name for name, _, _ in words}
    mine = WaitingConsent.objects.filter(workspace=workspace)
    lost = without_place(workspace, words)
    fresh = [
        WaitingConsent(
            workspace=workspace, external_id=name, channel=channel, topic=topic, **word.values
        )
        for (name, channel, topic), word in sorted(words.items())
        if (name, channel, topic) not in lost
    ]
    WaitingConsent.objects.bulk_create(fresh, ignore_conflicts=True)
    if lost:
        logger.warning(
            "workspace %s: %d words about unknown people find no place", workspace.pk, len(lost)
        )
    # Another word may wait already, or another worker may have stored one since: the newer word
    # stays.
    held = mine.filter(external_id__in=names).select_for_update(no_key=True).order_by("pk")
    older = []
    for row in held:
        word = words.get((row.external_id, row.channel, row.topic))
        if word is not None and row.at <= word.at:
            for field, value in word.values.items():
                setattr(row, field, value)
            older.append(row)
    WaitingConsent.objects.bulk_update(older, _VALUES, batch_size=500)


def is_full(workspace: Workspace) -> bool:
    """Whether no more words about unknown people are kept."""
    return (
        WaitingConsent.objects.filter(workspace=workspace)
        .order_by("pk")[WAITING_LIMIT - 1 :]
        .exists()
    )


def without_place(workspace: Workspace, words: Collection[Place]) -> set[Place]:
    """Words about unknown people that cannot wait: the workspace keeps no more of them, and no
    earlier word about the same person, channel and topic waits that they could replace."""
    if not words or not is_full(workspace):
        return set()
    names = {name for name, _, _ in words}
    held = WaitingConsent.objects.filter(workspace=workspace, external_id__in=names)
    return set(words) - set(held.values_list("external_id", "channel", "topic"))


def adopt(workspace: Workspace, external_ids: Iterable[str] | None = None) -> None:
    """Record the words that waited for these people, None: for everybody who is known by now.

    Call after creating contacts. Every launch calls it for all contacts, because a word may be
    stored in the moment in which its contact is created.
    """
    mine = WaitingConsent.objects.filter(workspace=workspace)
    people = Contact.objects.filter(workspace=workspace, external_id=OuterRef("external_id"))
    known = mine.filter(Exists(people)).order_by("pk").values_list("external_id", flat=True)
    if external_ids is not None:
        known = known.filter(external_id__in=external_ids)
    while names := list(known[:ADOPTED_AT_ONCE]):
        with transaction.atomic():
            owners = Contact.objects.filter(workspace=workspace, external_id__in=names)
            lock_contacts(list(owners.values_list("pk", flat=True)))
            rows = list(
                mine.filter(external_id__in=names).select_for_update(no_key=True).order_by("pk")
            )
            record(workspace, [_word(row) for row in rows])
            mine.filter(pk__in=[row.pk for row in rows]).delete()


def _word(row: WaitingConsent) -> Word:
    is_yes = row.status == Consent.Status.OPTED_IN
    return Word(
        row.channel,
        is_yes,
        row.source,
        row.proof,
        row.at,
        external_id=row.external_id,
        topic=row.topic,
    )


# --- what holds -----------------------------------------------------------------------------------
def opted_out(channel: str, contact: str = "pk") -> Exists:
    """For a query whose path `contact` leads to a contact's key: the newest word about the
    channel, or about all channels, is a no. Of two words of one moment the no counts."""
    words = Consent.objects.filter(channel__in=(channel, ALL_CHANNELS), topic="")
    later_yes = words.filter(
        contact=OuterRef("contact"), status=Consent.Status.OPTED_IN, at__gt=OuterRef("at")
    )
    no = words.filter(
        ~Exists(later_yes), contact=OuterRef(contact), status=Consent.Status.OPTED_OUT
    )
    return Exists(no)


def holds(rows: Iterable[Consent], channel: str) -> Consent | None:
    """Of a contact's words the one that decides about the channel; None if nothing was said."""
    about = [row for row in rows if row.topic == "" and row.channel in (channel, ALL_CHANNELS)]
    return max(
        about, key=lambda row: (row.at, row.status == Consent.Status.OPTED_OUT), default=None
    )


@transaction.atomic
def say(contact: Contact, channel: str, *, is_yes: bool, by: User, now: datetime) -> None:
    """A member writes down what a person told them. Raises ValueError for a channel that does
    not exist."""
    if channel not in consent_channels():
        raise ValueError(_("Choose a channel from the list."))
    lock_contacts([contact.pk])
    before = holds(contact.consents.all(), channel)
    word = Word(channel, is_yes, "console", by.email, now, contact_id=contact.pk)
    record(contact.workspace, [word])
    with audit.in_english():
        label = consent_channels()[channel]
    changes = {label: (before.status if before else None, word.values["status"])}
    audit.record(contact.workspace, "consent changed", contact.external_id, by=by, changes=changes)
