"""What allauth's forms of accounts do here beside their own."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm as AllauthActivateTOTPForm
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.forms import SignupForm as AllauthSocialSignupForm
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from pushpilot.lib.compat.allauth import use_code
from tenants.access import owners_of
from tenants.models import User


class OncePerAddress:
    """Beside one of allauth's sign-up forms: an address that somebody merely claims is free, and
    of two posts with one address the slower one finds the account there.

    Allauth asks only before it saves, and the unique index would answer with a 500.
    """

    account_already_exists: bool

    def validate_unique_email(self, value: str) -> str:
        self.account_already_exists = bool(owners_of(value))
        email: str = get_adapter().validate_unique_email(value)
        return email

    def try_save(self, request: HttpRequest) -> Any:
        try:
            with transaction.atomic():
                return super().try_save(request)  # type: ignore[misc]
        except IntegrityError:
            self.account_already_exists = True
            return super().try_save(request)  # type: ignore[misc]


class SignupPageForm(OncePerAddress, AllauthSignupForm):
    pass


class SocialSignupForm(OncePerAddress, AllauthSocialSignupForm):
    pass


class ResetPasswordForm(AllauthResetPasswordForm):
    """Mails nobody the way into the account of somebody who only claims the address."""

    def clean_email(self) -> str:
        email: str = super().clean_email()
        owners = owners_of(email)
        self.users: list[User] = [user for user in self.users if user in owners]
        return email


class ActivateTOTPForm(AllauthActivateTOTPForm):
    """Takes a code of the authenticator app once, as signing in does. A person who watched it being
    typed cannot use it."""

    def clean_code(self) -> str:
        code: str = super().clean_code()
        app = TOTP(Authenticator(user=self.user, type=Authenticator.Type.TOTP))
        if not use_code(app, code):
            raise get_mfa_adapter().validation_error("incorrect_code")
        return code
