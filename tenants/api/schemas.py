"""What the routes of this layer take and give. A body with a field that is not named here is
refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from annotated_types import GroupedMetadata
from django.core.exceptions import ValidationError
from ninja import Schema
from pydantic import AfterValidator, ConfigDict, StringConstraints

from pushpilot.lib.bounded import check_text
from pushpilot.lib.languages import normalize
from tenants.roles import Role
from tenants.validators import (
    LONGEST_ADDRESS_CHARS,
    validate_address,
    validate_name,
    validate_time_zone,
)

LONGEST_TOKEN_CHARS = 8_000  # an id_token of Google has about 1,200


def _checked(validate: Callable[[str], Any]) -> AfterValidator:
    """One of Django's validators, for pydantic."""

    def check(value: str) -> str:
        try:
            validate(value)
        except ValidationError as error:
            raise ValueError(error.messages[0]) from error
        return value

    return AfterValidator(check)


@dataclass(frozen=True)
class Plain(GroupedMetadata):
    """Text that a database can hold, of `least` to `limit` characters."""

    limit: int
    least: int = 1
    strip: bool = True

    def __iter__(self) -> Iterator[Any]:
        yield from StringConstraints(
            min_length=self.least, max_length=self.limit, strip_whitespace=self.strip
        )
        yield AfterValidator(lambda value: check_text(value, "It", self.limit))


Email = Annotated[str, Plain(LONGEST_ADDRESS_CHARS), _checked(validate_address)]
Password = Annotated[str, Plain(1_000, strip=False)]
FullName = Annotated[str, Plain(150), _checked(validate_name)]
TimeZone = Annotated[str, Plain(64), _checked(validate_time_zone)]
Language = Annotated[str, Plain(35), AfterValidator(normalize)]
Token = Annotated[str, Plain(LONGEST_TOKEN_CHARS)]
Code = Annotated[str, Plain(64)]


class Body(Schema):
    model_config = ConfigDict(extra="forbid")


# --- signing in -----------------------------------------------------------------------------------
class Register(Body):
    email: Email
    password: Password
    full_name: FullName


class Login(Body):
    email: Email
    password: Password
    code: Code | None = None  # of the authenticator app, or a recovery code


class SecondFactor(Body):
    second_factor_token: Token
    code: Code


class NativeLogin(Body):
    id_token: Token
    # What the app gave the provider's SDK; its SHA-256 may stand in the token.
    nonce: Annotated[str, Plain(500)] | None = None
    # Apple tells it to the app, once, and never in the token.
    full_name: Annotated[str, Plain(150, 0), _checked(validate_name)] = ""
    code: Code | None = None


class Refresh(Body):
    refresh_token: Token


class Registered(Schema):
    detail: str
    mailed: bool  # a mail server took the mail with the link


class Tokens(Schema):
    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int  # seconds that the access token is good for


class Person(Schema):
    id: int
    email: str
    full_name: str
    auth_provider: str


class SignedIn(Tokens):
    user: Person


# --- workspaces -----------------------------------------------------------------------------------
class NewWorkspace(Body):
    name: Annotated[str, Plain(100, 2), _checked(validate_name)]
    time_zone: TimeZone = "UTC"
    default_language: Language = "en"


class WorkspaceChanges(Body):
    """Only the fields that are sent are changed."""

    # With time_zone: planned sends and series keep the clock that was shown, or all of them are
    # read on the new one.
    planned_sends: Literal["keep", "move"] = "keep"
    name: Annotated[str, Plain(100), _checked(validate_name)] = ""
    slug: Annotated[str, Plain(60)] = ""
    time_zone: TimeZone = ""
    default_language: Language = ""
    brand_colour: Annotated[str, Plain(7, 0)] = ""  # "" for PushPilot's own


class WorkspaceOut(Schema):
    id: int
    slug: str
    name: str
    role: str | None  # the person's; null for an API key
    plan: str
    time_zone: str
    default_language: str
    brand_colour: str
    created_at: datetime


class MemberOut(Schema):
    id: int
    user: Person
    role: Role
    joined_at: datetime


class RoleChange(Body):
    role: Role


class NewInvitation(Body):
    email: Email
    role: Role = Role.MEMBER


class InvitationOut(Schema):
    id: int
    email: str
    role: Role
    state: str  # pending, accepted, revoked or expired
    invited_by: str
    invited_at: datetime
    expires_at: datetime


class InvitationSent(InvitationOut):
    link: str  # to pass on if the mail does not arrive; shown this once
    mailed: bool
