"""The provider accounts that a workspace sends through."""

from __future__ import annotations

from tenants.models import Connection


def in_use(workspace_id: int, service: str) -> Connection | None:
    """The connection that messages of this service go through now; `service` as a channel names
    it."""
    return Connection.objects.filter(
        workspace=workspace_id, service=service, is_active=True
    ).first()
