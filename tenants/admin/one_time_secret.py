"""Secrets that are shown once: they wait, encrypted, in the session of the person who made them,
for one view."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest

from tenants import secrets
from tenants.admin.base import workspace_of


def keep(request: HttpRequest, slot: str, shown: Any) -> None:
    """`shown` is anything that JSON can hold."""
    sealed = secrets.seal(json.dumps(shown), workspace_id=workspace_of(request).pk, field=slot)
    request.session[slot] = secrets.encrypt(sealed)


def take(request: HttpRequest, slot: str) -> Any:
    """What was kept, for the last time; None if there is nothing, or it was kept in another
    workspace."""
    token = request.session.pop(slot, None)
    if token is None:
        return None
    try:
        return json.loads(
            secrets.unseal(
                secrets.decrypt(token), workspace_id=workspace_of(request).pk, field=slot
            )
        )
    except secrets.SecretUnreadable:
        return None
