"""Users, workspaces, memberships, API keys, provider connections and the audit trail."""

from tenants.models.connections import SANDBOX, Connection
from tenants.models.keys import ApiKey, IdentitySecret
from tenants.models.members import OPEN_INVITATION, Invitation, Membership
from tenants.models.requests import AnsweredRequest
from tenants.models.trail import AuditEntry
from tenants.models.users import User
from tenants.models.workspaces import Logo, Workspace, WorkspaceUserObjectPermission

__all__ = [
    "OPEN_INVITATION",
    "SANDBOX",
    "AnsweredRequest",
    "ApiKey",
    "AuditEntry",
    "Connection",
    "IdentitySecret",
    "Invitation",
    "Logo",
    "Membership",
    "User",
    "Workspace",
    "WorkspaceUserObjectPermission",
]
