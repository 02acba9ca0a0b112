"""Reads the ledger for people: the rows of one run in pages, and those of all runs.

Both walk the ledger's unique index (run, contact, endpoint), so a page costs the same at the end
of ten million rows as at the beginning; that is why a run's rows come in the order of contacts.
No index knows a row's reason, code or moment: the engine's updates stay cheap only without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from campaigns.audience.reasons import Reason
from campaigns.models import Contact, Endpoint, Run
from delivery.models import Message, Shard

Place = tuple[int, int]
"""The key (contact, message) of the last row seen in a run."""
Spot = tuple[int, int, int]
"""The same among all runs, the newest first: (run, contact, message)."""

ROWS_LOOKED_AT = 100_000
"""What `walk` reads at most; then it says where to go on."""
STRIDE = 20_000
RUNS_AT_ONCE, RUNS_PROBED, PROBES = 200, 1_000, 20
SMALL_RUN, SMALL_RUNS = 500, 5_000  # rows of one, and of all that one query reads
RUN_COST = 20  # what looking for a run's rows costs, in rows that are read
# A run has forty columns, and thousands of runs may be passed by.
RUN_COLUMNS = (
    "campaign__name",
    "campaign__direct",
    "direct",
    "channel",
    "target_kind",
    "state",
    "tally",
    "audience_size",
    "started_at",
    "finished_at",
)
_CONTACT, _ENDPOINT = Message._meta.get_field("contact"), Message._meta.get_field("endpoint")
_RUN = Message._meta.get_field("run")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows. `reasons`: any of them; empty: all. `is_flying`: handed over and not answered
    yet, or none of these; None: both."""

    reasons: frozenset[Reason] = frozenset()
    code: str = ""
    contact_id: int | None = None
    attempted_after: datetime | None = None
    attempted_before: datetime | None = None
    is_flying: bool | None = None

    @property
    def has_time(self) -> bool:
        return self.attempted_after is not None or self.attempted_before is not None

    @property
    def needs_reading(self) -> bool:
        """Whether rows must be read to know."""
        return bool(self.reasons or self.code or self.has_time)

    def of(self, rows: QuerySet[Message, Message]) -> QuerySet[Message, Message]:
        given: dict[str, Any] = {}
        if self.reasons:
            given["reason__in"] = self.reasons
        if self.code:
            given["error_code"] = self.code
        if self.contact_id is not None:
            given["contact_id"] = self.contact_id
        if self.attempted_after is not None:
            given["attempted_at__gte"] = self.attempted_after
        if self.attempted_before is not None:
            given["attempted_at__lt"] = self.attempted_before
        return rows.filter(**given)

    def among(self, runs: QuerySet[Run, Run]) -> QuerySet[Run, Run]:
        """The runs that may have such rows, as far as their own columns tell."""
        found = runs.filter(started_at__isnull=False)
        is_open = Q(finished_at__isnull=True)
        if self.reasons:
            slugs = [reason.slug for reason in self.reasons]
            found = found.filter(is_open | Q(tally__has_any_keys=slugs))
        if self.attempted_after is not None:
            found = found.filter(is_open | Q(finished_at__gte=self.attempted_after))
        if self.attempted_before is not None:
            found = found.filter(started_at__lt=self.attempted_before)
        return found


# --- one run --------------------------------------------------------------------------------------
def rows_of(run: Run, asked: Asked, after: Place | None, most: int) -> list[Message]:
    """The first `most` of a run's rows behind a place, with contacts and endpoints. Reads as
    many rows as it takes."""
    places = None
    if asked.contact_id is None:
        places = _shards_with(run, asked.reasons)
    rows = asked.of(Message.objects.filter(run=run))
    if places is None:
        return with_people(_in_key_order(rows, after)[:most])
    return with_people(_in_shards(rows, after, places, most))


def with_people(rows: Iterable[Message]) -> list[Message]:
    """The rows with their contacts and endpoints.

    Not by joins: PostgreSQL merged a deep page with all contacts before it (91 ms instead of 3
    at the 800,000th row). Not by prefetch: for SQLite Django makes it a chain of ORs, which
    SQLite refuses from 1,000 rows on.
    """
    listed = list(rows)
    contacts = Contact.objects.in_bulk({row.contact_id for row in listed if row.contact_id})
    endpoints = Endpoint.objects.in_bulk({row.endpoint_id for row in listed if row.endpoint_id})
    for row in listed:
        _CONTACT.set_cached_value(row, contacts.get(row.contact_id or 0))
        _ENDPOINT.set_cached_value(row, endpoints.get(row.endpoint_id or 0))
    return listed


def in_flight(shards: Iterable[Shard]) -> Q | None:
    """The rows that were handed to the provider and have no answer yet, as a condition beside
    `reason=PENDING`: those in the workers' windows. None without one."""
    found: Q | None = None
    for shard in shards:
        if shard.window_from is not None:
            window = Q(run=shard.run_id, pk__range=(shard.window_from, shard.window_to))
            found = window if found is None else found | window
    return found


def _in_key_order(
    rows: QuerySet[Message, Message], after: Place | None
) -> QuerySet[Message, Message]:
    if after is not None:
        contact, message = after
        rows = rows.filter(contact_id__gte=contact).exclude(contact_id=contact, pk__lte=message)
    return rows.order_by("contact_id", "pk")


def _shards_with(run: Run, reasons: frozenset[Reason]) -> list[Place] | None:
    """(first id, last id) of the shards that hold rows of these reasons, in order, neighbours as
    one; None if the tallies cannot say so: rows that wait or were skipped before the cut are in
    no shard's tally."""
    if not reasons or any(reason.is_waiting for reason in reasons):
        return None
    known, places = 0, list[Place]()
    shards = (
        Shard.objects.filter(run=run)
        .order_by("first_id")
        .values_list("first_id", "last_id", "tally")
    )
    for first, last, tally in shards:
        rows = sum(tally.get(reason.slug, 0) for reason in reasons)
        known += rows
        if rows and places and places[-1][1] == first - 1:
            places[-1] = (places[-1][0], last)
        elif rows:
            places.append((first, last))
    is_ended = run.is_ended and run.finished_at is not None
    is_whole = known == run.count(*reasons) if is_ended else not run.count(*reasons)
    if is_whole:
        return places
    return None


def _in_shards(
    rows: QuerySet[Message, Message], after: Place | None, places: Iterable[Place], most: int
) -> list[Message]:
    """The first `most` rows at these places, in the order of their ids, which the audience was
    written in.

    One query each: for a list of ranges PostgreSQL walked the primary key from its beginning.
    """
    seen = after[1] if after is not None else 0
    found: list[Message] = []
    for first, last in places:
        if last > seen and len(found) < most:
            here = rows.filter(pk__gte=max(first, seen + 1), pk__lte=last)
            found += here.order_by("pk")[: most - len(found)]
    return found


# --- all runs -------------------------------------------------------------------------------------
def walk(
    runs: QuerySet[Run, Run], asked: Asked, after: Spot | None, most: int
) -> tuple[list[Message], Spot | None]:
    """(at most `most` rows, where to go on; None at the end). The newest run comes first, within
    it the order of contacts, or of ids where the tallies of shards tell where to look.

    Reads about ROWS_LOOKED_AT rows, whatever is asked: then fewer rows come, even none, and the
    place to go on.
    """
    if asked.contact_id is not None:
        return _walk_by_contact(runs, asked, after, most)
    found: list[Message] = []
    left = ROWS_LOOKED_AT
    for group in _groups(asked.among(runs), after):
        here = after[1:] if after is not None and group[0].pk == after[0] else None
        if len(group) == 1:
            rows, stop, cost = _look(group[0], asked, here, most + 1 - len(found), left)
        else:
            rows, cost = _look_into_all(group, asked, most + 1 - len(found))
            stop = None
        found += rows
        if len(found) > most:
            return with_people(found[:most]), _spot(found[most - 1])
        if stop is not None:
            return with_people(found), (group[-1].pk, *stop)
        left -= cost
        if left <= 0:
            return with_people(found), (group[-1].pk - 1, 0, 0)
    return with_people(found), None


def _spot(row: Message) -> Spot:
    return row.run_id, row.contact_id or 0, row.pk


def _walk_by_contact(
    runs: QuerySet[Run, Run], asked: Asked, after: Spot | None, most: int
) -> tuple[list[Message], Spot | None]:
    """As walk, for one contact: the index is asked for many runs at once."""
    ids = asked.among(runs).order_by("-pk").values_list("pk", flat=True)
    newest = after[0] + 1 if after is not None else None
    found: list[Message] = []
    following: Spot | None = None
    for _turn in range(PROBES):
        chunk = list((ids if newest is None else ids.filter(pk__lt=newest))[:RUNS_PROBED])
        rows = asked.of(Message.objects.filter(run__in=chunk))
        if after is not None:
            rows = rows.exclude(run=after[0], pk__lte=after[2])
        rows = _flying(rows, asked, chunk)
        found += rows.order_by("-run_id", "pk")[: most + 1 - len(found)]
        if len(found) > most or len(chunk) < RUNS_PROBED:
            break
        newest = chunk[-1]
    else:
        following = (newest - 1, 0, 0) if newest is not None else None
    shown = found[:most]
    known = Run.objects.select_related("campaign").only(*RUN_COLUMNS)
    by_id = known.in_bulk({row.run_id for row in shown})
    for row in shown:
        _RUN.set_cached_value(row, by_id[row.run_id])
    if len(found) > most:
        following = _spot(shown[-1])
    return with_people(shown), following


def _groups(runs: QuerySet[Run, Run], after: Spot | None) -> Iterator[list[Run]]:
    """Runs, the newest first: one that is large or begun by itself, small ones together."""
    rows = runs.select_related("campaign").only(*RUN_COLUMNS).order_by("-pk")
    newest = after[0] + 1 if after is not None else None
    while True:
        behind = rows if newest is None else rows.filter(pk__lt=newest)
        chunk = list(behind[:RUNS_AT_ONCE])
        group: list[Run] = []
        size = 0
        for run in chunk:
            is_begun = after is not None and run.pk == after[0]
            is_over = run.is_ended and run.finished_at is not None
            rows_most = run.audience_size or 0 if is_over else ROWS_LOOKED_AT
            is_alone = is_begun or rows_most > SMALL_RUN
            if group and (is_alone or size + rows_most > SMALL_RUNS):
                yield group
                group, size = [], 0
            if is_alone:
                yield [run]
            else:
                group.append(run)
                size += rows_most
        if group:
            yield group
        if len(chunk) < RUNS_AT_ONCE:
            return
        newest = chunk[-1].pk


def _look_into_all(group: list[Run], asked: Asked, most: int) -> tuple[list[Message], int]:
    """(the first rows of small runs, the cost)."""
    by_id = {run.pk: run for run in group}
    rows = _flying(asked.of(Message.objects.filter(run__in=list(by_id))), asked, list(by_id))
    listed = list(rows.order_by("-run_id", "contact_id", "pk")[:most])
    for row in listed:
        _RUN.set_cached_value(row, by_id[row.run_id])
    return listed, sum(run.audience_size or 0 for run in group) + RUN_COST * len(group)


def _look(
    run: Run, asked: Asked, after: Place | None, most: int, left: int
) -> tuple[list[Message], Place | None, int]:
    """(the first rows of one run behind a place, where it stopped because enough was read, the
    cost)."""
    if after == (0, 0):  # its beginning; a broadcast's row has no contact
        after = None
    rows = _flying(asked.of(Message.objects.filter(run=run)), asked, [run.pk])
    places = None
    is_over = run.is_ended and run.finished_at is not None
    # Only of a run that is over: the order of its rows must not change from page to page.
    if is_over and not (asked.code or asked.has_time):
        places = _shards_with(run, asked.reasons)
    stop, cost = None, RUN_COST + most
    if places is not None:
        listed = _in_shards(rows, after, places, most)
        cost += sum(min(last - first, STRIDE) for first, last in places[: most + 1])
    elif run.is_broadcast or not asked.needs_reading or asked.is_flying:
        listed = list(_in_key_order(rows, after)[:most])
    else:
        listed, stop, cost = _stride(run, rows, after, most, left)
    for row in listed:
        _RUN.set_cached_value(row, run)
    return listed, stop, cost


def _stride(
    run: Run, rows: QuerySet[Message, Message], after: Place | None, most: int, left: int
) -> tuple[list[Message], Place | None, int]:
    """As _look, for rows that must be read: STRIDE rows of the index at a time."""
    found: list[Message] = []
    cost = 0
    while len(found) < most:
        whole = _in_key_order(Message.objects.filter(run=run), after)
        ends = list(whole.values_list("contact_id", "pk")[STRIDE - 1 : STRIDE])
        here = _in_key_order(rows, after)
        if ends:
            contact, message = after = ends[0]
            here = here.filter(contact_id__lte=contact).exclude(contact_id=contact, pk__gt=message)
        found += here[: most - len(found)]
        cost += STRIDE
        if not ends:
            return found, None, cost
        if cost >= left and len(found) < most:
            return found, after, cost
    return found, None, cost


def _flying(
    rows: QuerySet[Message, Message], asked: Asked, runs: list[int]
) -> QuerySet[Message, Message]:
    if asked.is_flying is None:
        return rows
    leased = Shard.objects.filter(run__in=runs, window_from__isnull=False)
    flying = in_flight(leased)
    if flying is None:
        return rows.none() if asked.is_flying else rows
    return rows.filter(flying) if asked.is_flying else rows.exclude(flying)
