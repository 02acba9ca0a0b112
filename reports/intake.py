"""Events come in: bounded, judged one by one, and durable before their sender hears that they are.

Receive fast, digest later: this module writes one row per request and rings a bell;
reports.digest does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

import msgspec
from django.core.cache import cache
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from msgspec import Meta, Raw, Struct

from campaigns.models import Run
from pushpilot.lib import wake
from pushpilot.lib.batches import Rejection, split
from pushpilot.lib.bounded import (
    OutOfBounds,
    check_id,
    check_json,
    check_line,
    check_text,
    check_zoned,
    true_moment,
)
from pushpilot.lib.display import format_number
from pushpilot.lib.problems import Problem
from pushpilot.lib.signing import is_of_a_test, read_reference
from reports import effects
from reports.allowance import allowance
from reports.models import InboxBatch
from tenants import identity
from tenants.keys import KnownKey
from tenants.models import SANDBOX, ApiKey, Workspace
from tenants.scope import every_workspace, scope
from tenants.secrets import SecretUnreadable

BATCH_LIMIT_EVENTS = 500
BATCH_LIMIT_BYTES = 512 * 1024
EVENT_LIMIT_BYTES = 32 * 1024
METADATA_TEXT_LIMIT = 8 * 1024
_BELL = "digest-bell"

logger = logging.getLogger(__name__)

Type = Literal[
    "delivered", "opened", "clicked", "converted", "subscribed", "unsubscribed", "failed", "custom"
]
Channels = Literal["", "app_push", "web_push", "sms", "email", "whatsapp", "all"]


class PostedEvent(Struct, forbid_unknown_fields=True):
    """One event as an SDK sends it."""

    event_id: Annotated[
        str,
        Meta(
            description="The SDK's own id of this event, 1 to 100 characters. A repeated id "
            "counts once."
        ),
    ]
    type: Type
    name: Annotated[
        str, Meta(description="What a custom event is called, e.g. `order_placed`.")
    ] = ""
    ref: Annotated[
        str, Meta(description="The push's `data.pp_ref`: which message this is about.")
    ] = ""
    external_user_id: Annotated[
        str, Meta(description="The person's id in your system, when there is no `ref`.")
    ] = ""
    identity_hash: Annotated[
        str,
        Meta(
            description="Your server's HMAC of `external_user_id`: with a public key the proof "
            "that it is theirs."
        ),
    ] = ""
    channel: Annotated[
        Channels,
        Meta(
            description="What a person subscribed to or unsubscribed from; `all` are all channels, "
            "those of later too. Default: the channel of the message in `ref`, else `app_push`."
        ),
    ] = ""
    occurred_at: Annotated[
        datetime | None,
        Meta(description="When it happened, by the device's clock, with time zone. Default: now."),
    ] = None
    metadata: Annotated[
        dict[str, Any], Meta(description="Device, OS, app version and the like; 8 levels deep.")
    ] = {}


class PostedBatch(Struct):
    """A batch of events, each judged by itself."""

    batch: Annotated[list[PostedEvent], Meta(min_length=1, max_length=BATCH_LIMIT_EVENTS)]
    sent_at: Annotated[
        datetime | None,
        Meta(description="The device's clock when it sent this: corrects `occurred_at`."),
    ] = None


class Ignored(Struct):
    """An event that is taken and changes no message and no person: its place, a word for
    programs, a sentence. One about a test notification is not even stored."""

    index: int
    code: str
    reason: str
    part: Annotated[
        Literal["event", "ref"],
        Meta(description="`ref`: only its reference is ignored, the event itself counts."),
    ] = "event"


class Receipt(Struct):
    """The answer: how many events are taken, which are not, and which taken events change
    nothing."""

    accepted: int
    rejected: list[Rejection]
    ignored: list[Ignored] = []


class AcceptedEvent(Struct, array_like=True):
    """An event that passed, as it lies in an InboxBatch: every field bounded, its time by our
    clock."""

    event_id: str
    type: str
    name: str
    ref: str
    external_user_id: str
    occurred_at: datetime
    metadata: dict[str, Any]
    # Who sent it may speak for `external_user_id`: the customer's server did, or its hash says so.
    is_vouched: bool = False
    channel: str = ""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


_event = msgspec.json.Decoder(PostedEvent)
_moment = msgspec.json.Decoder(datetime | None)
_encoder = msgspec.json.Encoder()
_stored = msgspec.json.Decoder(list[AcceptedEvent])


def read_body(stream: _Readable, declared: int | None) -> bytes:
    """The request's body. Raises Problem 413 before reading more than the cap, whatever length
    was declared."""
    if declared is not None and declared > BATCH_LIMIT_BYTES:
        raise _too_large()
    parts, size = [], 0
    while size <= BATCH_LIMIT_BYTES and (part := stream.read(BATCH_LIMIT_BYTES + 1 - size)):
        parts.append(part)
        size += len(part)
    if size > BATCH_LIMIT_BYTES:
        raise _too_large()
    return b"".join(parts)


def receive(body: bytes, key: KnownKey, now: datetime) -> Receipt:
    """Judge each event, store the good ones as one committed row, ring the digest, then answer.

    Raises Problem: 400 no JSON, 413 too many events, 422 none of them acceptable, 429 the day's
    storage is used up. A DatabaseError passes through: then nothing is stored and the sender
    keeps the batch.
    """
    items, sent_at = _open(body)
    voucher = _Voucher(key, now)
    judged: dict[int, AcceptedEvent] = {}
    wrong_hashes: set[int] = set()
    rejected = []
    for index, item in enumerate(items):
        try:
            judged[index], has_wrong_hash = _judge(item, sent_at, now, voucher)
            wrong_hashes |= {index} if has_wrong_hash else set()
        except OutOfBounds as error:
            rejected.append(Rejection(index, error.code, error.detail))
    if key.is_test:
        rejected += _not_for_a_test_key(judged, key)
    refused = {rejection.index for rejection in rejected}
    accepted = [event for index, event in judged.items() if index not in refused]
    if not accepted:
        raise Problem(
            422,
            "no_event_acceptable",
            _("None of the events can be accepted. `rejected` says why."),
            rejected=msgspec.to_builtins(rejected),
        )
    kept = {index: event for index, event in judged.items() if index not in refused}
    # Before anything is stored: a look-up that fails ends in "not stored", and that must be true.
    ignored = _without_effect(kept, wrong_hashes, key, now)
    of_tests = {
        one.index for one in ignored if one.code == effects.OF_A_TEST and one.part == "event"
    }
    stored = [event for index, event in kept.items() if index not in of_tests]
    if stored:
        _store(stored, key, now)
    return Receipt(len(accepted), rejected, ignored)


WHY_IGNORED = {
    "ref_unknown": gettext_lazy("This ref is not valid. Send data.pp_ref of the push, unchanged."),
    "ref_foreign": gettext_lazy(
        "This ref belongs to another workspace. Send the event with a key of that workspace."
    ),
    effects.OF_A_TEST: gettext_lazy(
        "This ref belongs to a test notification. The event is not stored and counts nowhere."
    ),
    "ref_gone": gettext_lazy("The send that this ref belongs to was deleted."),
    "ref_of_a_broadcast": gettext_lazy(
        "This ref belongs to a broadcast, so it names nobody. Send external_user_id with proof."
    ),
    "ref_missing": gettext_lazy(
        "Without a ref the event counts for no message. Send data.pp_ref of the push."
    ),
    "contact_gone": gettext_lazy(
        "The contact of this message was deleted, so there is no consent to change."
    ),
    "person_unknown": gettext_lazy(
        "No contact has this external_user_id. Register a device of the person first."
    ),
    "identity_hash_wrong": gettext_lazy(
        "identity_hash does not fit external_user_id. Sign the id without blanks "
        "around it, with the identity secret of this workspace."
    ),
    "no_proof": gettext_lazy(
        "Consent changes only with a ref of a message, or with external_user_id and "
        "a proof: a live secret key, or identity_hash with a live write key."
    ),
    "older_word": gettext_lazy(
        "The person said something newer about this channel. If the device's clock "
        "is wrong, send sent_at with the batch, or leave occurred_at out, and send "
        "the event again with a new event_id."
    ),
    "waiting_full": gettext_lazy(
        "No contact has this external_user_id, and the workspace keeps no more "
        "consent of unknown people. Register a device of the person, then send the "
        "event with a new event_id."
    ),
}


def _without_effect(
    kept: dict[int, AcceptedEvent], wrong_hashes: set[int], key: KnownKey, now: datetime
) -> list[Ignored]:
    workspace = Workspace(pk=key.workspace_id)
    with scope(workspace):
        found = effects.without_effect(workspace, kept, wrong_hashes, now)
    return [
        Ignored(index, one.code, str(WHY_IGNORED[one.code]), one.part)
        for index, one in sorted(found.items())
    ]


class _Voucher:
    """Knows the people whose consent a request may change. Its secrets are read once, if an event
    brings a hash at all."""

    def __init__(self, key: KnownKey, now: datetime) -> None:
        self.key, self.now = key, now

    @cached_property
    def _secrets(self) -> list[str]:
        try:
            with every_workspace():
                return identity.secrets_of(self.key.workspace_id, self.now)
        except SecretUnreadable as error:
            detail = _(
                "The secret of identity verification cannot be read, so nothing was stored. Send "
                "the events again."
            )
            raise Problem(503, "not_stored", detail, headers={"Retry-After": "60"}) from error

    def speaks_for(self, external_user_id: str, identity_hash: str) -> bool:
        """The customer's server sent the event, or has signed the id. Never with a test key:
        people are real."""
        if self.key.is_test or not external_user_id:
            return False
        if self.key.kind == ApiKey.Kind.SECRET:
            return True
        return bool(identity_hash) and identity.is_proven(
            external_user_id, identity_hash, self._secrets
        )


def _not_for_a_test_key(judged: dict[int, AcceptedEvent], key: KnownKey) -> list[Rejection]:
    """A rejection for each event that is about neither a message of a sandbox nor a test: a test
    key leaves live figures alone."""
    runs: dict[int, int] = {}
    of_tests = set()
    for index, event in judged.items():
        numbers = None
        if event.ref:
            numbers = read_reference(event.ref, 4)
        if numbers is not None and numbers[0] == key.workspace_id:
            runs[index] = numbers[2]
            if is_of_a_test(numbers):
                of_tests.add(index)
    with every_workspace():
        sandboxed = set(
            Run.objects.filter(
                pk__in=set(runs.values()),
                workspace=key.workspace_id,
                connection__provider__endswith=SANDBOX,
            ).values_list("pk", flat=True)
        )
    detail = _(
        "A test key reports only on messages that went through the sandbox. Use a "
        "live key for everything else."
    )
    return [
        Rejection(index, "test_key", detail)
        for index in judged
        if runs.get(index) not in sandboxed and index not in of_tests
    ]


def read_stored(batch: InboxBatch) -> list[AcceptedEvent]:
    """The events of a stored batch. Raises msgspec.DecodeError or ValidationError if the row is
    damaged."""
    return _stored.decode(bytes(batch.events))


def bell_heard() -> None:
    """Call before looking for batches: a batch that is stored from now on rings again."""
    try:
        cache.delete(_BELL)
    # each cache has errors of its own; the bell's memory lasts some seconds at most
    except Exception:
        logger.warning("the cache does not answer", exc_info=True)


def _store(accepted: Sequence[AcceptedEvent], key: KnownKey, now: datetime) -> None:
    events = _encoder.encode(accepted)
    if key.kind == ApiKey.Kind.WRITE:
        allowance.take(key.workspace_id, len(events), now)
    batch = InboxBatch(
        workspace_id=key.workspace_id,
        key_id=key.id if key.id and key.id > 0 else None,
        received_at=now,
        not_before=now,
        count=len(accepted),
        events=events,
    )
    # not read from the database: its number is all that a scope needs
    with scope(Workspace(pk=key.workspace_id)):
        batch.save(force_insert=True)
    # One queued bell is enough for all batches stored before it is heard: each would cost a commit
    # of its own. The digest forgets it before it looks, so what this row skips the bell for is seen
    # by a look that is still to come.
    try:
        first = cache.add(_BELL, 1, timeout=5)
    except Exception:  # the row is stored: nothing after it may turn the answer into an error
        logger.warning("the cache does not answer", exc_info=True)
        first = True
    if first:
        wake.ring("digest")


def _open(body: bytes) -> tuple[list[Raw], datetime | None]:
    """The undecoded events and the sender's clock."""
    try:
        members, items = split(body, "batch")
    except msgspec.ValidationError as error:
        raise Problem(
            422,
            "invalid",
            _("Send an event object, or an object with a list of events in `batch`."),
        ) from error
    except ValueError as error:
        raise Problem(
            400, "malformed_json", _("The body is not valid JSON: %(error)s.") % {"error": error}
        ) from error
    except RecursionError as error:
        raise Problem(
            400, "nested_too_deeply", _("The body is nested too deeply. Flatten it.")
        ) from error
    if items is None:
        return [Raw(body)], None
    unknown = members.keys() - {"batch", "sent_at"}
    if unknown:
        named = sorted(unknown)[0][:50].encode("utf-8", "replace").decode()
        raise Problem(
            422,
            "invalid",
            _("“%(field)s” is not a field of a batch. A batch has `batch` and `sent_at`.")
            % {"field": named},
        )
    if len(items) > BATCH_LIMIT_EVENTS:
        raise Problem(
            413,
            "too_many_events",
            _("A batch has at most %(limit)s events. This batch has %(count)s.")
            % {"limit": BATCH_LIMIT_EVENTS, "count": format_number(len(items))},
        )
    if not items:
        raise Problem(422, "no_event_acceptable", _("The batch is empty."), rejected=[])
    return items, _sender_clock(members.get("sent_at"))


def _sender_clock(raw: Raw | None) -> datetime | None:
    if raw is None:
        return None
    try:
        moment = _moment.decode(raw)
        if moment:
            return check_zoned(moment, "sent_at")
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(
            422, "invalid", _("sent_at is not a time. Write it as 2026-11-21T09:00:00Z.")
        ) from error
    except OutOfBounds as error:
        raise Problem(422, "invalid", error.detail) from error


def _judge(
    item: Raw, sent_at: datetime | None, now: datetime, voucher: _Voucher
) -> tuple[AcceptedEvent, bool]:
    """The event, bounded, and whether it brings an identity hash that should prove its person
    and does not.

    Raises OutOfBounds with what is wrong and what to send instead.
    """
    size = len(memoryview(item))
    if size > EVENT_LIMIT_BYTES:
        raise OutOfBounds(
            "event_too_large",
            _("The event has %(size)s bytes. The limit is %(limit)s.")
            % {"size": format_number(size), "limit": format_number(EVENT_LIMIT_BYTES)},
        )
    try:
        event = _event.decode(item)
    except msgspec.ValidationError as error:
        raise OutOfBounds("invalid", f"{error}."[:300]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutOfBounds(
            "bad_text", (_("The event is not valid JSON: %(error)s.") % {"error": error})[:300]
        ) from error
    except RecursionError as error:
        raise OutOfBounds(
            "nested_too_deeply", _("The event is nested too deeply. Flatten it.")
        ) from error
    check_line(check_text(event.event_id, "event_id", 100, least=1), "event_id")
    check_line(check_text(event.name, "name", 200), "name")
    check_text(event.ref, "ref", 200)
    external_user_id = check_id(event.external_user_id, "external_user_id", 200)
    check_text(event.identity_hash, "identity_hash", 200)
    if event.channel and event.type not in effects.WORDS:
        raise OutOfBounds(
            "invalid",
            _("channel has no meaning for “%(type)s”. Leave it out.") % {"type": event.type},
        )
    if event.metadata:
        check_json(event.metadata, "metadata", text_limit=METADATA_TEXT_LIMIT)
    if event.occurred_at is not None:
        check_zoned(event.occurred_at, "occurred_at")
    moment = true_moment(event.occurred_at, sent_at, now)
    # The id as it is kept: a signature of another spelling of it may have been made for somebody
    # else.
    is_vouched = voucher.speaks_for(external_user_id, event.identity_hash)
    accepted = AcceptedEvent(
        event.event_id,
        event.type,
        event.name,
        event.ref,
        external_user_id,
        moment,
        event.metadata,
        is_vouched,
        event.channel,
    )
    has_hash = bool(external_user_id and event.identity_hash)
    return accepted, has_hash and not is_vouched and not voucher.key.is_test


def _too_large() -> Problem:
    return Problem(
        413,
        "body_too_large",
        _("A batch has at most %(limit)s bytes. Send it in parts.")
        % {"limit": format_number(BATCH_LIMIT_BYTES)},
    )
