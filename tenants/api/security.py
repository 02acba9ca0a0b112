"""Who calls the API, and in which workspace. Other routers use `AccessToken`, `AccessTokenOrKey`
and `inside`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpRequest
from ninja.security.base import AuthBase

from pushpilot.lib.problems import Problem
from tenants import keys, roles
from tenants.api import tokens
from tenants.models import User, Workspace
from tenants.scope import scope

HEADER = "X-Workspace-ID"
_NAME = re.compile(r"[-\w]{1,60}", re.ASCII)
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person with the key of their session, or a program with its API key."""

    user: User | None = None
    session_key: str = ""
    key: keys.KnownKey | None = None

    @property
    def person(self) -> User:
        """Raises Problem 403 for a program."""
        if self.user is None:
            raise _person_needed()
        return self.user


def _person_needed() -> Problem:
    return Problem(
        403, "person_needed", "An API key cannot do this. Sign in and send your access token."
    )


class AccessToken(AuthBase):
    """A signed-in person. Cookies are not looked at, so no page of another site can act for
    somebody."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Caller:
        header = request.headers.get("Authorization", "")
        if keys.looks_like_key(header):
            return self.program(header)
        scheme, _, token = header.strip().partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise tokens.refusal(
                "unauthenticated", "Send your access token as `Authorization: Bearer <token>`."
            )
        user, session_key = tokens.person_of(token.strip())
        return Caller(user=user, session_key=session_key)

    def program(self, header: str) -> Caller:
        keys.authenticate(header, keys.WORKSPACE_READ)
        raise _person_needed()


class AccessTokenOrKey(AccessToken):
    """A signed-in person, or a program with a secret key that may read the workspace."""

    def program(self, header: str) -> Caller:
        return Caller(key=keys.authenticate(header, keys.WORKSPACE_READ))


def caller_of(request: HttpRequest) -> Caller:
    caller: Caller = request.auth  # type: ignore[attr-defined]
    return caller


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
    raise Problem(
        404, "workspace_not_found", f"There is no workspace “{name[:60]}”, or you are not in it."
    )


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
        raise Problem(
            400,
            "workspace_missing",
            f"You are in no workspace yet. Create one, then name it in {HEADER}.",
        )
    if len(own) > 1:
        detail = (
            f"You are in {len(own)} workspaces: say which one in the header {HEADER}, by its "
            "id or slug."
        )
        raise Problem(400, "workspace_missing", detail)
    return own[0]


@contextmanager
def inside(request: HttpRequest, name: str, capability: str = roles.VIEW) -> Iterator[Workspace]:
    """The scope of the caller's workspace with this id or slug. Raises Problem 404, or 403
    without the capability."""
    workspace = workspace_named(name, caller_of(request))
    require(request, capability, workspace)
    with scope(workspace):
        yield workspace


def require(request: HttpRequest, capability: str, workspace: Workspace) -> None:
    """Raises Problem 403. A key that got this far may read, and nothing else."""
    caller = caller_of(request)
    may = (
        capability == roles.VIEW
        if caller.user is None
        else roles.can(caller.user, capability, workspace)
    )
    if not may:
        words = roles.CAPABILITIES[capability].lower()
        raise Problem(403, "forbidden", f"Your role in {workspace} does not allow this: {words}.")
