"""Inviting people by e-mail, and their answer.

The link's token is random and only its SHA-256 is kept. The mailed link carries a proof of the
mailbox beside it: who comes through it need not verify the address again. The link that the
inviter can copy lacks the proof, so that nobody can make an account in another person's name
with it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.signing import Signer
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from tenants import audit, limits, mailing, workspaces
from tenants.models import OPEN_INVITATION, Invitation, Membership, User, Workspace
from tenants.scope import every_workspace, scope
from tenants.secrets import digest_of
from tenants.validators import unlinked, validate_address

LIFE = timedelta(days=7)
_signer = Signer(salt="tenants.invitations.mailbox")


class InvitationRefused(Exception):
    """The invitation cannot be accepted. `reason` is unknown, expired, revoked, used or foreign;
    the text says why."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Draft:
    """An invitation that stands, and the token of the link that nobody has yet."""

    invitation: Invitation
    token: str


@dataclass(frozen=True, slots=True)
class Sent:
    """An invitation that stands. `link` is for the inviter to pass on; it is kept nowhere.
    `mailed`: a mail server took the mail."""

    invitation: Invitation
    link: str
    mailed: bool


# --- the inviter's side ---------------------------------------------------------------------------
def invite(workspace: Workspace, email: str, role: str, *, by: User, now: datetime) -> Sent:
    """Invite an address, or renew its open invitation, and mail the link. Raises ValidationError
    with a sentence, limits.TooMany among them.

    Not for inside a transaction: call `draft` there, and `mail` when it stands.
    """
    return mail(draft(workspace, email, role, by=by, now=now), now)


@transaction.atomic
def draft(workspace: Workspace, email: str, role: str, *, by: User, now: datetime) -> Draft:
    """The invitation without its mail, for inside a transaction. Raises ValidationError with a
    sentence."""
    validate_address(email.strip())
    email = email.strip().lower()
    token = secrets.token_urlsafe(32)
    workspaces.lock(workspace.pk)
    refusal = workspaces.why_not_give(role, by_role=workspaces.role_of(by, workspace))
    if refusal:
        raise ValidationError(refusal)
    if Membership.objects.filter(workspace=workspace, user__email=email).exists():
        raise ValidationError(
            _("%(email)s is already in this workspace. Change their role in the list of members.")
            % {"email": email}
        )
    limits.check_invitations(workspace, [email], by=by, now=now)
    invitation, _created = Invitation.objects.update_or_create(
        workspace=workspace,
        email=email,
        accepted_at=None,
        revoked_at=None,
        defaults={
            "role": role,
            "digest": digest_of(token),
            "invited_by": by,
            "invited_at": now,
            "expires_at": now + LIFE,
        },
    )
    audit.record(workspace, "member invited", email, by=by, detail={"role": role})
    return Draft(invitation, token)


def resend(invitation: Invitation, *, by: User, now: datetime) -> Sent:
    """A fresh link and another week; the old link ends. Raises ValidationError if it is not open
    any more."""
    if invitation.state(now) not in ("Pending", "Expired"):
        raise ValidationError(_("This invitation is no longer open. Invite the person again."))
    return invite(invitation.workspace, invitation.email, invitation.role, by=by, now=now)


@transaction.atomic
def revoke(invitation: Invitation, *, by: User, now: datetime) -> None:
    """The link ends. Raises ValidationError if it was accepted or revoked already."""
    open_ones = Invitation.objects.filter(OPEN_INVITATION, pk=invitation.pk)
    if not open_ones.update(revoked_at=now):
        raise ValidationError(_("This invitation was already accepted or withdrawn."))
    audit.record(invitation.workspace, "invitation revoked", invitation.email, by=by)


def mail(draft: Draft, now: datetime) -> Sent:
    """Mail the link, outside of any transaction: a slow mail server would hold the workspace's
    lock, and a mail cannot be taken back. One that cannot be sent loses nothing: the link can be
    passed on by other means.
    """
    invitation, token = draft.invitation, draft.token
    context = {
        "invitation": invitation,
        "link": f"{link_of(token)}?mailbox={proof_of(token)}",
        "days": LIFE.days,
        "inviter": unlinked(str(invitation.invited_by or _("Somebody"))),
        "workspace": unlinked(invitation.workspace.name),
    }
    subject = " ".join(render_to_string("tenants/mail/invitation_subject.txt", context).split())
    message = EmailMultiAlternatives(
        subject,
        render_to_string("tenants/mail/invitation.txt", context),
        settings.DEFAULT_FROM_EMAIL,
        [invitation.email],
    )
    message.attach_alternative(
        render_to_string("tenants/mail/invitation.html", context), "text/html"
    )
    mailed = mailing.send(message, f"the invitation of workspace {invitation.workspace_id}")
    if mailed:
        Invitation.objects.filter(pk=invitation.pk).update(sent_at=now)
    return Sent(invitation, link_of(token), mailed)


# --- the link -------------------------------------------------------------------------------------
def link_of(token: str) -> str:
    return f"{settings.PUBLIC_URL}/invitations/{token}/"


def proof_of(token: str) -> str:
    """Goes by mail only: who has it can read the invited mailbox."""
    return _signer.signature(token)


def proves_mailbox(token: str, proof: str) -> bool:
    return bool(proof) and constant_time_compare(proof, proof_of(token))


# --- the invited person's side --------------------------------------------------------------------
def open_invitation(token: str, now: datetime) -> Invitation:
    """The invitation of a link. Raises InvitationRefused."""
    return _open(digest_of(token), now)


def _open(digest: str, now: datetime, *, lock: bool = False) -> Invitation:
    with every_workspace():
        rows = Invitation.objects.select_related("workspace", "invited_by").filter(digest=digest)
        found = (rows.select_for_update(no_key=True, of=("self",)) if lock else rows).first()
    if found is None or found.workspace.deletion_due_at is not None:
        raise InvitationRefused(
            "unknown", _("This invitation does not exist. Perhaps you got a newer one by mail.")
        )
    where = {"workspace": found.workspace}
    refusals = {
        "Accepted": ("used", _("This invitation was already accepted.")),
        "Revoked": ("revoked", _("This invitation to %(workspace)s was withdrawn.") % where),
        "Expired": (
            "expired",
            _("This invitation to %(workspace)s has expired. Ask for a new one.") % where,
        ),
    }
    if found.state(now) in refusals:
        raise InvitationRefused(*refusals[found.state(now)])
    if found.invited_by is not None and not found.invited_by.is_active:
        gone = (
            _(
                "The person who invited you to %(workspace)s has no account any more. Ask somebody "
                "else there."
            )
            % where
        )
        raise InvitationRefused("revoked", gone)
    return found


def accept(token: str, user: User, now: datetime) -> Membership:
    """Join. Raises InvitationRefused; what is refused changes nothing and is audited in the
    workspace."""
    try:
        return _join(open_invitation(token, now), user, now)
    except InvitationRefused as refused:
        with every_workspace():
            found = (
                Invitation.objects.select_related("workspace")
                .filter(digest=digest_of(token))
                .first()
            )
        _note_refusal(found, user, refused.reason)
        raise


def accept_waiting(number: str, user: User, now: datetime) -> Membership:
    """Join by one of `open_for`, whose mailbox the user has proved. Raises InvitationRefused.

    What is refused is audited if the invitation was this user's: numbers can be guessed, tokens
    cannot.
    """
    with every_workspace():
        own = Invitation.objects.select_related("workspace").filter(
            email__in=verified_addresses(user)
        )
        meant = next((invitation for invitation in own if str(invitation.pk) == number), None)
    try:
        if meant is None or meant not in open_for(user):
            raise InvitationRefused(
                "unknown", _("This invitation is no longer open. Ask for a new one.")
            )
        return _join(meant, user, now)
    except InvitationRefused as refused:
        _note_refusal(meant, user, refused.reason)
        raise


def _note_refusal(found: Invitation | None, user: User, reason: str) -> None:
    if found is not None:
        with scope(found.workspace):
            audit.record(
                found.workspace,
                "invitation refused",
                found.email,
                by=user,
                detail={"reason": reason},
            )


@transaction.atomic
def _join(invitation: Invitation, user: User, now: datetime) -> Membership:
    if invitation.email not in verified_addresses(user):
        raise InvitationRefused(
            "foreign",
            _(
                "This invitation is for %(invited)s, and you are signed in as %(own)s. Sign in "
                "with the invited address, or ask for an invitation to yours."
            )
            % {"invited": invitation.email, "own": user.email},
        )
    # As it is now: renewed meanwhile, the link is another one and the role may be lower. The
    # workspace's lock makes one person with two invitations join once.
    workspaces.lock(invitation.workspace_id)
    invitation = _open(invitation.digest, now, lock=True)
    workspace = invitation.workspace
    with scope(workspace):
        Invitation.objects.filter(pk=invitation.pk).update(accepted_at=now, accepted_by=user)
        member = Membership.objects.filter(user=user).first()
        if member is None:
            member = workspaces.add_member(
                workspace, user, invitation.role, invited_at=invitation.invited_at
            )
        audit.record(workspace, "invitation accepted", user, by=user, detail={"role": member.role})
    return member


def verified_addresses(user: User) -> set[str]:
    """The mailboxes that are known to be the user's, in lower case."""
    known = EmailAddress.objects.filter(user=user)
    if not known.exists():  # made by an operator or a command, which vouch for it
        return {user.email.lower()}
    return {
        address.lower() for address in known.filter(verified=True).values_list("email", flat=True)
    }


def open_for(user: User) -> list[Invitation]:
    """Invitations that wait for this user, newest first: the mail may be lost, the mailbox is
    known."""
    with every_workspace():
        waiting = Invitation.objects.filter(
            OPEN_INVITATION,
            email__in=verified_addresses(user),
            expires_at__gt=timezone.now(),
            workspace__deletion_due_at=None,
        )
        asked = waiting.exclude(invited_by__is_active=False).select_related(
            "workspace", "invited_by"
        )
        return list(asked.order_by("-invited_at"))
