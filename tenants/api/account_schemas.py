"""What the routes of a person's account take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from tenants.api.schemas import Body, Code, Email, FullName, Password, Person, Plain, Token

# What a browser's navigator.credentials gives, as toJSON() writes it.
Credential = dict[str, Any]


class Account(Person):
    created_at: datetime
    has_password: bool = Field(description="False for a sign-in with Google or Apple alone.")
    second_factors: list[str] = Field(description="Of totp, recovery_codes and webauthn.")


class AccountChanges(Body):
    """Only the fields that are sent are changed."""

    full_name: FullName = ""


class NewProof(Body):
    password: Password | None = None
    code: Code | None = Field(None, description="Of the authenticator app, or a recovery code.")
    credential: Credential | None = Field(None, description="Of a passkey, made of `options`.")


class Proof(Schema):
    is_proved: bool
    methods: list[str] = Field(
        description="What you have, of password, totp, recovery_codes and webauthn."
    )
    options: dict[str, Any] | None = Field(
        description="For navigator.credentials.get, if you have a passkey and sent no proof."
    )


class PasswordChange(Body):
    current_password: Password | None = None
    new_password: Password


class Address(Body):
    email: Email


class PasswordReset(Body):
    key: Annotated[str, Plain(200)]
    new_password: Password


class EmailKey(Body):
    key: Annotated[str, Plain(200)]


# --- passkeys -------------------------------------------------------------------------------------
class EnrollPasskey(Body):
    """First without `credential`, then with the one that was made of the options."""

    passwordless: bool = Field(
        True, description="Sign in with it alone; false makes it a second step after the password."
    )
    credential: Credential | None = None
    name: Annotated[str, Plain(100, 0)] = Field("", description="To tell your passkeys apart.")


class PasskeyOptions(Schema):
    options: dict[str, Any] = Field(description="For navigator.credentials.create.")


class PasskeyOut(Schema):
    id: int
    name: str
    is_passwordless: bool
    created_at: datetime
    last_used_at: datetime | None


class PasskeyAdded(PasskeyOut):
    recovery_codes: list[str] = Field(
        description="Made with your first second factor, and shown this once."
    )


class PasskeySignIn(Body):
    """First without `credential`, then with the one that was made of the options."""

    second_factor_token: Token | None = Field(
        None, description="Of a sign-in that waits for its second factor."
    )
    passkey_token: Token | None = Field(None, description="Of the first answer.")
    credential: Credential | None = None


class PasskeyRequest(Schema):
    passkey_token: str = Field(description="To send with the credential, within five minutes.")
    options: dict[str, Any] = Field(description="For navigator.credentials.get.")
