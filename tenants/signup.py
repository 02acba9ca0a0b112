"""The form of the sign-up page, and what it shares with the API's."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import SignupForm as AllauthSignupForm
from django.db import IntegrityError, transaction
from django.http import HttpRequest


class OncePerAddress:
    """Beside one of allauth's sign-up forms: of two posts with one address the slower one finds the account there.

    Allauth asks only before it saves, and the unique index would answer with a 500.
    """

    account_already_exists: bool

    def try_save(self, request: HttpRequest) -> Any:
        try:
            with transaction.atomic():
                return super().try_save(request)  # type: ignore[misc]
        except IntegrityError:
            self.account_already_exists = True
            return super().try_save(request)  # type: ignore[misc]


class SignupPageForm(OncePerAddress, AllauthSignupForm):
    pass
