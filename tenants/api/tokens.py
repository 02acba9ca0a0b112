"""The tokens of a person's session: allauth's JWT strategy, stricter.

A session of the API is a Django session like a browser's, so every way to end one (logout, the
page of sessions, a new password, an operator) ends its tokens at once. The access token carries
the session's id encrypted, so that nobody can put it into a cookie; no cookie and no
X-Session-Token is ever read here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from smtplib import SMTPException
from typing import Any

import jwt
from allauth.headless.constants import Client
from allauth.headless.internal import authkit
from allauth.headless.internal.decorators import mark_request_as_headless
from allauth.headless.internal.sessionkit import lookup_session
from allauth.headless.tokens.strategies.jwt import JWTTokenStrategy, internal
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushpilot.lib.display import Words
from pushpilot.lib.problems import Problem
from tenants import sessions
from tenants.models import User

# How long somebody may take to type the code of their authenticator app; allauth forgets the
# sign-in then too.
SECOND_FACTOR_SECS = 15 * 60
PASSKEY_SECS = 5 * 60  # for the finger on the sensor


class TokenStrategy(JWTTokenStrategy):
    """Allauth's, without its way to bring a session along: each sign-in starts with an empty
    one."""

    def get_session_token(self, request: HttpRequest) -> None:
        return None


_strategy = TokenStrategy()

# By the use of a token, as its claims name it.
_EXPIRED: dict[str, Words] = {
    "access": gettext_lazy(
        "This access token has expired. Get a new access token at /api/v1/auth/refresh."
    ),
    "refresh": gettext_lazy("This refresh token has expired. Sign in again."),
    "second_factor": gettext_lazy("This second factor token has expired. Sign in again."),
    "passkey": gettext_lazy("This passkey token has expired. Ask for new options."),
}
_FOREIGN: dict[str, Words] = {
    "access": gettext_lazy("This is no access token of this server. Sign in again."),
    "refresh": gettext_lazy("This is no refresh token of this server. Sign in again."),
    "second_factor": gettext_lazy("This is no second factor token of this server. Sign in again."),
    "passkey": gettext_lazy("This is no passkey token of this server. Ask for new options."),
}


@contextmanager
def allauth_session(request: HttpRequest, session: Any = None) -> Iterator[None]:
    """Allauth's flows run in here as for an app: on the given session, else on an empty one;
    never on the cookie's.

    Raises Problem 503 if a flow has to mail somebody and cannot.
    """
    mark_request_as_headless(request, Client.APP)
    with ended_meanwhile(), authkit.authentication_context(request):
        if session is not None:
            request.session = session
            authkit.purge_request_user_cache(request)
        try:
            yield
        except (SMTPException, ConnectionError, TimeoutError, socket.gaierror) as error:
            request.session.flush()
            raise Problem(
                503,
                "mail_not_sent",
                _("The mail could not be sent. Try again later."),
                headers={"Retry-After": "60"},
            ) from error


@contextmanager
def own_session(request: HttpRequest, session_key: str) -> Iterator[None]:
    """Allauth's flows run in here as the person of an access token, on the session with this key.
    All of it is undone if it raises. Raises Problem 401."""
    with transaction.atomic():
        # A refresh waits: both write the session as a whole, and tokens that it lost would end it.
        UserSession.objects.select_for_update().filter(session_key=session_key).first()
        session = lookup_session(session_key)
        if session is None:
            raise _session_ended()
        with allauth_session(request, session):
            yield


@contextmanager
def ended_meanwhile() -> Iterator[None]:
    """A session that another request ended between our reading and saving it is Problem 401."""
    try:
        yield
    except UpdateError as error:
        raise _session_ended() from error


# --- making them ----------------------------------------------------------------------------------
def issue(request: HttpRequest) -> dict[str, Any]:
    """The tokens of the session that allauth has just signed in."""
    pair = _strategy.create_access_token_payload(request)
    return answer(pair["access_token"], pair["refresh_token"])


def answer(access_token: str, refresh_token: str) -> dict[str, Any]:
    return {
        "access_token": access_token,
        "refresh_token": refresh_token,
        "token_type": "Bearer",
        "expires_in": settings.HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN,
    }


def second_factor_token(request: HttpRequest) -> str:
    """Stands for a sign-in that waits for its second factor."""
    return token_of_waiting(request, "second_factor", SECOND_FACTOR_SECS)


def token_of_waiting(request: HttpRequest, use: str, expires_in: int) -> str:
    """Stands for the session of somebody who is not signed in yet."""
    request.session.save()
    sid = internal.session_key_to_sid(request.session.session_key)
    return str(internal.create_token(use, sub="", sid=sid, expires_in=expires_in)[0])


def waiting_session(token: str, use: str = "second_factor") -> Any:
    """The session of such a token. Raises Problem 401."""
    session = internal.get_token_session(claims_of(token, use))
    if session is None:
        raise waits_no_more()
    return session


def waits_no_more() -> Problem:
    detail = _("This sign-in was finished or has expired. Sign in again.")
    return refusal("session_ended", detail)


def refresh(token: str) -> dict[str, Any]:
    """New tokens for a refresh token, which works once. Raises Problem 401.

    One that was used before is in two hands: the session ends, for both of them.
    """
    claims = claims_of(token, "refresh")
    key = internal.session_key_from_sid(claims["sid"])
    with ended_meanwhile(), transaction.atomic():
        # Of two requests with the same token the second waits here, and then is a reuse.
        held = UserSession.objects.select_for_update().filter(session_key=key).first()
        session = None
        if held:
            session = lookup_session(key)
        is_reused = session is not None and claims["jti"] not in internal.get_refresh_token_state(
            session
        )
        pair = None if session is None or is_reused else _strategy.refresh_token(token)
        if is_reused:
            sessions.end_stolen(held)
    if is_reused:
        detail = _(
            "This refresh token was used before, so its session has ended. Sign in again. If your "
            "app did not use the token twice, change your password."
        )
        raise refusal("refresh_token_reused", detail)
    if pair is None:
        raise _session_ended()
    return answer(*pair)


# --- reading them ---------------------------------------------------------------------------------
def person_of(token: str) -> tuple[User, str]:
    """(who, their session's key) of an access token. Raises Problem 401 that says what is wrong
    with it."""
    claims = claims_of(token, "access")
    session = internal.get_token_session(claims)
    user = None
    if session is not None:
        user = internal.validate_token_user(claims, session)
    if user is None:
        raise _session_ended()
    return user, str(session.session_key)


def claims_of(token: str, use: str) -> dict[str, Any]:
    claims: dict[str, Any] | None = internal.decode_token(token, use)
    if claims is not None:
        return claims
    if _is_only_late(token, use):
        raise refusal("token_expired", str(_EXPIRED[use]))
    raise refusal("token_invalid", str(_FOREIGN[use]))


def _is_only_late(token: str, use: str) -> bool:
    options: Any = {"verify_exp": False}
    try:
        found = jwt.decode(
            token, settings.HEADLESS_JWT_PRIVATE_KEY, [settings.HEADLESS_JWT_ALGORITHM], options
        )
    except jwt.PyJWTError:
        return False
    is_late = isinstance(found.get("exp"), int) and found["exp"] <= time.time()
    return is_late and found.get("token_use") == use


def _session_ended() -> Problem:
    return refusal("session_ended", _("This session has ended. Sign in again."))


def refusal(code: str, detail: str, **extra: Any) -> Problem:
    return Problem(
        401,
        code,
        detail,
        headers={"WWW-Authenticate": 'Bearer realm="PushPilot", error="invalid_token"'},
        **extra,
    )
