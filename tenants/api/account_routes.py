"""A person's own account by API: name, password, address, and the proof that it is them. Allauth's
flows, with the rules of the console's pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.account.forms import ReauthenticateForm
from allauth.account.internal.flows import password_change, password_reset
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.internal.flows.reauthentication import (
    get_reauthentication_flows,
    is_reauthentication_required,
    reauthenticate_by_password,
)
from allauth.account.models import EmailAddress
from allauth.core import ratelimit
from allauth.headless.account.inputs import (
    ChangePasswordInput,
    ResetPasswordInput,
    VerifyEmailInput,
)
from allauth.mfa.base.forms import ReauthenticateForm as CodeForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth as webauthn
from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Router, Status

from pushpilot.lib.display import Words
from pushpilot.lib.problems import Problem, too_many_attempts
from tenants import mailing, people
from tenants.access import owners_of
from tenants.account_forms import ResetPasswordForm
from tenants.api import account_schemas, schemas, tokens
from tenants.api.auth import SIGN_INS, PerClient, fault_of
from tenants.api.security import AccessToken, caller_of
from tenants.mfa import PasskeyReauthenticateForm
from tenants.models import User

router = Router(tags=["Your account"])
PERSON = AccessToken()

_RESET_MAILED: dict[str, Words] = {
    "sent": gettext_lazy(
        "We have mailed a link to this address. Open it to choose a new password. If the address "
        "has no account, the mail says so instead."
    ),
    "kept": gettext_lazy(
        "This server has no mail server: the mail with the link is kept on the server, in its log "
        "or in the folder that EMAIL_URL names."
    ),
}
_LINK_MAILED: dict[str, Words] = {
    "sent": gettext_lazy(
        "We have mailed a link to this address. Open it to confirm the address, then sign in. If "
        "there is nothing to confirm, the mail says so instead."
    ),
    "kept": _RESET_MAILED["kept"],
}


# --- who you are ----------------------------------------------------------------------------------
@router.get("/user", response=account_schemas.Account, auth=PERSON, summary="Your account")
def get_user(request: HttpRequest) -> dict[str, Any]:
    return _told(caller_of(request).person)


@router.patch("/user", response=account_schemas.Account, auth=PERSON, summary="Change your name")
def change_user(request: HttpRequest, body: account_schemas.AccountChanges) -> dict[str, Any]:
    """Each of your workspaces reads in its trail what you were called before."""
    person = caller_of(request).person
    if "full_name" in body.model_fields_set:
        people.rename(person, body.full_name)
    return _told(person)


def _told(person: User) -> dict[str, Any]:
    kinds = set(Authenticator.objects.filter(user=person).values_list("type", flat=True))
    return {
        **{name: getattr(person, name) for name in schemas.Person.model_fields},
        "created_at": person.created_at,
        "has_password": person.has_usable_password(),
        "second_factors": sorted(kinds),
    }


# --- the proof that it is you ---------------------------------------------------------------------
@contextmanager
def as_proved(request: HttpRequest) -> Iterator[None]:
    """Allauth's flows on the session of a caller who has shown that it is them. Raises Problem
    403."""
    caller = caller_of(request)
    with tokens.own_session(request, caller.session_key):
        if is_reauthentication_required(request, app="allauth.mfa"):
            detail = _(
                "Prove first that it is you: send your password, a code or a passkey to "
                "/api/v1/auth/reauthenticate. The proof is good for five minutes."
            )
            raise Problem(403, "proof_needed", detail, methods=_methods(caller.person))
        yield


@router.post(
    "/reauthenticate",
    response=account_schemas.Proof,
    auth=PERSON,
    summary="Prove that it is you",
)
def reauthenticate(request: HttpRequest, body: account_schemas.NewProof) -> dict[str, Any]:
    """Send one of `password`, `code` and `credential`. Without any the answer says what you have,
    and holds the options for a passkey. Passkeys can be added and removed for five minutes."""
    person = caller_of(request).person
    _count(request, "reauthenticate", person)
    with tokens.own_session(request, caller_of(request).session_key):
        form = _proof(body, person)
        methods = _methods(person)
        options = None
        if form is None and "webauthn" in methods:
            options = webauthn.begin_authentication(person)["publicKey"]
        if form is None:
            return {"is_proved": False, "methods": methods, "options": options}
        if not form.is_valid():
            raise fault_of(form)
        if isinstance(form, ReauthenticateForm):
            reauthenticate_by_password(request)
        else:
            form.save()
        return {"is_proved": True, "methods": methods, "options": None}


def _proof(body: account_schemas.NewProof, person: User) -> Any:
    """The form that checks what was sent; None if nothing was."""
    if body.password is not None:
        return ReauthenticateForm({"password": body.password}, user=person)
    if body.code is not None:
        return CodeForm({"code": body.code}, user=person)
    if body.credential is not None:
        return PasskeyReauthenticateForm({"credential": body.credential}, user=person)
    return None


def _methods(person: User) -> list[str]:
    """What the person can prove it with: password, totp, recovery_codes, webauthn."""
    found: list[str] = []
    for flow in get_reauthentication_flows(person):
        found += [str(kind) for kind in flow.get("types", ["password"])]
    return found


def _count(request: HttpRequest, action: str, person: User) -> None:
    """Raises Problem 429 after allauth's limit of an action for one person."""
    if not ratelimit.consume(request, action=action, user=person):
        raise too_many_attempts(60)


# --- the password ---------------------------------------------------------------------------------
@router.post(
    "/password/change", response=schemas.Tokens, auth=PERSON, summary="Change your password"
)
def change_password(request: HttpRequest, body: account_schemas.PasswordChange) -> dict[str, Any]:
    """Ends your other sessions; this one goes on with the tokens of the answer. Without a password
    so far, as after a sign-in with Google, leave `current_password` out."""
    caller = caller_of(request)
    _count(request, "change_password", caller.person)
    with tokens.own_session(request, caller.session_key):
        user: Any = request.user
        had_one = user.has_usable_password()
        form = ChangePasswordInput(body.model_dump(exclude_none=True), user=user)
        if not form.is_valid():
            raise fault_of(form)
        password_change.change_password(user, form.cleaned_data["new_password"])
        if had_one:
            password_change.finalize_password_change(request, user)
        else:
            password_change.finalize_password_set(request, user)
        return tokens.issue(request)


@router.post(
    "/password/reset",
    response={202: schemas.Registered},
    throttle=SIGN_INS,
    summary="Mail a link for a new password",
)
def reset_password(request: HttpRequest, body: account_schemas.Address) -> Status[dict[str, Any]]:
    """Always the same answer, whether the address has an account or not: its owner learns it by
    mail."""
    if not ratelimit.consume(request, action="reset_password", key=body.email.lower()):
        raise too_many_attempts(60)
    with tokens.allauth_session(request):
        form = ResetPasswordForm(body.model_dump())
        if not form.is_valid():
            raise fault_of(form)
        form.save(request)
        return _mailed(request, _RESET_MAILED)


@router.post(
    "/password/reset/confirm",
    response={204: None},
    throttle=[SIGN_INS, PerClient("reset_password_from_key")],
    summary="Choose a new password",
)
def confirm_reset(request: HttpRequest, body: account_schemas.PasswordReset) -> HttpResponse:
    """`key` is the last part of the mailed link: of …/password/reset/key/1-abc/ it is 1-abc. It
    works once. All sessions of the person end."""
    with tokens.allauth_session(request), transaction.atomic():
        form = ResetPasswordInput({"key": body.key, "password": body.new_password})
        if not form.is_valid():
            raise fault_of(form, names={"password": "new_password"})
        user: Any = form.user
        password_reset.reset_password(user, form.cleaned_data["password"])
        password_reset.finalize_password_reset(request, user)
        request.session.flush()
    return HttpResponse(status=204)


# --- the address ----------------------------------------------------------------------------------
@router.post(
    "/verify-email",
    response=account_schemas.Address,
    throttle=SIGN_INS,
    summary="Confirm an address",
)
def verify_email(request: HttpRequest, body: account_schemas.EmailKey) -> dict[str, Any]:
    """`key` is the last part of the mailed link: of …/confirm-email/MTI:1x/ it is MTI:1x. Nobody
    is signed in by it."""
    with tokens.allauth_session(request), transaction.atomic():
        form: forms.Form = VerifyEmailInput(body.model_dump())
        if not form.is_valid():
            raise fault_of(form)
        address = form.verification.email_address  # type: ignore[attr-defined]
        if form.verification.confirm(request) is None:  # type: ignore[attr-defined]
            detail = _("Somebody else has confirmed this address. Use another one.")
            raise Problem(409, "refused", detail)
        request.session.flush()
    return {"email": address.email}


@router.post(
    "/verify-email/resend",
    response={202: schemas.Registered},
    throttle=SIGN_INS,
    summary="Mail the link to confirm an address again",
)
def resend_verification(
    request: HttpRequest, body: account_schemas.Address
) -> Status[dict[str, Any]]:
    """Always the same answer, whether the address waits for it or not: its owner learns it by
    mail. Once in three minutes for an address."""
    with tokens.allauth_session(request):
        address, is_known = _to_confirm(body.email.lower())
        if not send_verification_email_to_address(request, address, signup=is_known):
            raise too_many_attempts(180)
        return _mailed(request, _LINK_MAILED)


def _to_confirm(email: str) -> tuple[EmailAddress, bool]:
    """(the address as its account has it, whether the address is known). An address of nobody if
    there is nothing to confirm: allauth then mails its owner that nothing waits."""
    found = EmailAddress.objects.filter(email=email, user__in=owners_of(email)).first()
    if found is not None and not found.verified:
        return found, False
    return EmailAddress(email=email), found is not None


def _mailed(request: HttpRequest, words: dict[str, Words]) -> Status[dict[str, Any]]:
    fate = mailing.fate(request)
    request.session.flush()
    return Status(202, {"detail": str(words[fate]), "mailed": fate == "sent"})
