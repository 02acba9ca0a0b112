"""What operators do to users and workspaces, and the history of it. Doors call a verb and show
what it raises."""

from __future__ import annotations

import json
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext as _

from tenants import audit
from tenants.models import User


# --- the history ----------------------------------------------------------------------------------
def record(by: User, did: str, row: models.Model, **detail: Any) -> None:
    """Append to the operators' history. `did` is a verb in the past: "sessions ended". Never a
    secret in `detail`.

    What concerns a workspace enters its audit trail too, for its owner: by the verb itself.
    """
    LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=CHANGE,
        change_message=json.dumps({"did": did, "address": audit.address(), "detail": detail}),
    )


def history_of(row: models.Model) -> models.QuerySet[LogEntry]:
    """The operators' actions on one row, the latest first."""
    kind = ContentType.objects.get_for_model(row)
    return (
        LogEntry.objects.filter(content_type=kind, object_id=str(row.pk))
        .select_related("user")
        .order_by("-pk")
    )


def told(entry: LogEntry) -> dict[str, Any]:
    """What `record` wrote: {"did", "address", "detail"}. Entries of other hands have their
    message as "did"."""
    try:
        found = json.loads(entry.change_message)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        found = {"did": entry.get_change_message() or str(entry.get_action_flag_display()).lower()}
    return {"address": None, "detail": {}, **found}


# --- users ----------------------------------------------------------------------------------------
def end_sessions(user: User) -> int:
    """Sign the user out everywhere, in browsers and of the API: each sign-in through allauth has
    a row. How many."""
    sessions = list(UserSession.objects.filter(user=user))
    for session in sessions:
        session.end()
    return len(sessions)


@transaction.atomic
def deactivate(user: User, *, by: User) -> None:
    """Shut the user out at once: no sign-in, no session, no API, nor by the secret keys they
    made, which are refused while they are deactivated. What they wrote stays. Raises
    ValidationError."""
    current = _locked(user, by)
    if current.pk == by.pk:
        raise ValidationError(_("You cannot deactivate yourself. Ask another operator."))
    current.is_active = False
    current.save(update_fields=["is_active", "updated_at"])
    end_sessions(current)


def reactivate(user: User) -> None:
    """Let the user sign in again, with the password and the roles they had."""
    User.objects.filter(pk=user.pk).update(is_active=True)


@transaction.atomic
def make_operator(user: User, *, by: User) -> None:
    """Raises ValidationError for somebody who is shut out."""
    current = _locked(user, by)
    if not current.is_active:
        raise ValidationError(
            _("%(user)s is deactivated. Reactivate them first.") % {"user": current}
        )
    current.is_superuser = True
    current.save(update_fields=["is_superuser", "updated_at"])


@transaction.atomic
def remove_operator(user: User, *, by: User) -> None:
    """Raises ValidationError for oneself; so there is always one operator left: the one who
    asks."""
    current = _locked(user, by)
    if current.pk == by.pk:
        raise ValidationError(_("You cannot remove yourself as an operator. Ask another operator."))
    current.is_superuser = False
    current.save(update_fields=["is_superuser", "updated_at"])


def _locked(user: User, by: User) -> User:
    """The user as they are now. Of two operators who act on each other in the same moment the
    second is refused."""
    ids = sorted({user.pk, by.pk})
    rows = {
        row.pk: row for row in User.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    }
    asking = rows.get(by.pk)
    if asking is None or not (asking.is_active and asking.is_superuser):
        raise ValidationError(_("You are no longer an operator."))
    if user.pk not in rows:
        raise ValidationError(_("This user was deleted."))
    return rows[user.pk]
