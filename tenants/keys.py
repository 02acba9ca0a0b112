"""API keys: making, rotating and revoking them; and whose key a request brings.

A public write key is asked about by every event that an app reports, so it is answered from
memory: a look-up per request would cost more than the rest of it. Secret keys are looked up each
time: revoking one counts at once.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.signing import BadSignature, TimestampSigner
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushpilot.lib.problems import Problem
from tenants import audit, roles
from tenants.models import ApiKey, User, Workspace
from tenants.scope import every_workspace
from tenants.secrets import digest_of

EVENTS_WRITE = "events:write"
WORKSPACE_READ = "workspace:read"
DEVICES_WRITE = "devices:write"
CAMPAIGNS_READ = "campaigns:read"
CAMPAIGNS_WRITE = "campaigns:write"
CAMPAIGNS_SEND = "campaigns:send"
TEMPLATES_READ = "templates:read"
TEMPLATES_WRITE = "templates:write"
NOTIFICATIONS_READ = "notifications:read"
ANALYTICS_READ = "analytics:read"
CONNECTIONS_MANAGE = "connections:manage"
SCOPES = {
    EVENTS_WRITE: gettext_lazy("Write events"),
    WORKSPACE_READ: gettext_lazy("Read the workspace's settings and members"),
    DEVICES_WRITE: gettext_lazy("Register and unregister devices of contacts"),
    CAMPAIGNS_READ: gettext_lazy("Read campaigns and forecasts"),
    CAMPAIGNS_WRITE: gettext_lazy("Create, edit and delete campaigns"),
    CAMPAIGNS_SEND: gettext_lazy("Schedule, pause and cancel campaigns, and send messages"),
    TEMPLATES_READ: gettext_lazy("Read templates"),
    TEMPLATES_WRITE: gettext_lazy("Create, edit and delete templates"),
    NOTIFICATIONS_READ: gettext_lazy("Read messages with their recipients and attempts"),
    ANALYTICS_READ: gettext_lazy("Read figures and events"),
    CONNECTIONS_MANAGE: gettext_lazy("Connect, test and change providers"),
}
# {scope: the capability that a key with it has in its workspace}. Events have no capability.
ALLOWS = {
    WORKSPACE_READ: roles.VIEW,
    DEVICES_WRITE: roles.EDIT,
    CAMPAIGNS_READ: roles.VIEW,
    CAMPAIGNS_WRITE: roles.EDIT,
    CAMPAIGNS_SEND: roles.SEND,
    TEMPLATES_READ: roles.VIEW,
    TEMPLATES_WRITE: roles.EDIT,
    NOTIFICATIONS_READ: roles.VIEW,
    ANALYTICS_READ: roles.VIEW,
    CONNECTIONS_MANAGE: roles.CONNECTIONS,
}
LIVE_ONLY = frozenset(SCOPES) - {EVENTS_WRITE}
NOT_FOR_TEST = gettext_lazy(
    "A test key reaches only what went through the sandbox, and everything else in a workspace is "
    "real. Use a live key."
)
KNOWN_SECS = 30  # the longest that a revoked write key goes on working
UNKNOWN_SECS = 5  # the longest that a new key is refused, if it was tried before it existed
USED_EVERY = timedelta(minutes=1)  # how fine last_used_at is
KEPT = 10_000
PAGE_SECS = 3600
_SECRET_LIMIT = 200
_PAGE = "pp_test_page."
_pages = TimestampSigner(salt="tenants.keys.page")


# --- the life of a key ----------------------------------------------------------------------------
@transaction.atomic
def create(key: ApiKey, *, by: User | None) -> str:
    """Save the new key; returns its secret, which is kept nowhere. A public write key gets its
    one scope.

    Raises ValueError with a sentence for a test key that could reach what is real.
    """
    if key.kind == ApiKey.Kind.WRITE:
        key.scopes = [EVENTS_WRITE]
    if key.mode == ApiKey.Mode.TEST and LIVE_ONLY.intersection(key.scopes):
        raise ValueError(str(NOT_FOR_TEST))
    secret = _mint(key)
    key.created_by = by
    key.save()
    audit.record(
        key.workspace,
        "API key created",
        key,
        by=by,
        detail={"prefix": key.prefix, "kind": key.kind, "mode": key.mode, "scopes": key.scopes},
    )
    return secret


@transaction.atomic
def rotate(key: ApiKey, *, by: User, overlap: timedelta, now: datetime) -> tuple[ApiKey, str]:
    """A successor with the same name, kind, mode and scopes, and its secret. The old key works
    for `overlap` more.

    Raises ValueError with a sentence if the key has ended, or was rotated already.
    """
    locked = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    if locked.state(now) != "Active":
        raise ValueError(
            _("“%(key)s” is revoked or expired. Create a new key instead.") % {"key": key}
        )
    if locked.replaced_by_id is not None:
        raise ValueError(
            _("“%(key)s” was already rotated. Rotate its successor, or revoke it.") % {"key": key}
        )
    fresh = ApiKey(
        workspace=key.workspace,
        name=locked.name,
        kind=locked.kind,
        mode=locked.mode,
        scopes=locked.scopes,
        expires_at=locked.expires_at,
    )
    secret = create(fresh, by=by)
    ends = min(now + overlap, locked.expires_at) if locked.expires_at else now + overlap
    ApiKey.objects.filter(pk=key.pk).update(replaced_by=fresh, expires_at=ends)
    forget_all()
    audit.record(
        key.workspace,
        "API key rotated",
        key,
        by=by,
        detail={"prefix": locked.prefix, "successor": fresh.prefix, "ends": ends.isoformat()},
    )
    return fresh, secret


@transaction.atomic
def revoke(keys: Iterable[ApiKey], *, by: User | None, why: str = "") -> int:
    """End these keys; returns how many were still working."""
    ended = 0
    for key in keys:
        if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
            ended += 1
            audit.record(
                key.workspace,
                "API key revoked",
                key,
                by=by,
                detail={"prefix": key.prefix, "why": why},
            )
    forget_all()
    return ended


def secret_keys_of(user: User) -> list[ApiKey]:
    """The person's secret keys in the active scope's workspace that still work."""
    rows = ApiKey.objects.filter(created_by=user, kind=ApiKey.Kind.SECRET, revoked_at=None)
    return list(rows.select_related("workspace"))


def page_key(user: User, workspace: Workspace) -> str:
    """A test write key for a page that the person has open. It is kept nowhere: it works for
    PAGE_SECS at most, and only while the person may send campaigns of the workspace."""
    return _PAGE + _pages.sign_object({"user": user.pk, "workspace": workspace.pk})


def _mint(key: ApiKey) -> str:
    secret = f"pp_{key.mode}_{secrets.token_urlsafe(24)}"
    key.prefix, key.digest = secret[:14], digest_of(secret)
    return secret


# --- whose key is it? -----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class KnownKey:
    id: int  # below zero: a key of a page, which has no row
    workspace_id: int
    kind: str
    mode: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    name: str = ""
    plan: str = ""  # of its workspace

    @property
    def is_test(self) -> bool:
        return self.mode == ApiKey.Mode.TEST


class _Memory:
    """digest → key, for some seconds each, at most KEPT of them: the oldest goes first."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._kept: OrderedDict[str, tuple[float, KnownKey | None]] = OrderedDict()

    def get(self, digest: str) -> tuple[float, KnownKey | None] | None:
        found = self._kept.get(digest)
        if found is not None and found[0] > time.monotonic():
            return found
        return None

    def put(self, digest: str, key: KnownKey | None) -> None:
        self._kept.pop(digest, None)
        self._kept[digest] = (time.monotonic() + self.seconds, key)
        while len(self._kept) > KEPT:
            try:
                self._kept.popitem(last=False)
            except KeyError:  # another thread emptied it
                return

    def clear(self) -> None:
        self._kept.clear()


# Apart, so that a flood of invented keys cannot push the real ones out.
_known, _unknown = _Memory(KNOWN_SECS), _Memory(UNKNOWN_SECS)


def forget_all() -> None:
    """Look every key up again: a key was revoked in this process."""
    _known.clear()
    _unknown.clear()


def authenticate(header: str, scope: str) -> KnownKey:
    """The key of an Authorization header: `Bearer <key>`, or Basic with the key as user name.

    Raises Problem 401 if there is none or it is unknown, revoked or expired, or a secret key of
    somebody who is deactivated; 403 if it lacks the scope, or is a test key and the scope is
    about what is real.
    """
    secret = _secret_in(header)
    if not secret:
        raise _refusal(
            _("Send an API key as `Authorization: Bearer pp_live_…`, or as the user name of Basic.")
        )
    if secret.startswith(_PAGE):
        return _of_page(secret, scope)
    digest = digest_of(secret)
    found = _known.get(digest) or _unknown.get(digest)
    key = found[1] if found else _look_up(digest)
    if key is None or (key.expires_at is not None and key.expires_at <= timezone.now()):
        raise _refusal(
            _(
                "This API key is unknown, revoked or expired. Create a new key in the console, "
                "under API keys."
            )
        )
    if scope not in key.scopes:
        raise _lacks(scope)
    if key.is_test and scope in LIVE_ONLY:  # made before `create` refused them
        raise Problem(403, "live_key_needed", str(NOT_FOR_TEST))
    return key


def _of_page(secret: str, scope: str) -> KnownKey:
    """Raises Problem 401 if the signature is not ours or too old, or the person may not send any
    more."""
    try:
        signed = _pages.unsign_object(secret.removeprefix(_PAGE), max_age=PAGE_SECS)
    except BadSignature as error:
        raise _refusal(_("This key of a page has ended. Reload the page.")) from error
    user = User.objects.filter(pk=signed["user"]).first()
    workspace = Workspace.objects.filter(pk=signed["workspace"]).first()
    if user is None or workspace is None or not roles.can(user, roles.SEND, workspace):
        raise _refusal(
            _(
                "You may not send campaigns of this workspace any more, so this page may not "
                "report events."
            )
        )
    if scope != EVENTS_WRITE:
        raise _lacks(scope)
    return KnownKey(
        -user.pk, workspace.pk, ApiKey.Kind.WRITE, ApiKey.Mode.TEST, (EVENTS_WRITE,), None
    )


def looks_like_key(header: str) -> bool:
    """Whether the Authorization header brings an API key of ours, and not a person's token."""
    return _secret_in(header).startswith("pp_")


def _look_up(digest: str) -> KnownKey | None:
    with every_workspace():
        row = (
            ApiKey.objects.filter(digest=digest, revoked_at=None, workspace__deletion_due_at=None)
            .exclude(kind=ApiKey.Kind.SECRET, created_by__is_active=False)
            .values("id", "workspace_id", "kind", "mode", "scopes", "expires_at", "name")
            .annotate(plan=F("workspace__plan"))
            .first()
        )
        if row is None:
            _unknown.put(digest, None)
            return None
        columns: dict[str, Any] = {**row, "scopes": tuple(row["scopes"])}
        key = KnownKey(**columns)
        if key.kind == ApiKey.Kind.WRITE:
            _known.put(digest, key)
        else:
            note_use([key.id], timezone.now())
        return key


def note_use(key_ids: Iterable[int], at: datetime) -> None:
    """Write down, to the minute, that the keys were used."""
    stale = Q(last_used_at=None) | Q(last_used_at__lt=at - USED_EVERY)
    ApiKey.objects.filter(stale, pk__in=key_ids).update(last_used_at=at)


def _secret_in(header: str) -> str:
    scheme, _space, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic" and len(value) <= 2 * _SECRET_LIMIT:
        try:
            value = (
                base64.b64decode(value, validate=True).decode("utf-8", "replace").partition(":")[0]
            )
        except (binascii.Error, ValueError):
            return ""
    elif scheme.lower() != "bearer":
        return ""
    if len(value) <= _SECRET_LIMIT:
        return value
    return ""


def _lacks(scope: str) -> Problem:
    detail = _("This API key lacks the scope `%(scope)s`, so it may not do this.")
    return Problem(403, "scope_missing", detail % {"scope": scope})


def _refusal(detail: str) -> Problem:
    return Problem(
        401, "unauthenticated", detail, headers={"WWW-Authenticate": 'Bearer realm="PushPilot"'}
    )
