"""The verbs of a workspace and its people: create, change roles, remove, leave, hand over, delete.

Doors check capabilities; the rules that no role can break are here, each with its sentence.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from tenants import audit, keys, limits, purge
from tenants.models import OPEN_INVITATION, Invitation, Membership, User, Workspace
from tenants.roles import CONNECTIONS, MEMBERS, ROLE_CAPABILITIES, Role
from tenants.scope import every_workspace, scope

UNDO_DELETION = timedelta(days=7)
# What upper layers give a workspace that a person has just created: (workspace, owner), outside of
# a transaction.
ON_CREATED: list[Callable[[Workspace, User], None]] = []
# What upper layers stop when a workspace is to be deleted: called with (workspace, by) in its
# scope.
ON_DELETION: list[Callable[[Workspace, User], None]] = []


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """What an upper layer sends at a time that somebody read on a clock of another zone.

    `stays` and `moves` say in words what becomes of it; `moves` is "" if it cannot move any more.
    """

    pk: int
    name: str
    stays: str
    moves: str


# What a change of the time zone may move: (workspace, the new zone, now) → the sends, the next one
# first.
PLANNED_SENDS: list[Callable[[Workspace, str, datetime], list[PlannedSend]]] = []
# Moves them, in the transaction and scope of the change: (workspace, which of them; None: all, by).
ON_ZONE_CHANGE: list[Callable[[Workspace, Collection[int] | None, User], None]] = []

logger = logging.getLogger(__name__)


@transaction.atomic
def create_workspace(name: str, *, owner: User, **fields: Any) -> Workspace:
    """A workspace with its owner as the first member. Its slug comes from the name, made unique
    if taken."""
    slug = slugify(name)[:48] or "workspace"
    slug = f"workspace-{slug}" if slug.isdecimal() else slug
    given = {**fields, "name": name.strip(), "owner": owner}
    try:
        with transaction.atomic():
            workspace = Workspace.objects.create(slug=slug, **given)
    except IntegrityError:  # taken, perhaps in this moment
        workspace = Workspace.objects.create(slug=f"{slug}-{secrets.token_hex(3)}", **given)
    add_member(workspace, owner, Role.OWNER)
    with scope(workspace):
        audit.record(workspace, "workspace created", workspace, by=owner)
    return workspace


def create_workspace_for(user: User, name: str, *, now: datetime, **fields: Any) -> Workspace:
    """create_workspace, with what ON_CREATED gives it, for a person who asks for one. Raises
    limits.TooMany.

    Call outside of a transaction: an upper layer may ask another server.
    """
    with transaction.atomic():
        # two at once are counted one after the other
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        limits.check_new_workspace(user, now)
        workspace = create_workspace(name, owner=user, **fields)
    for give in ON_CREATED:
        give(workspace, user)
    return workspace


def add_member(
    workspace: Workspace, user: User, role: str, *, invited_at: datetime | None = None
) -> Membership:
    with scope(workspace):
        return Membership.objects.create(
            workspace=workspace, user=user, role=role, invited_at=invited_at
        )


@transaction.atomic
def change_settings(
    workspace: Workspace, fields: Mapping[str, Any], *, by: User, moved: Collection[int] | None = ()
) -> Workspace:
    """The workspace with these fields written. Raises ValidationError by field. The door checks
    the capability.

    `moved`: the planned sends (None: all) whose clock time is read in the new time zone from now
    on; the others keep the moment that was shown.
    """
    current = lock(workspace.pk)
    changes = {name: (getattr(current, name), value) for name, value in fields.items()}
    changes = {
        name: (before, after) for name, (before, after) in changes.items() if before != after
    }
    if not changes:
        return current
    for name, (_before, after) in changes.items():
        setattr(current, name, after)
    current.clean_fields(exclude={field.name for field in Workspace._meta.fields} - changes.keys())
    if "slug" in changes:
        check_slug(current)
    current.save(update_fields=[*changes, "updated_at"])
    audit.record(current, "workspace changed", current, by=by, changes=changes)
    if "time_zone" in changes and (moved is None or moved):
        for move in ON_ZONE_CHANGE:
            move(current, moved, by)
    return current


def planned_sends(workspace: Workspace, zone: str, now: datetime) -> list[PlannedSend]:
    """What the person who sets this time zone is asked about."""
    return [send for listed in PLANNED_SENDS for send in listed(workspace, zone, now)]


def check_slug(workspace: Workspace) -> None:
    """Raises ValidationError by field for a new address that reads as another workspace's: as
    its id, which stands in the same places, or but for capitals as its address."""
    slug = workspace.slug
    if slug.isdecimal():
        raise ValidationError(
            {"slug": _("Only digits would read as a workspace's id. Add a letter.")}
        )
    if slug != slug.lower():
        raise ValidationError({"slug": _("Write the web address in small letters.")})
    if Workspace.objects.filter(slug__iexact=slug).exclude(pk=workspace.pk).exists():
        raise ValidationError(
            {"slug": _("Another workspace has this address. Choose another one.")}
        )


# --- roles ----------------------------------------------------------------------------------------
def role_of(user: User, workspace: Workspace) -> str:
    """The user's role in the workspace; "" for outsiders."""
    with scope(workspace):
        return Membership.objects.filter(user=user).values_list("role", flat=True).first() or ""


def why_not_give(role: str, *, by_role: str) -> str:
    """The sentence that says why somebody of this role may not give that one; "" if they may. ""
    are outsiders."""
    if MEMBERS not in ROLE_CAPABILITIES.get(by_role, ()):
        return _(
            "You may not manage the members of this workspace. Ask one of its owners or admins."
        )
    if role == Role.OWNER and by_role != Role.OWNER:
        return _("Only an owner can make somebody an owner. Choose another role.")
    return ""


def why_not_change(membership: Membership, role: str, *, by: User, by_role: str) -> str:
    """The sentence that says why `by` (of that role) may not give the membership this role; ""
    if they may.

    `role` "" stands for removing the member.
    """
    if membership.user_id == by.pk:
        return _(
            "You cannot change your own role. Ask another owner or admin of this workspace, "
            "or leave it."
        )
    if membership.role == Role.OWNER and by_role != Role.OWNER:
        return _("%(person)s owns this workspace. Only an owner can change or remove an owner.") % {
            "person": membership.user
        }
    return why_not_give(role, by_role=by_role)


@transaction.atomic
def change_member(membership: Membership, role: str, *, by: User) -> None:
    """Give a member another role, or with "" remove them. Raises ValidationError with a sentence.

    What `by` may do is read again under the lock: the door asked before.
    """
    current = _locked(membership.workspace_id, membership.user)
    refusal = why_not_change(current, role, by=by, by_role=role_of(by, current.workspace))
    if refusal:
        raise ValidationError(refusal)
    _keep_an_owner(current, role)
    if role:
        taken = _take_back(current, role, by=by, why="role changed")
        before, current.role = current.role, role
        current.save(update_fields=["role"])
        changes = {"role": (before, role)}
        audit.record(
            current.workspace, "role changed", current.user, by=by, detail=taken, changes=changes
        )
    else:
        _end(current, by=by, action="member removed")


def leave(workspace: Workspace, user: User) -> None:
    """The user gives up their membership.

    Raises ValidationError for the last owner and for who has left already; the try is in the trail.
    """
    try:
        _leave(workspace, user)
    except ValidationError as error:
        audit.record(workspace, "leaving refused", user, by=user, detail={"why": error.messages[0]})
        raise


@transaction.atomic
def _leave(workspace: Workspace, user: User) -> None:
    current = _locked(workspace.pk, user)
    _keep_an_owner(current, "")
    _end(current, by=user, action="member left")


@transaction.atomic
def transfer_ownership(workspace: Workspace, to: User, *, by: User) -> None:
    """Make a member the owner; `by`, an owner, becomes admin. Raises ValidationError."""
    own = _locked(workspace.pk, by)
    heir = Membership.objects.select_related("user").filter(user=to).exclude(user=by).first()
    if own.role != Role.OWNER:
        raise ValidationError(_("Only an owner can hand the workspace over."))
    if heir is None:
        raise ValidationError(
            _("Choose a member of this workspace. Invite them first if they are not here yet.")
        )
    taken = _take_back(own, Role.ADMIN, by=by, why="ownership transferred")
    for membership, role in ((heir, Role.OWNER), (own, Role.ADMIN)):
        membership.role = role
        membership.save(update_fields=["role"])
    Workspace.objects.filter(pk=workspace.pk).update(owner=to)
    changes = {"owner": (str(by), str(to))}
    audit.record(
        workspace, "ownership transferred", workspace, by=by, detail=taken, changes=changes
    )


def lock(workspace_id: int) -> Workspace:
    """The workspace as it is now, until the transaction ends: who is in it and who may come
    changes one at a time.

    Rows that point at it can be written meanwhile: an event or a send does not wait.
    """
    return Workspace.objects.select_for_update(no_key=True).get(pk=workspace_id)


def _locked(workspace_id: int, user: User) -> Membership:
    """The membership as it is now; roles of its workspace change one at a time, so that one
    owner always stays.

    Raises ValidationError if it ended.
    """
    lock(workspace_id)
    found = (
        Membership.objects.select_related("user", "workspace")
        .filter(workspace=workspace_id, user=user)
        .first()
    )
    if found is None:
        raise ValidationError(_("%(user)s is no longer in this workspace.") % {"user": user})
    return found


def _keep_an_owner(current: Membership, role: str) -> None:
    """Raises ValidationError if the change would leave the workspace without an owner; moves
    `owner` on if needed."""
    if current.role != Role.OWNER or role == Role.OWNER:
        return
    heir = (
        Membership.objects.filter(role=Role.OWNER)
        .exclude(pk=current.pk)
        .order_by("joined_at", "pk")
        .first()
    )
    if heir is None:
        raise ValidationError(_("A workspace needs an owner. Make somebody else an owner first."))
    if current.workspace.owner_id == current.user_id:
        Workspace.objects.filter(pk=current.workspace_id).update(owner=heir.user_id)


def _end(current: Membership, *, by: User, action: str) -> None:
    """Take the person out: their rights and secret keys end now. Write keys stay, apps in the
    field hold them."""
    workspace, user = current.workspace, current.user
    taken = _take_back(current, "", by=by, why=action)
    role = current.role
    current.delete()
    audit.record(workspace, action, user, by=by, detail=taken, changes={"role": (role, None)})


def _take_back(current: Membership, role: str, *, by: User, why: str) -> dict[str, int]:
    """End what the member made and nobody of the new role ("": they go) could make; how many,
    for the trail.

    That is their secret keys, and their open invitations: by one to a second address of theirs
    they would come back.
    """
    workspace, holds, ended = current.workspace, ROLE_CAPABILITIES.get(role, frozenset()), 0
    lost = [] if CONNECTIONS in holds else keys.secret_keys_of(current.user)
    open_ones = Invitation.objects.filter(OPEN_INVITATION, workspace=workspace)
    for invitation in open_ones.filter(invited_by=current.user):
        is_void = bool(why_not_give(invitation.role, by_role=role))
        if is_void and open_ones.filter(pk=invitation.pk).update(revoked_at=timezone.now()):
            ended += 1
            audit.record(
                workspace, "invitation revoked", invitation.email, by=by, detail={"why": why}
            )
    return {"keys_revoked": keys.revoke(lost, by=by, why=why), "invitations_revoked": ended}


# --- the end --------------------------------------------------------------------------------------
def lock_if_open(workspace: Workspace) -> bool:
    """Keep the workspace from being closed until this transaction ends. False: it is closed
    already.

    For what must not begin in a closed workspace: either it is refused here, or `ask_deletion`
    waits and stops it.
    """
    # rows that point at it may be written meanwhile
    rows = Workspace.objects.select_for_update(no_key=True)
    return rows.filter(pk=workspace.pk, deletion_due_at=None).exists()


@transaction.atomic
def ask_deletion(workspace: Workspace, *, by: User, now: datetime) -> datetime:
    """Close the workspace at once; its rows go after UNDO_DELETION. Returns when. The door
    checks the capability."""
    due = now + UNDO_DELETION
    if not Workspace.objects.filter(pk=workspace.pk, deletion_due_at=None).update(
        deletion_due_at=due
    ):
        raise ValidationError(_("This workspace is being deleted already."))
    for stop in ON_DELETION:
        stop(workspace, by)
    audit.record(
        workspace, "workspace deletion asked", workspace, by=by, detail={"due": due.isoformat()}
    )
    workspace.deletion_due_at = due
    keys.forget_all()
    return due


@transaction.atomic
def undo_deletion(workspace: Workspace, *, by: User) -> None:
    """Open it again; runs that were stopped stay paused. Raises ValidationError if there is
    nothing to undo."""
    closing = Workspace.objects.filter(pk=workspace.pk, deletion_due_at__gt=timezone.now())
    if not closing.update(deletion_due_at=None):
        raise ValidationError(_("There is nothing to undo: this workspace is not being deleted."))
    workspace.deletion_due_at = None
    with scope(workspace):
        audit.record(workspace, "workspace deletion undone", workspace, by=by)


def closing_workspaces(user: User) -> list[Workspace]:
    """Those that the user owns and that wait for their deletion."""
    with every_workspace():
        owned = Workspace.objects.filter(memberships__user=user, memberships__role=Role.OWNER)
        return list(owned.filter(deletion_due_at__gt=timezone.now()).order_by("deletion_due_at"))


def purge_due(now: datetime, *, seconds: float = 20) -> None:
    """Delete the rows of workspaces whose day has come, of each for at most `seconds`; the next
    run of the job goes on.

    One that cannot be deleted is logged and tried again then: the others must not wait for it.
    """
    with every_workspace():
        for workspace in Workspace.objects.filter(deletion_due_at__lte=now).order_by(
            "deletion_due_at"
        ):
            until = timezone.now() + timedelta(seconds=seconds)
            try:
                if not purge.purge(workspace, until):
                    return
            except Exception:
                logger.exception(
                    "workspace %s (%s) cannot be deleted", workspace.pk, workspace.slug
                )
                continue
            logger.warning("workspace %s (%s) is deleted", workspace.pk, workspace.slug)
