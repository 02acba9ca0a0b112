"""Does a mail leave this server? Pages promise a mail only if a mail server took it."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.mail import EmailMessage
from django.http import HttpRequest

logger = logging.getLogger(__name__)
# Django's backends that print a mail, write it to a folder or drop it.
_KEEPS_MAIL = ("console", "filebased", "dummy")
_REFUSED = "mail_refused"


def leaves() -> bool:
    """Is there a mail server?"""
    return settings.EMAIL_BACKEND.rsplit(".", 2)[-2] not in _KEEPS_MAIL


def send(message: EmailMessage, what: str) -> bool:
    """True if a mail server took the message. A refusal is logged as `what`, never raised: a
    mail is news of something that is done already."""
    try:
        message.send()
    except Exception:  # every mail backend has errors of its own
        logger.warning("%s could not be mailed", what, exc_info=True)
        return False
    return leaves()


def remember(request: HttpRequest | None, taken: bool) -> None:
    """Keep for the next page of this session whether the mail server refused the last mail."""
    if request is None or not hasattr(request, "session"):
        return
    request.session.pop(_REFUSED, None)
    if leaves() and not taken:
        request.session[_REFUSED] = True


def fate(request: HttpRequest | None) -> str:
    """What became of the session's last mail: "sent", "kept" on this server, or "refused" by the
    mail server."""
    if not leaves():
        return "kept"
    if request is not None and request.session.get(_REFUSED):
        return "refused"
    return "sent"
