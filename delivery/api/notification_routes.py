"""Messages, one for each recipient of a send: what became of them, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Router, Schema

from campaigns.audience.reasons import Reason
from campaigns.models import Contact, Endpoint, Run
from delivery import ledger
from delivery.filters import NotificationFilters
from delivery.models import Message
from delivery.notifications import (
    STATES,
    attempts_of,
    explanation,
    flying_among,
    in_words,
    state_of,
)
from pushpilot.lib.lists import Walk
from pushpilot.lib.problems import Problem
from pushpilot.lib.spelling import fold
from tenants import keys, roles
from tenants.api.security import Access, at_work

router = Router(tags=["Notifications"])
READER = Access(keys.NOTIFICATIONS_READ)


class CampaignRef(Schema):
    id: int
    name: str


class NotificationOut(Schema):
    id: int
    state: str = Field(
        description="A group of reasons: `pending` (pending), `sending` (pending, and handed to "
        "the provider at this moment), `scheduled` (retry_scheduled, deferred), `sent` (accepted), "
        "`failed` (rejected, endpoint_gone), `unknown` (unknown, unknown_closed), `skipped` (all "
        "others: never handed over)."
    )
    reason: str = Field(description="What became of the message, or what it waits for.")
    reason_in_words: str
    campaign: CampaignRef | None = Field(description="Null: a direct message.")
    message_class: str | None = Field(
        serialization_alias="class",
        description="Of a direct message: `transactional` or `marketing`.",
    )
    run: int = Field(description="The send that it belongs to.")
    channel: str
    external_user_id: str | None = Field(
        description="The person's id in your system. Null: a broadcast, or a deleted contact."
    )
    address: str | None = Field(description="Platform and end of the address.")
    code: str = Field(description="The provider's last code, or ours; empty: none.")
    attempt_count: int = Field(
        description="Attempts that count; certainly undelivered ones do not."
    )
    attempted_at: datetime | None
    due_at: datetime | None = Field(description="When it is tried again.")
    revision: int | None = Field(description="The number of the text that was handed over.")
    provider_id: str
    possible_duplicates: int = Field(description="Copies that may have arrived before this one.")


class AttemptOut(Schema):
    at: datetime | None
    verdict: str = Field(
        description="What the answer means: `accepted`, `gone`, `wrong_sender`, `platform_broken`, "
        "`refused`, `payload_wrong`, `broken`, `row_later`, `later`, `maybe_later`, `ambiguous`; "
        "empty: recorded by an older version."
    )
    code: str
    sentence: str = Field(description="The provider's own words, without the address and keys.")
    meaning: str = Field(description="What the code means, in words.")
    revision: int | None


class EndpointOut(Schema):
    channel: str
    kind: str
    platform: str
    address: str = Field(description="Platform and end of the address.")
    is_active: bool
    retired_at: datetime | None
    retired_reason: str


class NotificationDetailOut(NotificationOut):
    explanation: str = Field(description="Why it was or was not sent.")
    endpoint: EndpointOut | None
    attempts: list[AttemptOut] = Field(
        description="The attempts, the oldest first. The last ten attempts that were not accepted "
        "are kept."
    )


NOTIFICATIONS = Walk(NotificationFilters, NotificationOut)


@router.get(
    "/notifications",
    **NOTIFICATIONS.route,
    by_alias=True,
    auth=READER,
    summary="What became of messages",
)
def list_notifications(request: HttpRequest) -> dict[str, Any]:
    """The newest send first. `campaign`, `run` and `external_user_id` are the quick ways in.
    `state`, `reason` and the times are looked for row by row: a page may hold fewer rows than
    asked for, even none, and still have a `next`. Follow `next` until it is null."""
    with at_work(request, roles.VIEW):
        return NOTIFICATIONS.page(request, Message.objects.none(), _walk, _told)


@router.get(
    "/notifications/{int:notification}",
    response=NotificationDetailOut,
    by_alias=True,
    auth=READER,
    summary="One message with its attempts",
)
def get_notification(request: HttpRequest, notification: int) -> dict[str, Any]:
    """Each attempt with the provider's own sentence."""
    with at_work(request, roles.VIEW):
        rows = Message.objects.select_related("contact", "endpoint", "run__campaign")
        rows = rows.select_related("run__connection").defer("run__connection__sealed")
        found = rows.filter(pk=notification).first()
        if found is None:
            detail = _("There is no message %(id)s in this workspace.") % {"id": notification}
            raise Problem(404, "notification_not_found", detail)
        return {**_told([found])[0], **_in_full(found)}


def _walk(
    given: dict[str, Any], spot: tuple[int, ...] | None, size: int
) -> tuple[list[Message], ledger.Spot | None]:
    runs = Run.objects.all()
    if given["campaign"]:
        runs = runs.filter(campaign=given["campaign"])
    if given["run"]:
        runs = runs.filter(pk=given["run"])
    asked = _asked(given)
    if asked is None:
        return [], None
    after = (spot[0], spot[1], spot[2]) if spot is not None else None
    return ledger.walk(runs, asked, after, size)


def _asked(given: dict[str, Any]) -> ledger.Asked | None:
    """None if no row can be meant."""
    reasons, is_flying = frozenset[Reason](), None
    if state := given["state"]:
        reasons = STATES[state]
        is_flying = {"pending": False, "sending": True}.get(state)
    if slug := given["reason"]:
        reason = Reason[slug.upper()]
        if reasons and reason not in reasons:
            return None
        reasons = frozenset({reason})
    contact = None
    if given["external_user_id"]:
        own = Contact.objects.filter(external_id=fold(given["external_user_id"]))
        contact = own.values_list("pk", flat=True).first()
        if contact is None:
            return None
    return ledger.Asked(
        reasons,
        contact_id=contact,
        attempted_after=given["attempted_after"],
        attempted_before=given["attempted_before"],
        is_flying=is_flying,
    )


def _told(messages: Sequence[Message]) -> list[dict[str, Any]]:
    flying = flying_among(messages)
    return [_row(message, state_of(message, flying)) for message in messages]


def _row(message: Message, state: str) -> dict[str, Any]:
    run = message.run
    return {
        "id": message.pk,
        "state": state,
        **in_words(Reason(message.reason), run.channel),
        "campaign": None if run.direct else {"id": run.campaign_id, "name": run.campaign.name},
        "message_class": run.direct or None,
        "run": run.pk,
        "channel": run.channel,
        "external_user_id": message.contact.external_id if message.contact is not None else None,
        "address": str(message.endpoint) if message.endpoint is not None else None,
        "code": message.error_code,
        "attempt_count": message.attempts,
        "attempted_at": message.attempted_at,
        "due_at": message.due_at,
        "revision": message.revision,
        "provider_id": message.provider_id,
        "possible_duplicates": message.possible_duplicate,
    }


def _in_full(message: Message) -> dict[str, Any]:
    return {
        "explanation": explanation(message),
        "endpoint": _endpoint(message.endpoint),
        "attempts": [
            {
                "at": one.at,
                "verdict": one.verdict,
                "code": one.code,
                "sentence": one.sentence,
                "meaning": one.meaning,
                "revision": one.revision,
            }
            for one in attempts_of(message)
        ],
    }


def _endpoint(endpoint: Endpoint | None) -> dict[str, Any] | None:
    if endpoint is None:
        return None
    return {
        "channel": endpoint.channel,
        "kind": endpoint.kind,
        "platform": endpoint.platform,
        "address": str(endpoint),
        "is_active": endpoint.is_active,
        "retired_at": endpoint.retired_at,
        "retired_reason": endpoint.retired_reason,
    }
