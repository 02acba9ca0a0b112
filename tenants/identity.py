"""Identity verification: a customer's server vouches for the id of a person that an app sends
with a public key.

The server signs the id with a secret that never leaves it: hex(HMAC-SHA256(secret, id)). Whoever
sends id and hash together was handed them by that server.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from tenants import audit, secrets
from tenants.models import IdentitySecret, User, Workspace

_FIELD = "identity"


@transaction.atomic
def make(workspace: Workspace, *, by: User, now: datetime, overlap: timedelta = timedelta()) -> str:
    """A new secret of the workspace, which is shown this once. Those before it count for
    `overlap` more."""
    # two at once: the second ends the first
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    ends = now + overlap
    before = IdentitySecret.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=ends), workspace=workspace
    )
    ended = before.update(expires_at=ends)
    secret = f"pp_identity_{random.token_urlsafe(32)}"
    sealed = secrets.seal(secret, workspace_id=workspace.pk, field=_FIELD)
    IdentitySecret.objects.create(workspace=workspace, sealed=sealed, created_by=by, created_at=now)
    detail = {}
    if ended:
        detail = {"the_former_ends": ends.isoformat()}
    audit.record(workspace, "identity secret made", workspace, by=by, detail=detail)
    return secret


def secrets_of(workspace_id: int, now: datetime) -> list[str]:
    """Those that count now. Raises SecretUnreadable under a wrong ENCRYPTION_KEYS."""
    rows = IdentitySecret.objects.filter(workspace=workspace_id).exclude(expires_at__lte=now)
    found = rows.values_list("sealed", flat=True)
    return [secrets.unseal(sealed, workspace_id=workspace_id, field=_FIELD) for sealed in found]


def hash_of(secret: str, external_user_id: str) -> str:
    """What the customer's server computes."""
    return hmac.new(secret.encode(), external_user_id.encode(), hashlib.sha256).hexdigest()


def is_proven(external_user_id: str, identity_hash: str, by_secrets: Iterable[str]) -> bool:
    """Whether one of the secrets made the hash of this id."""
    given = identity_hash.lower().encode()
    return any(
        hmac.compare_digest(hash_of(secret, external_user_id).encode(), given)
        for secret in by_secrets
    )
