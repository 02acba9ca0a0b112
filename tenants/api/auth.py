"""Signing up, in and out by API: allauth's own flows, answered with tokens instead of a cookie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.internal import flows
from allauth.account.internal.constants import LoginStageKey
from allauth.account.internal.stagekit import get_pending_stage
from allauth.core import ratelimit
from allauth.core.exceptions import SignupClosedException
from allauth.headless.account.inputs import LoginInput, SignupInput
from allauth.headless.internal.authkit import AuthenticationStatus
from allauth.headless.mfa.inputs import AuthenticateInput
from allauth.headless.socialaccount.internal import complete_token_login
from allauth.mfa.models import Authenticator
from allauth.mfa.stages import AuthenticateStage
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from allauth.socialaccount.providers.base import AuthProcess
from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Router, Status
from ninja.throttling import BaseThrottle

from pushpilot.lib import http
from pushpilot.lib.display import Words
from pushpilot.lib.openapi import refusals
from pushpilot.lib.problems import Problem, invalid_fields, too_many_attempts
from tenants import mailing, sessions
from tenants.account_forms import OncePerAddress
from tenants.api import schemas, tokens
from tenants.api.security import AccessToken, PerAddress, caller_of
from tenants.models import User
from tenants.social_sign_in import SignInNotSetUp

router = Router(tags=["Sign-in"])
WAIT_SECS = 60


class PerClient(BaseThrottle):
    """allauth's limit of an action for the client's address. ninja asks before it reads the
    body."""

    def __init__(self, action: str) -> None:
        self.action = action

    def allow_request(self, request: HttpRequest) -> bool:
        return bool(ratelimit.consume(request, action=self.action))

    def wait(self) -> int:
        return WAIT_SECS


SIGN_INS = PerAddress()

CHECK_MAIL: dict[str, Words] = {
    "sent": gettext_lazy(
        "We have mailed a link to this address. Open it to confirm the address, then sign in. If "
        "the address has an account already, the mail says so instead."
    ),
    "kept": gettext_lazy(
        "This server has no mail server: the mail with the link is kept on the server, in its log "
        "or in the folder that EMAIL_URL names. The link confirms the address; then the person can "
        "sign in."
    ),
}
_NOT_CONFIRMED: dict[str, Words] = {
    "sent": gettext_lazy(
        "This address is not confirmed yet. We have mailed a link to it. Open the link, then sign "
        "in."
    ),
    "kept": gettext_lazy(
        "This address is not confirmed yet. This server has no mail server: the mail with the link "
        "is kept on the server, in its log or in the folder that EMAIL_URL names. The link "
        "confirms the address; then the person can sign in."
    ),
}


class RegisterInput(OncePerAddress, SignupInput):
    """Allauth's, with the console's look at the password: it must not resemble the address."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        if cleaned.get("password"):
            try:
                get_account_adapter().clean_password(
                    cleaned["password"], user=User(email=cleaned.get("email", ""))
                )
            except ValidationError as error:
                self.add_error("password", error)
        return cleaned

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        return password


# --- up -------------------------------------------------------------------------------------------
@router.post(
    "/register",
    response={202: schemas.Registered},
    throttle=[SIGN_INS, PerClient("signup")],
    summary="Sign up",
)
def register(request: HttpRequest, body: schemas.Register) -> Status[dict[str, Any]]:
    """Always the same answer, whether the address has an account or not: its owner learns it by
    mail."""
    with tokens.allauth_session(request):
        if not get_account_adapter().is_open_for_signup(request):
            raise _closed()
        form = RegisterInput(body.model_dump())
        if not form.is_valid():
            raise problem_of(form)
        with transaction.atomic():
            user, response = form.try_save(request)
            if user is None:
                User().set_password(body.password)  # takes as long as it does for a new account
            elif response is None:
                flows.signup.complete_signup(request, user=user)
        fate = mailing.fate(request)
        request.session.flush()
    return Status(202, {"detail": str(CHECK_MAIL[fate]), "mailed": fate == "sent"})


# --- in -------------------------------------------------------------------------------------------
@router.post(
    "/login", response=schemas.SignedIn, throttle=SIGN_INS, summary="Sign in by e-mail and password"
)
def login(request: HttpRequest, body: schemas.Login) -> dict[str, Any]:
    """With two-factor sign-in the answer is 401 `second_factor_required`: send it again with
    `code`."""
    with tokens.allauth_session(request):
        form = LoginInput({"email": body.email, "password": body.password})
        if not form.is_valid():
            raise problem_of(form)
        flows.login.perform_password_login(request, form.cleaned_data, form.login)
        return signed_in(request, body.code)


@router.post(
    "/second-factor",
    response=schemas.SignedIn,
    throttle=SIGN_INS,
    summary="Give the code of a sign-in that waits for it",
)
def second_factor(request: HttpRequest, body: schemas.SecondFactor) -> dict[str, Any]:
    """For Google and Apple, whose id_tokens are taken once; after a password it works as well."""
    with tokens.allauth_session(request, tokens.waiting_session(body.second_factor_token)):
        return signed_in(request, body.code)


@router.post(
    "/google",
    response=schemas.SignedIn,
    throttle=SIGN_INS,
    summary="Sign in with Google's id_token",
    openapi_extra=refusals(404),
)
def google(request: HttpRequest, body: schemas.NativeLogin) -> dict[str, Any]:
    """What the Google SDK of an app or a web page hands out. A new person gets an account."""
    return _by_provider(request, "google", body)


@router.post(
    "/apple",
    response=schemas.SignedIn,
    throttle=SIGN_INS,
    summary="Sign in with Apple's id_token",
    openapi_extra=refusals(404),
)
def apple(request: HttpRequest, body: schemas.NativeLogin) -> dict[str, Any]:
    """What ASAuthorization hands out, with the name that it tells the app once. A new person
    gets an account."""
    return _by_provider(request, "apple", body)


def _by_provider(request: HttpRequest, name: str, body: schemas.NativeLogin) -> dict[str, Any]:
    with tokens.allauth_session(request):
        try:
            provider = get_social_adapter().get_provider(request, name)
            sociallogin = provider.verify_token(request, body.model_dump(exclude={"code"}))
        except SignInNotSetUp as error:
            detail = _("Sign-in with %(provider)s is not set up here.") % {"provider": name.title()}
            raise Problem(404, "provider_not_set_up", detail) from error
        except ValidationError as error:
            raise _token_refused(provider.name, error) from error
        sociallogin.state["process"] = AuthProcess.LOGIN
        try:
            with transaction.atomic():
                complete_token_login(request, sociallogin)
        except SignupClosedException as error:
            raise _closed() from error
        return signed_in(request, body.code)


def _token_refused(name: str, error: ValidationError) -> Problem:
    if isinstance(error.__cause__, http.RequestFailed):
        detail = _("%(provider)s cannot be reached to check the id_token. Try again later.") % {
            "provider": name
        }
        return Problem(503, "provider_unreachable", detail, headers={"Retry-After": "30"})
    detail = _(
        "%(provider)s did not sign this id_token for this server, or the id_token has expired, was "
        "used before or was made for another nonce. Get a fresh id_token from the SDK."
    )
    return tokens.refusal("id_token_refused", detail % {"provider": name})


def signed_in(request: HttpRequest, code: str | None) -> dict[str, Any]:
    """The tokens, if allauth let the person in. Raises Problem with what is missing."""
    stage = get_pending_stage(request)
    if stage is not None and stage.key == AuthenticateStage.key:
        _check_code(request, stage, code)
    user: Any = request.user
    if user.is_authenticated:
        return {**tokens.issue(request), "user": user}
    detail = _("This account is deactivated. Ask the operator of this server.")
    problem = Problem(403, "account_inactive", detail)
    if AuthenticationStatus(request).has_pending_signup:
        detail = _("The id_token names no e-mail address. Ask for the scope `email`.")
        problem = Problem(422, "email_missing", detail)
    elif stage is not None and stage.key == LoginStageKey.VERIFY_EMAIL:
        problem = Problem(
            403,
            "email_not_verified",
            str(_NOT_CONFIRMED[mailing.fate(request)]),
        )
    request.session.flush()
    raise problem


def _check_code(request: HttpRequest, stage: Any, code: str | None) -> None:
    """Finishes a sign-in that waits for its second factor. Raises Problem 401, with the token to
    go on with, or 429."""
    user = stage.login.user
    methods = sorted(set(Authenticator.objects.filter(user=user).values_list("type", flat=True)))
    go_on = {"methods": methods, "second_factor_token": tokens.second_factor_token(request)}
    if code is None:
        detail = _(
            "This account has two-factor sign-in. Send the code of the authenticator app, or a "
            "recovery code, as `code`: with the same request, or to /api/v1/auth/second-factor. Or "
            "use a passkey: /api/v1/auth/biometric/authenticate."
        )
        raise tokens.refusal("second_factor_required", detail, **go_on)
    form = AuthenticateInput({"code": code}, user=user)
    if not form.is_valid():
        raise problem_of(form, **go_on)
    form.save()
    stage.exit()


# --- on and out -----------------------------------------------------------------------------------
@router.post(
    "/refresh",
    response=schemas.Tokens,
    throttle=SIGN_INS,
    summary="New tokens for a refresh token",
)
def refresh(request: HttpRequest, body: schemas.Refresh) -> dict[str, Any]:
    """A refresh token works once. Using it again ends the session: somebody else may have it."""
    return tokens.refresh(body.refresh_token)


@router.post("/logout", response={204: None}, auth=AccessToken(), summary="Sign out")
def logout(request: HttpRequest) -> HttpResponse:
    """Ends this session: its access and refresh tokens are refused from now on."""
    sessions.end(caller_of(request).session_key)
    return HttpResponse(status=204)


# --- errors ---------------------------------------------------------------------------------------
def _closed() -> Problem:
    detail = _("This server takes no new accounts at the moment.")
    return Problem(403, "signup_closed", detail)


# What allauth's forms say about who somebody is, not about the form of a field.
_UNPROVEN = {
    "email_password_mismatch": "wrong_credentials",
    "incorrect_code": "wrong_code",
    "passkey_refused": "passkey_refused",
}


def problem_of(form: forms.Form, **extra: Any) -> Problem:
    """What one of allauth's forms found wrong with somebody who signs in."""
    for error in (error for errors in form.errors.as_data().values() for error in errors):
        if error.code in _UNPROVEN:
            return tokens.refusal(_UNPROVEN[error.code], error.messages[0], **extra)
    return fault_of(form)


def fault_of(form: forms.Form, names: Mapping[str, str] | None = None) -> Problem:
    """The same for somebody whose session goes on: 422 that names the field, or 429. `names`: the
    field of the body for one of the form."""
    found = form.errors.as_data()
    for error in (error for errors in found.values() for error in errors):
        if error.code in ("too_many_login_attempts", "rate_limited"):
            return too_many_attempts(5 * 60)
    return invalid_fields({(names or {}).get(name, name): found[name] for name in found})
