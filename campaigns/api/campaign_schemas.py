"""What the routes of campaigns take and give. A body with a field that is not named here is
refused; what is wrong with a value is said by the verbs, by path."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
)

from campaigns.api.message_schemas import choice, text, with_message_fields
from campaigns.channels import registry
from campaigns.draft_fields import CONTENTS_LIMIT, DESCRIPTION_LIMIT, NAME_LIMIT
from campaigns.models import AmbiguityPolicy, Campaign, Run, Tone
from campaigns.models.campaigns import target_kinds
from campaigns.sending import EXPIRES_AFTER_MINS, PER_SECOND_LIMIT, STARTS_WITHIN_MINS
from tenants.api.schemas import Body


def _only_text(value: Any) -> Any:
    """Numbers would be read as seconds since 1970."""
    if value is None or isinstance(value, str):
        return value
    raise ValueError("Send a date and time with its zone, such as 2026-12-04T18:30:00+05:30")


# --- contents -------------------------------------------------------------------------------------
class Content(BaseModel):
    """The message in one language: these fields and those of the campaign's channel."""

    model_config = ConfigDict(extra="allow", json_schema_extra=with_message_fields)

    language: StrictStr | None = Field(
        None, description="Such as en, hi or pt-BR. Without it that of the workspace."
    )
    variant: StrictStr | None = Field(None, description="A capital letter; A without it.")
    tone: Annotated[StrictStr | None, choice(["", *Tone.values], or_null=True)] = None


class ContentOut(BaseModel):
    """The fields of the campaign's channel that are empty are left out."""

    model_config = ConfigDict(extra="allow", json_schema_extra=with_message_fields)

    language: str
    variant: str
    tone: str


# --- campaigns ------------------------------------------------------------------------------------
class Schedule(Body):
    """What is left out stays as it is."""

    schedule_type: Annotated[StrictStr | None, choice(Campaign.Schedule.values)] = None
    scheduled_at: Annotated[AwareDatetime | None, BeforeValidator(_only_text)] = Field(
        None,
        description="When it goes out; of a series, when it begins. With a zone (RFC 3339).",
    )
    time_zone: StrictStr | None = Field(
        None,
        description="On whose clocks a series goes out, such as Asia/Kolkata. Without it that of "
        "the workspace. Alone it keeps the time on the clock.",
    )
    recurrence_rule: Annotated[
        StrictStr | None, text(512, "Of a series: an RRULE of RFC 5545, FREQ=WEEKLY;BYDAY=FR.")
    ] = None
    skip_dates: list[StrictStr] | None = Field(
        None, description="Days on which a series is not sent, such as 2026-12-25."
    )


class CampaignChanges(Schedule):
    """Only the fields that are sent are changed. A null empties a field."""

    name: Annotated[StrictStr | None, text(NAME_LIMIT, "Only your team sees it.")] = None
    description: Annotated[StrictStr | None, text(DESCRIPTION_LIMIT, "What it is for.")] = None
    channel_type: Annotated[StrictStr | None, choice(list(registry.CHANNELS))] = None
    tone: Annotated[StrictStr | None, choice(["", *Tone.values], or_null=True)] = None
    contents: list[Content] | None = Field(
        None,
        description="The message, once for each language. The list replaces all contents.",
        json_schema_extra={"maxItems": CONTENTS_LIMIT},
    )
    audience_rule: dict[str, Any] | None = Field(
        None,
        description='Who gets it: {} for everyone, {"field": "country", "op": "is", "value": '
        '"IN"}, or all, any and not of such rules.',
    )
    target_kind: Annotated[
        StrictStr | None,
        choice(
            [key for key, _ in target_kinds()],
            "People, or a broadcast to subscribers.",
            or_null=True,
        ),
    ] = None
    target: StrictStr | None = Field(None, description="Of a broadcast: its topic or condition.")
    per_second: StrictInt | None = Field(
        None,
        description="Messages per second; null for no limit.",
        json_schema_extra={"minimum": 1, "maximum": PER_SECOND_LIMIT},
    )
    avoid_quarter_hours: StrictBool | None = None
    start_within_mins: StrictInt | None = Field(
        None,
        description="How late a send may start.",
        json_schema_extra={"minimum": 1, "maximum": max(STARTS_WITHIN_MINS)},
    )
    expires_after_mins: StrictInt | None = Field(
        None,
        description="When a send ends whatever is left; null for never.",
        json_schema_extra={"minimum": 1, "maximum": max(EXPIRES_AFTER_MINS)},
    )
    ambiguity_policy: Annotated[
        StrictStr | None,
        choice(AmbiguityPolicy.values, "What a crash left unknown is held, or sent again."),
    ] = None


class NewCampaign(CampaignChanges):
    """A draft. It may be unfinished: the forecast says what is missing."""

    name: Annotated[StrictStr, text(NAME_LIMIT, "Only your team sees it.")]


class CampaignOut(Schema):
    id: int
    name: str
    description: str
    status: Annotated[str, choice(Campaign.Status.values)]
    channel_type: str
    tone: str
    audience_rule: dict[str, Any]
    target_kind: str
    target: str
    schedule_type: Annotated[str, choice(Campaign.Schedule.values)]
    scheduled_at: datetime | None
    time_zone: str
    recurrence_rule: str
    created_by: int | None = Field(description="The person's id; null for an API key.")
    updated_by: int | None
    created_at: datetime
    updated_at: datetime


class RunOut(Schema):
    """One send of the campaign."""

    id: int
    state: Annotated[str, choice(Run.State.values)]
    scheduled_for: datetime
    started_at: datetime | None
    finished_at: datetime | None
    audience_size: int | None = Field(description="Null until it is known.")
    counts: dict[str, int] = Field(
        description="Recipients by reason. The sum is the size of the audience."
    )
    last_error: str


class CampaignDetail(CampaignOut):
    skip_dates: list[str]
    per_second: int | None
    avoid_quarter_hours: bool
    start_within_mins: int
    expires_after_mins: int | None
    ambiguity_policy: str
    contents: list[ContentOut]
    runs: list[RunOut] = Field(description="The newest 20 sends, the newest first.")


# --- before a send --------------------------------------------------------------------------------
class PreviewFor(Body):
    external_user_id: StrictStr | None = Field(
        None, description="Whose preview it is. Without it a member of the audience."
    )


class PreviewOut(Schema):
    channel_type: str
    external_user_id: str | None
    language: str
    variant: str
    payload: dict[str, Any] = Field(description="The message as it is filled in for the person.")
    size_bytes: int
    limit_bytes: int
    problems: dict[str, str] = Field(description="Texts that could not be personalised, and why.")


class FindingOut(Schema):
    severity: Annotated[str, choice(["error", "warning", "note"], "Errors stop a send.")]
    field: str
    detail: str


class Forecast(Schema):
    audience_size: int | None = Field(description="Null for a broadcast: only the provider knows.")
    counts: dict[str, int] = Field(
        description="Recipients by reason, `pending` for those who will be sent to. The sum is the "
        "size of the audience."
    )
    findings: list[FindingOut]
