"""Passkeys by API: adding and removing them, and signing in with one. The rules are those of the
console's pages."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.stagekit import get_pending_stage
from allauth.account.models import Login
from allauth.core.internal import ratelimit
from allauth.mfa.internal.flows.add import validate_can_add_authenticator
from allauth.mfa.models import Authenticator
from allauth.mfa.stages import AuthenticateStage
from allauth.mfa.webauthn.internal import auth as webauthn
from allauth.mfa.webauthn.internal import flows
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Router, Status

from pushpilot.lib.lists import Listing
from pushpilot.lib.problems import Problem, too_many_attempts
from tenants.api import account_schemas, schemas, tokens
from tenants.api.account_routes import PERSON, as_proved
from tenants.api.auth import SIGN_INS, fault_of, problem_of, signed_in
from tenants.api.errors import by_the_rules
from tenants.api.idempotency import idempotent
from tenants.api.security import caller_of
from tenants.filters import PasskeyFilters
from tenants.mfa import AddPasskeyForm, PasskeyLoginForm, PasskeyStepForm

router = Router(tags=["Passkeys"])
PASSKEYS = Listing(PasskeyFilters, account_schemas.PasskeyOut)


# --- yours ----------------------------------------------------------------------------------------
@router.get("/passkeys", **PASSKEYS.route, auth=PERSON, summary="Your passkeys")
def list_passkeys(request: HttpRequest) -> dict[str, Any]:
    """The oldest first."""
    return PASSKEYS.page(request, _own(request), _told)


@router.post(
    "/biometric/enroll",
    response={200: account_schemas.PasskeyOptions, 201: account_schemas.PasskeyAdded},
    auth=PERSON,
    summary="Add a passkey",
)
@idempotent(None)
def enroll_passkey(
    request: HttpRequest, body: account_schemas.EnrollPasskey
) -> Status[dict[str, Any]]:
    """In two steps. Without `credential` the answer is 200 with the options that the device makes
    a passkey of. With it the passkey is added: 201. Both need a proof of five minutes at most, see
    `/auth/reauthenticate`."""
    with as_proved(request):
        user: Any = request.user
        with by_the_rules():
            validate_can_add_authenticator(user)
        if body.credential is None:
            made = flows.begin_registration(request, user, body.passwordless)
            return Status(200, {"options": made["publicKey"]})
        form = AddPasskeyForm(body.model_dump(), user=user)
        if not form.is_valid():
            raise fault_of(form, names={"__all__": "credential"})
        added, codes = flows.add_authenticator(
            request, form.cleaned_data["name"], form.cleaned_data["credential"]
        )
        return Status(201, {**_told(added), "recovery_codes": _shown_once(codes)})


def _shown_once(codes: Authenticator | None) -> list[str]:
    if codes is None:
        return []
    wrapped: Any = codes.wrap()
    found: list[str] = wrapped.get_unused_codes()
    wrapped.mark_as_viewed()
    return found


@router.delete(
    "/passkeys/{int:passkey}", response={204: None}, auth=PERSON, summary="Remove a passkey"
)
def remove_passkey(request: HttpRequest, passkey: int) -> HttpResponse:
    """Needs a proof as adding one does."""
    with as_proved(request):
        found = _own(request).filter(pk=passkey).first()
        if found is None:
            raise Problem(404, "passkey_not_found", _("You have no such passkey."))
        flows.remove_authenticator(request, found)
    return HttpResponse(status=204)


def _own(request: HttpRequest) -> Any:
    return Authenticator.objects.filter(
        user=caller_of(request).person, type=Authenticator.Type.WEBAUTHN
    )


def _told(row: Any) -> dict[str, Any]:
    passkey = row.wrap()
    return {
        "id": row.pk,
        "name": passkey.name,
        "is_passwordless": bool(passkey.is_passwordless),
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
    }


# --- signing in -----------------------------------------------------------------------------------
@router.post(
    "/biometric/authenticate",
    response={200: schemas.SignedIn, 202: account_schemas.PasskeyRequest},
    throttle=SIGN_INS,
    summary="Sign in with a passkey",
)
def authenticate_with_passkey(
    request: HttpRequest, body: account_schemas.PasskeySignIn
) -> Status[dict[str, Any]]:
    """In two steps. Without `credential` the answer is 202 with the options for the device and a
    token. With `credential` and `passkey_token` the person is signed in. A passkey is the second
    step of a sign-in if the first request names its `second_factor_token`."""
    if body.credential is None:
        return Status(202, _begin(request, body))
    if not ratelimit.consume(request, app="allauth.mfa", action="webauthn_login"):
        raise too_many_attempts(60)
    session = tokens.waiting_session(body.passkey_token or "", "passkey")
    with tokens.allauth_session(request, session):
        stage = get_pending_stage(request)
        if stage is not None and stage.key == AuthenticateStage.key:
            _finish_step(stage, body.credential)
        else:
            _sign_in(request, body.credential)
        return Status(200, signed_in(request, None))


def _begin(request: HttpRequest, body: account_schemas.PasskeySignIn) -> dict[str, Any]:
    session = None
    if body.second_factor_token is not None:
        session = tokens.waiting_session(body.second_factor_token)
    with tokens.allauth_session(request, session):
        user = None
        if session is None:
            request.session.set_expiry(tokens.PASSKEY_SECS)
        else:
            user = _waiting_for(request)
        made = webauthn.begin_authentication(user)
        token = tokens.token_of_waiting(request, "passkey", tokens.PASSKEY_SECS)
        return {"passkey_token": token, "options": made["publicKey"]}


def _waiting_for(request: HttpRequest) -> Any:
    """The person whose sign-in waits for a passkey. Raises Problem 409 if they have none."""
    stage: Any = get_pending_stage(request)
    if stage is None or stage.key != AuthenticateStage.key:
        raise tokens.waits_no_more()
    user = stage.login.user
    if not Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).exists():
        raise Problem(409, "refused", _("This account has no passkey. Send a code instead."))
    return user


def _finish_step(stage: Any, credential: dict[str, Any]) -> None:
    form = PasskeyStepForm({"credential": credential}, user=stage.login.user)
    if not form.is_valid():
        raise problem_of(form)
    form.save()
    stage.exit()


def _sign_in(request: HttpRequest, credential: dict[str, Any]) -> None:
    form = PasskeyLoginForm({"credential": credential})
    if not form.is_valid():
        raise problem_of(form)
    request.session.set_expiry(None)  # as long as any other session
    found = form.cleaned_data["credential"]
    flows.perform_passwordless_login(request, found, Login(user=found.user))
