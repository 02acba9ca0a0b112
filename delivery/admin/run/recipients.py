"""The recipients of a run, one by one: pages by keyset, and the same rows as CSV.

Both walk the ledger's unique index (run, contact, endpoint), so a page costs the same at the end
of ten million rows as at the beginning; that is why rows come in the order of contacts. No index
knows a row's reason: the engine's updates stay cheap only without one. So a rare reason is
looked for in those shards whose tally has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.http import urlencode

from campaigns.audience.reasons import Reason, words_of
from campaigns.models import Contact, Endpoint, Run
from delivery.admin import slots
from delivery.admin.references import reference_of
from delivery.admin.run.errors import meaning
from delivery.admin.run.figures import Account
from delivery.models import Message, Shard
from pushpilot.lib.display import exact_moment
from pushpilot.lib.spelling import fold
from tenants.admin.base import moment
from tenants.scope import scope

PAGE_ROWS = 50
CSV_ROWS = 2_000
BIGGEST = 2**63 - 1
HEADER = (
    "contact",
    "device",
    "platform",
    "reason",
    "reason_in_words",
    "provider_code",
    "attempted_at",
    "attempts",
    "possible_duplicates",
    "provider_id",
    "revision",
    "later",
)
_BY_SLUG = {reason.slug: reason for reason in Reason}
_CONTACT, _ENDPOINT = Message._meta.get_field("contact"), Message._meta.get_field("endpoint")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: `after` is the key (contact, message) of the last row seen, `code` a
    provider's, `contact` an external id."""

    after: tuple[int, int] | None = None
    reason: Reason | None = None
    code: str = ""
    contact: str = ""
    contact_id: int | None = None

    @property
    def query(self) -> str:
        """The filter as a query string, without the place."""
        reason = ""
        if self.reason is not None:
            reason = self.reason.slug
        given = {"reason": reason, "code": self.code, "contact": self.contact}
        return urlencode({name: value for name, value in given.items() if value})


def read_filter(query: QueryDict, run: Run) -> Wanted:
    """The filter in an address; what cannot be read is left out."""
    contact, code = _text(query, "contact"), _text(query, "code")
    found = None
    if contact:
        own = Contact.objects.filter(workspace=run.workspace_id, external_id=fold(contact))
        found = own.values_list("pk", flat=True).first() or 0
    return Wanted(
        _key(query.get("after", "")), _BY_SLUG.get(query.get("reason", "")), code, contact, found
    )


def _text(query: QueryDict, name: str) -> str:
    """The parameter, as a database can be asked for it; whole, since half an id is somebody
    else's."""
    return query.get(name, "").strip().replace("\x00", "").encode("utf-8", "replace").decode()


def _key(text: str) -> tuple[int, int] | None:
    parts = text.split(".")
    if len(parts) != 2 or not all(
        part.isascii() and part.isdecimal() and len(part) < 20 for part in parts
    ):
        return None
    contact, message = int(parts[0]), int(parts[1])
    if max(contact, message) <= BIGGEST:
        return (contact, message)
    return None


def rows_of(run: Run, wanted: Wanted, most: int) -> list[Message]:
    """The first `most` of the wanted rows, with their contacts and endpoints."""
    rows = Message.objects.filter(run=run)
    if wanted.reason is not None:
        rows = rows.filter(reason=wanted.reason)
    if wanted.code:
        rows = rows.filter(error_code=wanted.code)
    places = None
    if wanted.contact_id is None:
        places = _shards_with(run, wanted.reason)
    if places is None:
        listed = list(_in_key_order(rows, wanted)[:most])
    else:
        listed = _in_shards(rows, wanted, places, most)
    # Not by joins: PostgreSQL merged a deep page with all contacts before it (91 ms instead of 3 at
    # the 800,000th row). Not by prefetch: for SQLite Django makes it a chain of ORs, which SQLite
    # refuses from 1,000 rows on.
    contacts = Contact.objects.in_bulk({row.contact_id for row in listed if row.contact_id})
    endpoints = Endpoint.objects.in_bulk({row.endpoint_id for row in listed if row.endpoint_id})
    for row in listed:
        _CONTACT.set_cached_value(row, contacts.get(row.contact_id or 0))
        _ENDPOINT.set_cached_value(row, endpoints.get(row.endpoint_id or 0))
    return listed


def _in_key_order(rows: QuerySet[Message, Message], wanted: Wanted) -> QuerySet[Message, Message]:
    if wanted.contact_id is not None:
        rows = rows.filter(contact_id=wanted.contact_id)
    if wanted.after is not None:
        contact, message = wanted.after
        rows = rows.filter(contact_id__gte=contact).exclude(contact_id=contact, pk__lte=message)
    return rows.order_by("contact_id", "pk")


def _shards_with(run: Run, reason: Reason | None) -> list[tuple[int, int]] | None:
    """(first id, last id) of the shards that hold rows of this reason, in order, neighbours as
    one; None if the tallies cannot say so: rows that wait or were skipped before the cut are in
    no shard's tally."""
    if reason is None or reason.is_waiting:
        return None
    known, places = 0, list[tuple[int, int]]()
    shards = (
        Shard.objects.filter(run=run)
        .order_by("first_id")
        .values_list("first_id", "last_id", "tally")
    )
    for first, last, tally in shards:
        rows = tally.get(reason.slug, 0)
        known += rows
        if rows and places and places[-1][1] == first - 1:
            places[-1] = (places[-1][0], last)
        elif rows:
            places.append((first, last))
    is_ended = run.is_ended and run.finished_at is not None
    is_whole = known == run.count(reason) if is_ended else not run.count(reason)
    if is_whole:
        return places
    return None


def _in_shards(
    rows: QuerySet[Message, Message], wanted: Wanted, places: Iterable[tuple[int, int]], most: int
) -> list[Message]:
    """The first `most` rows at these places, in the order of their ids, which the audience was
    written in.

    One query each: for a list of ranges PostgreSQL walked the primary key from its beginning.
    """
    seen = 0
    if wanted.after is not None:
        seen = wanted.after[1]
    found: list[Message] = []
    for first, last in places:
        if last > seen and len(found) < most:
            here = rows.filter(pk__gte=max(first, seen + 1), pk__lte=last)
            found += here.order_by("pk")[: most - len(found)]
    return found


def page_of(
    run: Run, wanted: Wanted, *, shows_refs: bool = False
) -> tuple[list[dict[str, Any]], str]:
    """One page, and the address part of the next one ("" on the last)."""
    found = rows_of(run, wanted, PAGE_ROWS + 1)
    shown = found[:PAGE_ROWS]
    later = slots.states_of(message.pk for message in shown)
    following = ""
    if len(found) > PAGE_ROWS:
        last = shown[-1]
        following = f"{wanted.query}&after={last.contact_id}.{last.pk}".lstrip("&")
    rows = [_row(message, run, later.get(message.pk, [])) for message in shown]
    for row in rows if shows_refs else ():
        row["reference"] = reference_of(row["message"], run)
    return rows, following


def _row(message: Message, run: Run, later: list[str]) -> dict[str, Any]:
    reason = Reason(message.reason)
    at = message.attempted_at
    return {
        "attempted": moment(at, run.workspace),
        "attempted_at": exact_moment(at, run.workspace.zone) if at else "",
        "message": message,
        "contact": message.contact,
        "endpoint": message.endpoint,
        "reason": reason,
        "status": str(words_of(reason, run.channel).label),
        "tone": _tone(reason),
        "code_meaning": meaning(run, reason, message.error_code) if message.error_code else "",
        "later": later,
    }


def _tone(reason: Reason) -> str:
    if reason.is_waiting:
        return "info"
    if reason == Reason.ACCEPTED:
        return "success"
    if reason.is_unsure:
        return "warning"
    if reason.is_failure:
        return "danger"
    return "default"


def choices(account: Account | None) -> list[tuple[str, str, int]]:
    """(slug, label, rows) of the reasons that occur, for the filter."""
    if account:
        return [
            (line.slug, line.label, line.count) for line in account.lines if line.slug in _BY_SLUG
        ]
    return []


def csv_rows(run: Run, wanted: Wanted) -> Iterator[tuple[object, ...]]:
    """The CSV's rows, the heading first. The workspace's scope is open only while rows are read:
    between them other requests may use the thread."""
    yield HEADER
    place: Wanted | None = wanted
    while place is not None:
        with scope(run.workspace):
            found = rows_of(run, place, CSV_ROWS)
            later = slots.states_of(message.pk for message in found)
        for message in found:
            yield _cells(message, run, later.get(message.pk, []))
        place = None
        if len(found) == CSV_ROWS:
            key = (int(found[-1].contact_id or 0), found[-1].pk)
            place = replace(wanted, after=key)


def _cells(message: Message, run: Run, later: list[str]) -> tuple[object, ...]:
    reason = Reason(message.reason)
    moment = message.attempted_at
    at = ""
    if moment:
        at = moment.astimezone(run.workspace.zone).isoformat(timespec="seconds")
    person, device, platform = "(deleted)", "", ""
    if message.contact:
        person = message.contact.external_id
    elif run.is_broadcast:
        person = f"({run.target})"
    if message.endpoint:
        device, platform = str(message.endpoint), message.endpoint.get_platform_display()
    return (
        person,
        device,
        platform,
        reason.slug,
        str(words_of(reason, run.channel).label),
        message.error_code,
        at,
        message.attempts,
        message.possible_duplicate,
        message.provider_id,
        "" if message.revision is None else message.revision,
        "; ".join(later),
    )
