"""What the routes of templates and drafts take and give; what is wrong with a value is said by the
verbs, by path."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from campaigns.api.message_schemas import choice, text, with_message_fields
from campaigns.channels import registry
from campaigns.content.drafting.brief import SLOTS
from campaigns.content.drafting.phrases import LANGUAGES
from campaigns.content.drafting.suggest import MOST_SEED, PROMPT_CHARS, SLOT_CHARS
from campaigns.models import Template, Tone
from tenants.api.schemas import Body

CATEGORIES, TONES = Template.Category.values, Tone.values


def _slots_schema(schema: dict[str, Any]) -> None:
    schema["properties"] = {name: {"type": "string", "maxLength": SLOT_CHARS} for name in SLOTS}
    schema["additionalProperties"] = False


# --- templates ------------------------------------------------------------------------------------
class TemplateChanges(BaseModel):
    """These fields and those of the template's channel. Only the fields that are sent are changed.
    A null empties a field."""

    model_config = ConfigDict(extra="allow", json_schema_extra=with_message_fields)

    name: Annotated[StrictStr | None, text(100, "Your team finds the template by it.")] = None
    channel: Annotated[StrictStr | None, choice(list(registry.CHANNELS))] = None
    language: Annotated[
        StrictStr | None, text(35, "Such as en, hi or pt-BR. Without it that of the workspace.")
    ] = None
    category: Annotated[StrictStr | None, choice(CATEGORIES)] = None
    tone: Annotated[StrictStr | None, choice(["", *TONES])] = None


class NewTemplate(TemplateChanges):
    """Name, channel and language identify a template. The channel says which texts it needs: a push
    has a title and a body."""

    name: Annotated[StrictStr, text(100, "Your team finds the template by it.")]
    category: Annotated[StrictStr, choice(CATEGORIES)]


class TemplateOut(BaseModel):
    """The fields of the template's channel that are empty are left out."""

    model_config = ConfigDict(extra="allow", json_schema_extra=with_message_fields)

    id: int
    workspace_id: int | None = Field(description="Null for the global library.")
    is_global: bool = Field(description="The global library can be read and copied, not changed.")
    name: str
    channel: str
    language: str
    category: Annotated[str, choice(CATEGORIES)]
    tone: str
    title: str = Field(description="What lists show: the title of a push.")
    created_at: datetime
    updated_at: datetime


# --- drafts ---------------------------------------------------------------------------------------
class Prompt(Body):
    prompt: Annotated[
        StrictStr,
        text(PROMPT_CHARS, "What the message is about, such as “Write a festive message”."),
    ]
    tone: Annotated[StrictStr | None, choice(["", *TONES])] = None
    language: StrictStr | None = Field(
        None, description=f"Without it that of the campaign. There are: {', '.join(LANGUAGES)}."
    )
    category: Annotated[StrictStr | None, choice(["", *CATEGORIES])] = None
    slots: dict[str, StrictStr] | None = Field(
        None,
        description="Values that go before those of the prompt; an empty one takes its slot out.",
        json_schema_extra=_slots_schema,
    )
    seed: StrictInt = Field(
        0,
        description="The same seed gives the same drafts, another one others.",
        json_schema_extra={"minimum": 0, "maximum": MOST_SEED},
    )


class DraftContent(BaseModel):
    """As `contents` of a campaign takes it."""

    model_config = ConfigDict(extra="allow", json_schema_extra=with_message_fields)

    language: str
    tone: str


class DraftOut(Schema):
    content: DraftContent
    template_id: int | None = Field(description="The template that it was made from.")


class Drafts(Schema):
    """How the prompt was read, and the drafts."""

    engine: str = Field(description="“templates”: made offline, of templates and phrases.")
    category: Annotated[str, choice(CATEGORIES)]
    tone: Annotated[str, choice(TONES)]
    slots: dict[str, str]
    seed: int
    drafts: list[DraftOut] = Field(description="At most three, which begin differently.")
