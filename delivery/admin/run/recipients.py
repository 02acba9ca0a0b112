"""The recipients of a run, one by one: pages by keyset, and the same rows as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.http import QueryDict
from django.utils.http import urlencode

from campaigns.audience.reasons import Reason, words_of
from campaigns.models import Contact, Run
from delivery import ledger
from delivery.admin import slots
from delivery.admin.references import reference_of
from delivery.admin.run.figures import Account
from delivery.codes import meaning
from delivery.models import Message
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
    reasons = frozenset[Reason]() if wanted.reason is None else frozenset({wanted.reason})
    asked = ledger.Asked(reasons, wanted.code, wanted.contact_id)
    return ledger.rows_of(run, asked, wanted.after, most)


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
        "tone": tone_of(reason),
        "code_meaning": meaning(run, reason, message.error_code) if message.error_code else "",
        "later": later,
    }


def tone_of(reason: Reason) -> str:
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
