"""How much one person may start in a day: an invitation mails a stranger, and a new workspace
can invite more of them.

Counted in the audit trail, not in the cache: a day outlives it, every process sees the same, and
what was rolled back does not count.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushpilot.lib.display import exact_span, format_number
from tenants.models import AuditEntry, Invitation, User, Workspace
from tenants.scope import every_workspace

DAY = timedelta(days=1)
MAIL_AGAIN_AFTER = timedelta(minutes=2)  # a mail to the same address from the same workspace


class TooMany(ValidationError):
    """`retry_after_secs` from now it will do."""

    def __init__(self, what: str, wait: timedelta) -> None:
        self.retry_after_secs = max(1, math.ceil(wait.total_seconds()))
        minutes = math.ceil(self.retry_after_secs / 60)
        secs = 60 * minutes if minutes < 60 else 3600 * math.ceil(minutes / 60)
        again = _("Try again in %(span)s.") % {"span": exact_span(secs)}
        super().__init__(f"{what} {again}", code="too_many")


def check_invitations(
    workspace: Workspace, emails: Collection[str], *, by: User, now: datetime
) -> None:
    """Raises TooMany if the workspace, or the person anywhere, would invite more than
    INVITATIONS_PER_DAY, or one of the addresses was mailed just now."""
    mailed = Invitation.objects.filter(
        workspace=workspace, email__in=emails, sent_at__gt=now - MAIL_AGAIN_AFTER
    )
    last = mailed.order_by("-sent_at").first()
    if last is not None and last.sent_at is not None:
        raise TooMany(
            _("A link was just mailed to %(email)s.") % {"email": last.email},
            last.sent_at + MAIL_AGAIN_AFTER - now,
        )
    limit = settings.INVITATIONS_PER_DAY
    count = {"count": format_number(limit)}
    of_workspace = ngettext(
        "A workspace can send %(count)s invitation a day.",
        "A workspace can send %(count)s invitations a day.",
        limit,
    )
    of_person = ngettext(
        "A person can send %(count)s invitation a day.",
        "A person can send %(count)s invitations a day.",
        limit,
    )
    for what, whose in (
        (of_workspace % count, {"workspace": workspace}),
        (of_person % count, {"actor": by}),
    ):
        _check(what, limit, len(emails), now, action="member invited", **whose)


def check_new_workspace(by: User, now: datetime) -> None:
    """Raises TooMany if the person has created WORKSPACES_PER_DAY."""
    limit = settings.WORKSPACES_PER_DAY
    what = ngettext(
        "A person can create %(count)s workspace a day.",
        "A person can create %(count)s workspaces a day.",
        limit,
    )
    _check(
        what % {"count": format_number(limit)}, limit, 1, now, action="workspace created", actor=by
    )


def _check(what: str, limit: int, more: int, now: datetime, **counted: Any) -> None:
    with every_workspace():
        entries = AuditEntry.objects.filter(at__gt=now - DAY, **counted).order_by("-at", "-id")
        # The youngest that has to grow a day old before there is room for `more`.
        at = max(0, limit - more)
        blocking = list(entries.values_list("at", flat=True)[at : at + 1])
    if blocking:
        raise TooMany(what, blocking[0] + DAY - now)
