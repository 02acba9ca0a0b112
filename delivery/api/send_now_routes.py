"""The API's routes for direct messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router, Schema, Status
from pydantic import AfterValidator, Field, model_validator

from campaigns.audience.reasons import Reason
from delivery import send_now
from delivery.models import DirectSend, Message
from delivery.notifications import (
    attempts_of,
    explained,
    explanation,
    flying_among,
    in_words,
    state_of,
)
from pushpilot.lib.bounded import check_id, check_json
from pushpilot.lib.languages import normalize
from pushpilot.lib.problems import Problem
from tenants import keys, roles
from tenants.api.errors import by_the_rules
from tenants.api.idempotency import idempotent
from tenants.api.schemas import Body, Plain
from tenants.api.security import Access, at_work, caller_of

DATA_TEXT_CHARS = 4_096  # of one value: no field of a message takes more
DATA_VALUES = 50  # at the top level
BIGGEST_ID = 2**63 - 1

router = Router(tags=["Notifications"])


def _checked_id(value: str) -> str:
    return check_id(value, "It", 200, least=1)


def _checked_data(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > DATA_VALUES:
        raise ValueError(f"It has {len(value)} values. The limit is {DATA_VALUES}.")
    check_json(value, "It", text_limit=DATA_TEXT_CHARS)
    return value


ExternalId = Annotated[str, AfterValidator(_checked_id)]
Data = Annotated[dict[str, Any], AfterValidator(_checked_data)]


class RecipientIn(Body):
    """A person, with data of their own."""

    external_user_id: ExternalId = Field(description="The person's id in your system.")
    data: Data = Field(default={}, description="Their own values, over those for everybody.")


class SendNow(Body):
    recipients: list[ExternalId | RecipientIn] = Field(
        min_length=1,
        max_length=send_now.PEOPLE_MOST,
        description="The people: their ids in your system, or objects with an id and data.",
    )
    template_id: int | None = Field(
        default=None,
        ge=1,
        le=BIGGEST_ID,
        description="A template of the workspace or of the library. Each person gets it in their "
        "language if it exists in it. Send either `template_id` or `content`.",
    )
    content: dict[str, Any] | None = Field(
        default=None,
        description="The message itself: the fields of the channel, for push `title`, `body`, "
        "`image_url`, `deep_link`, `buttons`, `data`, `ttl_secs` and so on.",
    )
    language: Annotated[str, Plain(35), AfterValidator(normalize)] | None = Field(
        default=None, description="Of `content`. Default: the language of the workspace."
    )
    data: Data = Field(
        default={}, description="Values for everybody. A text shows them as {{ data.code }}."
    )
    message_class: Literal["transactional", "marketing"] = Field(
        alias="class",
        description="`transactional` is what people need, such as a code or a receipt: nobody is "
        "left out because they opted out of marketing. `marketing` asks for every consent.",
    )
    channel: Literal["app_push", "web_push"] = "app_push"

    @model_validator(mode="after")
    def _one_text(self) -> SendNow:
        if (self.template_id is None) == (self.content is None):
            raise ValueError("Send either template_id or content.")
        return self

    def wanted(self) -> send_now.Wanted:
        people: list[tuple[str, Mapping[str, Any]]] = [
            (one, {}) if isinstance(one, str) else (one.external_user_id, one.data)
            for one in self.recipients
        ]
        return send_now.Wanted(
            channel=self.channel,
            message_class=self.message_class,
            people=people,
            data=self.data,
            template_id=self.template_id,
            content=self.content,
            language=self.language or "",
        )


class Accepted(Schema):
    id: int = Field(description="Ask for its trace with it.")
    accepted_at: datetime
    expires_at: datetime = Field(description="Who was not sent to by then gets no message.")
    recipients: int = Field(description="How many people were found.")
    unknown: list[str] = Field(description="The ids that no contact has. They get no message.")


class RecipientOut(Schema):
    """One message: a person has one for each of their devices."""

    external_user_id: str | None = Field(
        description="The person's id in your system. Null: the contact was deleted."
    )
    notification: int | None = Field(
        description="The message's id, for GET /notifications/{id}. Null: no worker took it yet."
    )
    address: str | None = Field(description="Platform and end of the address.")
    state: str = Field(
        description="As in GET /notifications: `pending`, `sending`, `scheduled`, `sent`, "
        "`failed`, `unknown` or `skipped`."
    )
    reason: str = Field(description="What became of the message, or what it waits for.")
    reason_in_words: str
    explanation: str = Field(description="Why it was or was not sent.")
    code: str = Field(description="The provider's last code, or ours; empty: none.")
    sentence: str = Field(description="The provider's own words of its last answer.")
    provider_id: str
    on_the_wire_at: datetime | None = Field(description="When it was handed to the provider.")
    answered_at: datetime | None = Field(description="When the provider had answered.")


class Trace(Accepted):
    message_class: str = Field(serialization_alias="class")
    channel: str
    progress: Literal["waiting", "paused", "sending", "done"] = Field(
        description="`waiting` for a worker, `paused` until somebody resumes direct messages in "
        "the console, `sending`, or `done`: no message waits any more."
    )
    counts: dict[str, int] = Field(description="{state: messages}. They add up.")
    messages: list[RecipientOut]


@router.post(
    "/notifications/send-now",
    response={202: Accepted},
    auth=Access(keys.CAMPAIGNS_SEND),
    summary="Send a message now",
)
@idempotent(roles.SEND)
def post_send_now(request: HttpRequest, body: SendNow) -> Status[dict[str, Any]]:
    """Send a message to one person, or to up to 500, at once. The answer comes when the request is
    stored; a worker sends the message within a second. Send an `Idempotency-Key`: then the request
    may be repeated, and nobody gets the message twice."""
    now = timezone.now()
    with at_work(request, roles.SEND) as workspace, by_the_rules():
        made_by = _name_of(request)
        send = send_now.accept(workspace, body.wanted(), made_by=made_by, now=now)
    return Status(202, _accepted(send))


@router.get(
    "/notifications/send-now/{int:send}",
    response=Trace,
    by_alias=True,
    auth=Access(keys.NOTIFICATIONS_READ),
    summary="What became of a message sent now",
)
def get_send_now(request: HttpRequest, send: int) -> dict[str, Any]:
    """Every recipient in one state with its reason, the provider's answer and the times."""
    with at_work(request, roles.VIEW):
        rows = DirectSend.objects.select_related("campaign", "shard")
        found = rows.filter(pk=send).first()
        if found is None:
            detail = _("There is no request %(id)s in this workspace.") % {"id": send}
            raise Problem(404, "send_not_found", detail)
        return _traced(found)


def _traced(send: DirectSend) -> dict[str, Any]:
    messages = send_now.messages_of(send)
    flying = flying_among(messages)
    lines = [_line(message, state_of(message, flying)) for message in messages]
    lines += [_waiting(name, send.campaign.channel) for name in send_now.waiting_for(send)]
    return {
        **_accepted(send),
        "recipients": len({message.contact_id for message in messages}) or len(send.people),
        "message_class": send.campaign.direct,
        "channel": send.campaign.channel,
        "progress": send_now.progress_of(send, messages),
        "counts": Counter(line["state"] for line in lines),
        "messages": lines,
    }


def _line(message: Message, state: str) -> dict[str, Any]:
    attempts = attempts_of(message)
    return {
        "external_user_id": message.contact.external_id if message.contact is not None else None,
        "notification": message.pk,
        "address": str(message.endpoint) if message.endpoint is not None else None,
        "state": state,
        **in_words(Reason(message.reason), message.run.channel),
        "explanation": explanation(message),
        "code": message.error_code,
        "sentence": attempts[-1].sentence if attempts else "",
        "provider_id": message.provider_id,
        "on_the_wire_at": message.sent_at,
        "answered_at": message.attempted_at,
    }


def _waiting(name: str, channel: str) -> dict[str, Any]:
    """A person who has no row in the ledger yet."""
    return {
        "external_user_id": name,
        "notification": None,
        "address": None,
        "state": "pending",
        **in_words(Reason.PENDING, channel),
        "explanation": explained(Reason.PENDING, channel),
        "code": "",
        "sentence": "",
        "provider_id": "",
        "on_the_wire_at": None,
        "answered_at": None,
    }


def _accepted(send: DirectSend) -> dict[str, Any]:
    return {
        "id": send.pk,
        "accepted_at": send.accepted_at,
        "expires_at": send.expires_at,
        "recipients": len(send.people),
        "unknown": send.unknown,
    }


def _name_of(request: HttpRequest) -> str:
    caller = caller_of(request)
    if caller.key is not None:
        return f"API key “{caller.key.name}”"
    return caller.person.email
