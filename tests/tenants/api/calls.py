"""Who calls, and what a call leaves behind."""

from allauth.account.models import EmailAddress
from django.utils import timezone

from tenants import invitations
from tenants.models import AuditEntry, Invitation, Membership, User, Workspace
from tenants.roles import Role
from tenants.scope import every_workspace, scope
from tests.cast import Cast
from tests.tenants.api.app import App

PEOPLE = ("owner", "admin", "member", "viewer")


def app_of(user: User) -> App:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return App().sign_in(user.email, "correct horse")


def invited(
    cast: Cast, email: str = "new@biddano.test", workspace: Workspace | None = None
) -> Invitation:
    workspace = workspace or cast.workspace
    by = cast.owner if workspace == cast.workspace else cast.other_owner
    with scope(workspace):
        return invitations.draft(
            workspace, email, Role.MEMBER, by=by, now=timezone.now()
        ).invitation


def audited(action: str) -> AuditEntry:
    with every_workspace():
        return AuditEntry.objects.filter(action=action).latest("pk")


def state() -> list:
    with every_workspace():
        rows = [
            Workspace.objects.values(),
            Membership.objects.values(),
            Invitation.objects.values(),
        ]
        return [list(found.order_by("pk")) for found in rows] + [AuditEntry.objects.count()]


def membership(workspace: Workspace, user: User) -> Membership:
    with scope(workspace):
        return Membership.objects.get(user=user)
