"""The console's pages of this layer."""

from django.db import models

from tenants.admin.base import WorkspaceAdmin
from tenants.admin.keys.page import ApiKeyAdmin
from tenants.admin.people.invitations import InvitationAdmin
from tenants.admin.people.members import MembershipAdmin
from tenants.admin.trail.page import AuditEntryAdmin
from tenants.admin.workspaces import WorkspaceSettingsAdmin
from tenants.models import ApiKey, AuditEntry, Invitation, Membership, Workspace

PAGES: dict[type[models.Model], type[WorkspaceAdmin]] = {
    ApiKey: ApiKeyAdmin,
    Membership: MembershipAdmin,
    Invitation: InvitationAdmin,
    AuditEntry: AuditEntryAdmin,
    Workspace: WorkspaceSettingsAdmin,
}
