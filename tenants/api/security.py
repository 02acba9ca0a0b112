"""Who calls the API, how often, and in which workspace. Other routers use `Access` or
`AccessToken`, and `at_work` or `inside`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from ninja.security.base import AuthBase
from ninja.throttling import BaseThrottle

from pushpilot.lib.clients import client_address
from pushpilot.lib.display import format_number
from pushpilot.lib.limits import Limiter
from pushpilot.lib.problems import Problem
from tenants import audit, keys, roles
from tenants.api import tokens
from tenants.models import User, Workspace
from tenants.scope import scope

HEADER = "X-Workspace-ID"
SIGN_INS_PER_MINUTE = 60
# How many times the requests of a minute a key may send in a workspace with this plan.
MULTIPLES = {Workspace.Plan.FREE: 1, Workspace.Plan.PRO: 5, Workspace.Plan.ENTERPRISE: 25}
_requests, _sign_ins = Limiter("api"), Limiter("sign-in")
_NAME = re.compile(r"[-\w]{1,60}", re.ASCII)
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person with the key of their session, or a program with its API key. The request uses one
    `scope` of that key."""

    user: User | None = None
    session_key: str = ""
    key: keys.KnownKey | None = None
    scope: str = ""

    @property
    def person(self) -> User:
        """Raises Problem 403 for a program."""
        if self.user is None:
            raise _person_needed()
        return self.user


def _person_needed() -> Problem:
    detail = _("An API key cannot do this. Sign in and send your access token.")
    return Problem(403, "person_needed", detail)


class AccessToken(AuthBase):
    """A signed-in person. Cookies are not looked at, so no page of another site can act for
    somebody."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Caller:
        header = request.headers.get("Authorization", "")
        if keys.looks_like_key(header):
            caller = self.program(header)
        else:
            scheme, _space, token = header.strip().partition(" ")
            if scheme.lower() != "bearer" or not token:
                detail = _("Send your access token as `Authorization: Bearer <token>`.")
                raise tokens.refusal("unauthenticated", detail)
            user, session_key = tokens.person_of(token.strip())
            caller = Caller(user=user, session_key=session_key)
        _spend(request, caller)
        return caller

    def program(self, header: str) -> Caller:
        keys.authenticate(header, keys.WORKSPACE_READ)
        raise _person_needed()


class Access(AccessToken):
    """A signed-in person, or a program whose secret key has the scope."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def program(self, header: str) -> Caller:
        return Caller(key=keys.authenticate(header, self.scope), scope=self.scope)


def _spend(request: HttpRequest, caller: Caller) -> None:
    """Count the request for the person, or for the key. Raises Problem 429."""
    if caller.key is None:
        _requests.spend(request, f"user:{caller.person.pk}", settings.API_PER_MINUTE)
        return
    per_minute = settings.API_PER_MINUTE * MULTIPLES[Workspace.Plan(caller.key.plan)]
    _requests.spend(request, f"key:{caller.key.id}", per_minute)


class PerAddress(BaseThrottle):
    """So many sign-ins of a client's address a minute, whatever becomes of them."""

    def allow_request(self, request: HttpRequest) -> bool:
        """Raises Problem 429: ninja would ask an object that all threads share how long to
        wait."""
        _sign_ins.spend(request, str(client_address(request)), SIGN_INS_PER_MINUTE)
        return True


def caller_of(request: HttpRequest) -> Caller:
    caller: Caller = request.auth  # type: ignore[attr-defined]
    return caller


def actor_of(request: HttpRequest) -> User | None:
    """The person, for a verb's `by`. None for a program: inside `at_work` the trail names its
    key."""
    return caller_of(request).user


# --- in which workspace ---------------------------------------------------------------------------
def workspace_named(name: str, caller: Caller) -> Workspace:
    """The caller's workspace with this id, else with this slug. Raises Problem 404, the same for
    those of others."""
    if _NAME.fullmatch(name):
        match = Q(slug=name) | Q(pk=int(name)) if _ID.fullmatch(name) else Q(slug=name)
        for workspace in sorted(
            Workspace.objects.filter(match), key=lambda found: str(found.pk) != name
        ):
            if _is_theirs(workspace, caller):
                return workspace
    detail = _("There is no workspace “%(name)s”, or you are not in it.") % {"name": name[:60]}
    raise Problem(404, "workspace_not_found", detail)


def _is_theirs(workspace: Workspace, caller: Caller) -> bool:
    if caller.key is not None:
        return workspace.pk == caller.key.workspace_id and workspace.deletion_due_at is None
    return roles.can(caller.person, roles.VIEW, workspace)


def workspace_meant(request: HttpRequest) -> Workspace:
    """The workspace of X-Workspace-ID, which takes its id or slug; of the key; else the only one
    that the person has.

    Raises Problem 404 for what the caller is not in, 400 if it takes the header to know.
    """
    caller, name = caller_of(request), request.headers.get(HEADER, "").strip()
    if name:
        return workspace_named(name, caller)
    if caller.key is not None:
        return workspace_named(str(caller.key.workspace_id), caller)
    own = caller.person.workspaces()
    if not own:
        detail = _(
            "You are in no workspace yet. Create a workspace, then name it in the header "
            "%(header)s."
        )
        raise Problem(400, "workspace_missing", detail % {"header": HEADER})
    if len(own) > 1:
        detail = ngettext(
            "You are in %(count)s workspace. Name it in the header %(header)s by its id or slug.",
            "You are in %(count)s workspaces. Name one of them in the header %(header)s by its id "
            "or slug.",
            len(own),
        )
        told = {"count": format_number(len(own)), "header": HEADER}
        raise Problem(400, "workspace_missing", detail % told)
    return own[0]


@contextmanager
def at_work(request: HttpRequest, capability: str) -> Iterator[Workspace]:
    """The scope of the workspace that is meant (`workspace_meant`). Raises Problem 403 without the
    capability."""
    with _entered(request, workspace_meant(request), capability) as workspace:
        yield workspace


@contextmanager
def inside(request: HttpRequest, name: str, capability: str = roles.VIEW) -> Iterator[Workspace]:
    """The scope of the caller's workspace with this id or slug. Raises Problem 404, or 403
    without the capability."""
    with _entered(request, workspace_named(name, caller_of(request)), capability) as workspace:
        yield workspace


@contextmanager
def _entered(request: HttpRequest, workspace: Workspace, capability: str) -> Iterator[Workspace]:
    require(request, capability, workspace)
    key = caller_of(request).key
    with ExitStack() as stack:
        stack.enter_context(scope(workspace))
        if key is not None:
            stack.enter_context(audit.by_program(f"API key “{key.name}”"))
        yield workspace


def require(request: HttpRequest, capability: str, workspace: Workspace) -> None:
    """Raises Problem 403."""
    caller = caller_of(request)
    if caller.user is not None:
        may = roles.can(caller.user, capability, workspace)
    else:
        may = keys.ALLOWS.get(caller.scope) == capability
    if may:
        return
    detail = _("Your role in %(workspace)s does not allow this: %(capability)s.") % {
        "workspace": workspace,
        "capability": _(roles.CAPABILITIES[capability]).lower(),
    }
    raise Problem(403, "forbidden", detail)
