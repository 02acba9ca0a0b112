"""The recipients of a run, one by one: pages by keyset, and the same rows as CSV.

Both walk the ledger's unique index (run, contact, endpoint), so a page costs the same at the end of ten million rows
as at the beginning; that is why rows come in the order of contacts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.http import urlencode

from campaigns.models import Contact, Run
from campaigns.reasons import Reason
from delivery.admin import slots
from delivery.admin.codes import MEANINGS
from delivery.admin.progress import Account
from delivery.models import Message
from pushpilot.lib.spreadsheets import BOM, csv_line
from tenants.scope import scope

PAGE_ROWS = 50
CSV_ROWS = 2_000
BIGGEST = 2**63 - 1
HEADER = ("contact", "device", "platform", "reason", "reason_in_words", "provider_code", "attempted_at", "attempts",
          "possible_duplicate", "provider_id", "later")  # fmt: skip
_BY_SLUG = {reason.slug: reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: `after` is the key (contact, message) of the last row seen, `contact` an external id."""

    after: tuple[int, int] | None = None
    reason: Reason | None = None
    contact: str = ""
    contact_id: int | None = None

    @property
    def query(self) -> str:
        """The filter as a query string, without the place."""
        given = {"reason": self.reason.slug if self.reason is not None else "", "contact": self.contact}
        return urlencode({name: value for name, value in given.items() if value})


def read_filter(query: QueryDict, run: Run) -> Wanted:
    """The filter in an address; what cannot be read is left out."""
    contact = query.get("contact", "").strip().replace("\x00", "")[:200]
    found = None
    if contact:
        own = Contact.objects.filter(workspace=run.workspace_id, external_id=contact)
        found = own.values_list("pk", flat=True).first() or 0
    return Wanted(_key(query.get("after", "")), _BY_SLUG.get(query.get("reason", "")), contact, found)


def _key(text: str) -> tuple[int, int] | None:
    parts = text.split(".")
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts):
        return None
    contact, message = int(parts[0]), int(parts[1])
    return (contact, message) if max(contact, message) <= BIGGEST else None


def rows_of(run: Run, wanted: Wanted) -> QuerySet[Message, Message]:
    """The wanted rows in key order."""
    rows = Message.objects.filter(run=run).select_related("contact", "endpoint").order_by("contact_id", "pk")
    if wanted.reason is not None:
        rows = rows.filter(reason=wanted.reason)
    if wanted.contact_id is not None:
        rows = rows.filter(contact_id=wanted.contact_id)
    if wanted.after is not None:
        contact, message = wanted.after
        rows = rows.filter(contact_id__gte=contact).exclude(contact_id=contact, pk__lte=message)
    return rows


def page_of(run: Run, wanted: Wanted) -> tuple[list[dict[str, Any]], str]:
    """One page, and the address part of the next one ("" on the last)."""
    found = list(rows_of(run, wanted)[: PAGE_ROWS + 1])
    shown = found[:PAGE_ROWS]
    later = slots.states_of(message.pk for message in shown)
    following = ""
    if len(found) > PAGE_ROWS:
        last = shown[-1]
        following = f"{wanted.query}&after={last.contact_id}.{last.pk}".lstrip("&")
    return [_row(message, run, later.get(message.pk, [])) for message in shown], following


def _row(message: Message, run: Run, later: list[str]) -> dict[str, Any]:
    reason = Reason(message.reason)
    at = message.attempted_at.astimezone(run.workspace.zone) if message.attempted_at else None
    return {
        "attempted": f"{at:%d %b, %H:%M:%S}" if at else "",
        "message": message,
        "contact": message.contact,
        "endpoint": message.endpoint,
        "reason": reason,
        "tone": _tone(reason),
        "code_meaning": MEANINGS.get(message.error_code, ""),
        "later": later,
    }


def _tone(reason: Reason) -> str:
    if reason.is_waiting:
        return "info"
    if reason == Reason.ACCEPTED:
        return "success"
    return "danger" if reason.is_failure else "default"


def choices(account: Account | None) -> list[tuple[str, str, int]]:
    """(slug, label, rows) of the reasons that occur, for the filter."""
    return [(line.slug, line.label, line.count) for line in account.lines if line.slug in _BY_SLUG] if account else []


def csv_lines(run: Run, wanted: Wanted) -> Iterator[str]:
    """The CSV's lines. The workspace's scope is open only while rows are read: between them other requests may use
    the thread."""
    yield BOM + csv_line(HEADER)
    place: Wanted | None = wanted
    while place is not None:
        with scope(run.workspace):
            found = list(rows_of(run, place)[:CSV_ROWS])
            later = slots.states_of(message.pk for message in found)
        for message in found:
            yield csv_line(_cells(message, run, later.get(message.pk, [])))
        place = None
        if len(found) == CSV_ROWS:
            key = (int(found[-1].contact_id or 0), found[-1].pk)
            place = Wanted(key, wanted.reason, wanted.contact, wanted.contact_id)


def _cells(message: Message, run: Run, later: list[str]) -> tuple[object, ...]:
    reason = Reason(message.reason)
    moment = message.attempted_at
    at = moment.astimezone(run.workspace.zone).isoformat(timespec="seconds") if moment else ""
    endpoint = message.endpoint
    return (
        message.contact.external_id if message.contact else "(deleted)",
        str(endpoint) if endpoint else "",
        endpoint.get_platform_display() if endpoint else "",
        reason.slug, reason.label, message.error_code, at, message.attempts, message.possible_duplicate,
        message.provider_id, "; ".join(later),
    )  # fmt: skip
