"""The second factor: names and words for passkeys, and secrets that are encrypted at rest."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants import secrets
from tenants.models import User

UNREADABLE = gettext_lazy(
    "Codes cannot be checked at the moment: this server lost the key that protects them. Sign in "
    "with a passkey, or ask the person who runs this PushPilot to put the key back."
)


class AuthenticatorUnreadable(ValidationError, PermissionDenied):
    """None of ENCRYPTION_KEYS fits: an error of the field in a form, a 403 on a page that shows
    codes."""

    silent_variable_failure = True


class MFAAdapter(DefaultMFAAdapter):
    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": gettext_lazy("That did not match. Try again with the newest code."),
        "unverified_email": gettext_lazy(
            "First confirm or remove the e-mail addresses that are not confirmed yet."
        ),
        "add_email_blocked": gettext_lazy(
            "Turn two-factor sign-in off before you add an address, and on again after confirming "
            "it."
        ),
        "cannot_generate_recovery_codes": gettext_lazy(
            "Recovery codes need an authenticator app or a passkey first."
        ),
    }

    def encrypt(self, text: str) -> str:
        return secrets.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Raises AuthenticatorUnreadable under a wrong key."""
        try:
            return secrets.decrypt(encrypted_text)
        except secrets.SecretUnreadable as error:
            raise AuthenticatorUnreadable(UNREADABLE) from error

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:
        count = Authenticator.objects.filter(user=user, type=type).count()
        if count:
            return _("Passkey %(number)s") % {"number": count + 1}
        return _("My passkey")

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {"id": context.request.get_host().partition(":")[0], "name": "PushPilot"}


# What fido2 2.2 and allauth 65.21 raise while they take apart a credential that nobody's device
# made.
MALFORMED = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    struct.error,
    InvalidSignature,
    UnsupportedAlgorithm,
    NotImplementedError,
    RecursionError,
)


@contextlib.contextmanager
def passkey_checked() -> Iterator[None]:
    """Whatever is wrong with a passkey's answer is an error of the form, in words that fit."""
    try:
        yield
    except (ValidationError, *MALFORMED) as error:
        if isinstance(error, ValidationError) and error.code != "incorrect_code":
            raise
        raise ValidationError(
            _("This passkey did not work. Please try again, or choose another way."),
            "passkey_refused",
        ) from error


class PasskeyAnswer:
    """Beside one of allauth's forms that check who holds a passkey."""

    def clean_credential(self) -> Authenticator:
        with passkey_checked():
            return super().clean_credential()  # type: ignore[misc]


class PasskeyLoginForm(PasskeyAnswer, LoginWebAuthnForm):
    pass


class PasskeyStepForm(PasskeyAnswer, AuthenticateWebAuthnForm):
    pass


class PasskeyReauthenticateForm(PasskeyAnswer, ReauthenticateWebAuthnForm):
    pass


class AddPasskeyForm(AddWebAuthnForm):
    name = forms.CharField(
        required=False,
        max_length=100,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("To tell your passkeys apart, e.g. “Work laptop”."),
    )
    passwordless = forms.BooleanField(
        required=False,
        initial=True,
        label=gettext_lazy("Sign in with it alone, without a password"),
        help_text=gettext_lazy(
            "Your device asks for a fingerprint, face or PIN. Otherwise it is a second step after "
            "the password."
        ),
    )

    def clean(self) -> dict[str, Any]:
        with passkey_checked():
            cleaned = dict(super().clean())
            if "credential" in cleaned:
                # Kept as it came, and allauth reads it like this on every page of passkeys.
                bool(Authenticator(type="webauthn", data=cleaned).wrap().is_passwordless)
            return cleaned


# The parts of an authenticator's data that allauth encrypts with the adapter.
SEALED = {"secret", "seed"}
BATCH = 100  # rows locked at once


def reseal_authenticators(*, dry_run: bool = False) -> secrets.Rotation:
    """Move every TOTP secret and recovery seed to the first of ENCRYPTION_KEYS. May be repeated
    and interrupted."""
    rotation = secrets.Rotation()
    rows = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN)
    pks = list(rows.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(pks), BATCH):
        with transaction.atomic():
            # Locked: a recovery code that is used meanwhile must stay used.
            locked = rows if dry_run else rows.select_for_update()
            for authenticator in locked.filter(pk__in=pks[start : start + BATCH]).order_by("pk"):
                _reseal(authenticator, rotation, dry_run)
    return rotation


def _reseal(authenticator: Authenticator, rotation: secrets.Rotation, dry_run: bool) -> None:
    before = rotation.moved
    for name in SEALED & authenticator.data.keys():
        where = f"user {authenticator.user_id}, authenticator {authenticator.pk}: {name}"
        authenticator.data[name] = rotation.fresh(authenticator.data[name], where)
    if rotation.moved > before and not dry_run:
        authenticator.save(update_fields=["data"])
