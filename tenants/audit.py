"""Writing the audit trail. Every change and every send decision passes here once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenants.models import AuditEntry

if TYPE_CHECKING:
    from tenants.models import User, Workspace


def record(
    workspace: Workspace,
    action: str,
    target: object,
    *,
    by: User | None,
    detail: dict[str, Any] | None = None,
    address: str | None = None,
) -> AuditEntry:
    """Append one entry. `action` is a verb in the past ("campaign scheduled"); `by` None means PushPilot itself."""
    return AuditEntry.objects.create(
        workspace=workspace,
        actor=by,
        actor_label=str(by) if by else "PushPilot",
        action=action,
        target=f"{target}"[:200],
        detail=detail or {},
        address=address,
    )
