"""People with an invitation."""

from django.utils import timezone

from tenants import invitations
from tenants.models import Membership
from tenants.roles import Role
from tenants.scope import scope


def invited(cast, email: str = "outsider@biddano.test") -> str:
    """The path of a fresh link, as the inviter could copy it."""
    with scope(cast.workspace):
        sent = invitations.invite(
            cast.workspace, email, Role.MEMBER, by=cast.owner, now=timezone.now()
        )
    return sent.link.partition("//")[2].partition("/")[2].join(("/", ""))


def is_member(cast, user) -> bool:
    with scope(cast.workspace):
        return Membership.objects.filter(user=user).exists()
