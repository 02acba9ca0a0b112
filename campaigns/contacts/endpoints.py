"""Devices come, move and go: what an app or a server says about them, and what time says.

A provider's verdict retires an endpoint in delivery.engine.record.retire; everything else that
may happen to one is here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy

from campaigns.channels import registry
from campaigns.contacts import consent
from campaigns.models import Contact, Endpoint, EndpointMove
from tenants import audit
from tenants.models import User, Workspace

QUIET = timedelta(days=30)  # an app that is in use registers its token at least monthly

RETIRING, CHUNK = timedelta(seconds=15), 10_000

STALE_REASON = "STALE_270_DAYS"
REMOVED_REASON = "REMOVED_BY_APP"
MISMATCH_REASON = "SENDER_ID_MISMATCH"  # of older versions: such an answer retires nobody any more
_WORDS = {
    STALE_REASON: gettext_lazy("Not seen for 270 days"),
    REMOVED_REASON: gettext_lazy("Signed out by the app"),
}
_FIELDS = (
    "contact",
    "kind",
    "platform",
    "opted_in",
    "is_active",
    "retired_at",
    "retired_reason",
    "last_seen_at",
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What somebody says about one device. `contact` is an external id; `platform` "" and
    `opted_in` None: not said. `word` is what its person has said about being written to, which
    is another thing than the device's permission."""

    contact: str
    channel: str
    kind: str
    value: str
    platform: str
    seen_at: datetime
    opted_in: bool | None = None
    word: consent.Word | None = None

    @property
    def address(self) -> tuple[str, str]:
        return self.channel, self.value


def register(
    workspace: Workspace,
    contact: str,
    channel: str,
    kind: str,
    value: str,
    platform: str,
    now: datetime,
) -> str:
    """The device is this contact's, and alive. Returns what that changed, a key of
    `register_all`'s answer."""
    (change,) = register_all(
        workspace, [Registration(contact, channel, kind, value, platform, now)], now
    )
    return change


@transaction.atomic
def register_all(
    workspace: Workspace, registrations: Sequence[Registration], now: datetime
) -> Counter[str]:
    """Take over what is said about devices, each at most once. A contact that is not known is
    created.

    Returns {change: devices}: created; refreshed; moved (it was another contact's, which
    EndpointMove remembers); returned (it was retired, and is reached again); outdated (we know
    better: it was seen, or retired, later than `seen_at`), which changes nothing, so that a
    server may send its whole list every night. Call inside the workspace's scope.
    """
    said = {registration.address: registration for registration in registrations}
    contacts = _contacts(workspace, said.values(), now)
    known = _known(workspace, said)
    fresh = sorted(said.keys() - known.keys())
    made = [_made(workspace, said[address], contacts, now) for address in fresh]
    Endpoint.objects.bulk_create(made, ignore_conflicts=True)
    # Read again: another request may have registered one of them first, for somebody else.
    known |= _known(workspace, fresh) if fresh else {}
    changes: Counter[str] = Counter()
    changed, moves = [], []
    for address, registration in sorted(said.items()):
        endpoint = known[address]
        owner = contacts[registration.contact]
        if address in fresh and endpoint.contact_id == owner.pk:
            changes["created"] += 1
            continue
        change = _change(endpoint, registration, owner)
        changes[change] += 1
        if change == "outdated":
            continue
        if change == "moved":
            moves.append(_move(endpoint, owner, now))
        changed.append(_renewed(endpoint, registration, owner))
    Endpoint.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["workspace", "channel", "value"],
        update_fields=_FIELDS,
    )
    EndpointMove.objects.bulk_create(moves)
    if words := [
        registration.word for registration in said.values() if registration.word is not None
    ]:
        consent.record(workspace, words)
    return changes


def _contacts(
    workspace: Workspace, said: Iterable[Registration], now: datetime
) -> dict[str, Contact]:
    """{external id: contact}, made if it is not known, and seen when its devices were."""
    seen: dict[str, datetime] = {}
    for registration in said:
        seen[registration.contact] = max(
            registration.seen_at, seen.get(registration.contact, registration.seen_at)
        )
    # Locked before any endpoint and in key order, as events lock them (reports.digest): else the
    # two deadlock.
    rows = Contact.objects.filter(workspace=workspace, external_id__in=seen).only(
        "external_id", "last_seen_at"
    )
    mine = rows.select_for_update(no_key=True).order_by("pk")
    found = {contact.external_id: contact for contact in mine}
    missing = sorted(seen.keys() - found.keys())
    if missing:
        Contact.objects.bulk_create(
            [
                Contact(
                    workspace=workspace,
                    external_id=external_id,
                    created_at=now,
                    last_seen_at=seen[external_id],
                )
                for external_id in missing
            ],
            ignore_conflicts=True,
        )
        found |= {contact.external_id: contact for contact in mine.all()}
        consent.adopt(workspace, missing)
    later = [
        one
        for key, one in found.items()
        if one.last_seen_at is None or one.last_seen_at < seen[key]
    ]
    for contact in later:
        contact.last_seen_at = seen[contact.external_id]
    Contact.objects.bulk_update(later, ["last_seen_at"], batch_size=500)
    return found


def _known(
    workspace: Workspace, addresses: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Endpoint]:
    """These endpoints, locked, in one order everywhere: two requests about the same devices must
    not deadlock."""
    addresses = set(addresses)
    channels, values = {channel for channel, _ in addresses}, [value for _, value in addresses]
    rows = Endpoint.objects.filter(workspace=workspace, channel__in=channels, value__in=values)
    locked = (
        rows.select_for_update(no_key=True, of=("self",)).select_related("contact").order_by("pk")
    )
    return {
        (row.channel, row.value): row for row in locked if (row.channel, row.value) in addresses
    }


def _made(
    workspace: Workspace, said: Registration, contacts: dict[str, Contact], now: datetime
) -> Endpoint:
    return Endpoint(
        workspace=workspace,
        contact=contacts[said.contact],
        channel=said.channel,
        kind=said.kind,
        value=said.value,
        platform=said.platform,
        opted_in=said.opted_in is not False,
        last_seen_at=said.seen_at,
        created_at=now,
    )


def _change(endpoint: Endpoint, said: Registration, owner: Contact) -> str:
    known = [at for at in (endpoint.last_seen_at, _dead_since(endpoint)) if at is not None]
    if any(said.seen_at < at for at in known):
        return "outdated"
    if endpoint.contact_id != owner.pk:
        return "moved"
    if endpoint.is_active:
        return "refreshed"
    return "returned"


def _dead_since(endpoint: Endpoint) -> datetime | None:
    """A sighting before this moment does not overrule the retirement. None: any sighting
    overrules it."""
    if endpoint.retired_at is None or endpoint.retired_reason == MISMATCH_REASON:
        return None
    silence = registry.channel_of(endpoint.channel).stale_after or timedelta()
    if endpoint.retired_reason == STALE_REASON:
        return endpoint.retired_at - silence
    return endpoint.retired_at


def _renewed(endpoint: Endpoint, said: Registration, owner: Contact) -> Endpoint:
    endpoint.contact = owner
    endpoint.kind = said.kind
    endpoint.platform = said.platform or endpoint.platform
    endpoint.opted_in = endpoint.opted_in if said.opted_in is None else said.opted_in
    endpoint.is_active, endpoint.retired_at, endpoint.retired_reason = True, None, ""
    endpoint.last_seen_at = said.seen_at
    return endpoint


def _move(endpoint: Endpoint, owner: Contact, now: datetime) -> EndpointMove:
    return EndpointMove(
        workspace_id=endpoint.workspace_id,
        endpoint=endpoint,
        from_contact=endpoint.contact.external_id,
        to_contact=owner.external_id,
        at=now,
    )


@transaction.atomic
def unregister(
    workspace: Workspace, channels: Collection[str], values: Iterable[str], now: datetime
) -> int:
    """Somebody signed out: no more messages to these addresses until they are registered again.
    Returns how many were in use."""
    mine = Endpoint.objects.filter(
        workspace=workspace, channel__in=channels, value__in=set(values), is_active=True
    )
    locked = list(mine.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    gone = Endpoint.objects.filter(pk__in=locked)
    return gone.update(is_active=False, retired_at=now, retired_reason=REMOVED_REASON)


@dataclass(slots=True)
class Health:
    """The endpoints of one channel and platform. `active` = fresh + quiet + stale: what a send
    tries, opted out or not. `retired` is {reason: endpoints}."""

    channel: str
    platform: str
    fresh: int = 0  # seen in the last 30 days
    quiet: int = 0  # not for 30 days
    stale: int = 0  # not for 270 days
    opted_out: int = 0  # of the active ones: notifications are off
    retired: Counter[str] = field(default_factory=Counter)

    @property
    def active(self) -> int:
        return self.fresh + self.quiet + self.stale


def health(workspace: Workspace, now: datetime) -> list[Health]:
    """What the workspace's endpoints are worth, per channel and platform, the largest first.
    Reads each of them once: a million take 0.3 s on PostgreSQL."""
    seen = Coalesce("last_seen_at", "created_at")
    age = Case(
        When(is_active=False, then=Value("retired")),
        When(_is_stale(now), then=Value("stale")),
        When(seen__lt=now - QUIET, then=Value("quiet")),
        default=Value("fresh"),
    )
    rows = (
        Endpoint.objects.filter(workspace=workspace)
        .order_by()
        .annotate(seen=seen)
        .annotate(age=age)
    )
    kinds = rows.values("channel", "platform", "age", "opted_in", "retired_reason").annotate(
        n=Count("pk")
    )
    found: dict[tuple[str, str], Health] = {}
    for row in kinds:
        place = row["channel"], row["platform"]
        one = found.setdefault(place, Health(*place))
        if row["age"] == "retired":
            one.retired[row["retired_reason"]] += row["n"]
            continue
        setattr(one, row["age"], getattr(one, row["age"]) + row["n"])
        one.opted_out += 0 if row["opted_in"] else row["n"]
    return sorted(
        found.values(),
        key=lambda one: (-one.active - one.retired.total(), one.channel, one.platform),
    )


def retired_words() -> dict[str, str]:
    """{reason: words} of why endpoints are retired, on any channel."""
    return {code: str(words) for code, words in _WORDS.items()} | {
        code: str(words)
        for one in registry.CHANNELS.values()
        for code, words in one.retired_words.items()
    }


def _is_stale(now: datetime) -> Q:
    """Not seen for longer than the channel allows; an endpoint that was never seen counts from
    when it was made."""
    found = Q(pk__in=())
    for channel in registry.CHANNELS.values():
        if channel.stale_after is not None:
            moment = now - channel.stale_after
            is_silent = Q(last_seen_at__lt=moment) | Q(last_seen_at=None, created_at__lt=moment)
            found |= Q(channel=channel.key) & is_silent
    return found


def stale(workspace: Workspace, now: datetime) -> QuerySet[Endpoint, Endpoint]:
    """Endpoints in use that were silent for too long."""
    return Endpoint.objects.filter(_is_stale(now), workspace=workspace, is_active=True)


def retire_stale(workspace: Workspace, *, by: User, now: datetime) -> int:
    """Retire what was silent for too long. Returns how many; registering one again brings it back.

    Chunk by chunk, each committed, for at most RETIRING: 320,000 took 14 s on PostgreSQL, for
    which no worker may wait and no request can. What is left then is for the next call.
    """
    silent = stale(workspace, now)
    until, gone = timezone.now() + RETIRING, 0
    try:
        while (
            ids := list(silent.order_by("pk").values_list("pk", flat=True)[:CHUNK])
        ) and timezone.now() < until:
            # Silent still: one of them may have registered since.
            chunk = silent.filter(pk__in=ids)
            gone += chunk.update(is_active=False, retired_at=now, retired_reason=STALE_REASON)
    finally:
        if gone:
            detail = {"devices": gone, "reason": STALE_REASON}
            audit.record(workspace, "devices retired", f"{gone:,} devices", by=by, detail=detail)
    return gone
