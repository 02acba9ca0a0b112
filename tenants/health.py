"""What this layer can check of itself: can stored credentials be decrypted, do account mails
leave?"""

from __future__ import annotations

import smtplib
from datetime import datetime

from django.conf import settings
from django.core.mail import get_connection
from django.db.models import TextField
from django.db.models.functions import Cast

from pushpilot.lib.display import counted
from pushpilot.lib.health import Line, broken, ok, warning
from tenants import secrets
from tenants.models import Connection
from tenants.scope import every_workspace

CANARIES = 200  # 30 µs each; the oldest first: they are the ones that an earlier key made
SMTP_PROBE_SECS = 3


def encryption(now: datetime) -> Line:
    """Do ENCRYPTION_KEYS decrypt what is stored? Tried on the oldest sealed credentials
    themselves."""
    title = "Encryption"
    with every_workspace():
        # Cast, so that the field does not decrypt: the first failure would hide how many there are.
        rows = (
            Connection.objects.exclude(sealed="")
            .annotate(raw=Cast("sealed", TextField()))
            .order_by("pk")
        )
        tokens = list(rows.values_list("raw", flat=True)[:CANARIES])
    found = secrets.Rotation()
    for token in tokens:
        found.fresh(token, "")
    if found.unreadable:
        return broken(
            title,
            f"{len(found.unreadable)} of {counted(len(tokens), 'stored credential')} cannot be "
            "decrypted: no key fits.",
            "Put the key that encrypted them back into ENCRYPTION_KEYS, after the current one.",
        )
    if secrets.decrypt(secrets.encrypt("canary")) != "canary":
        return broken(title, "What was just encrypted reads differently.", "Check ENCRYPTION_KEYS.")
    tried = "Nothing is stored yet"
    if tokens:
        tried = f"{counted(len(tokens), 'stored credential')} decrypted"
    older = ""
    if found.moved:
        older = f", {found.moved} under an older key (manage.py rotate_secrets moves them)"
    return ok(title, f"{tried}{older}; {counted(len(settings.ENCRYPTION_KEYS), 'key')} configured.")


def mail(now: datetime) -> Line:
    """Does the mail server take our connection and sign-in? Nothing is sent."""
    title, backend = "Mail", settings.EMAIL_BACKEND.rsplit(".", 2)[-2]
    if backend == "console":
        return warning(
            title,
            "Account mails are printed to the log and reach nobody.",
            "Set EMAIL_URL, for example smtp+tls://user:password@mail.example.com:587.",
        )
    if backend == "filebased":
        where = getattr(settings, "EMAIL_FILE_PATH", None) or "a folder"
        return warning(
            title, f"Account mails are files in {where}.", "Set EMAIL_URL to your mail server."
        )
    if backend != "smtp":
        return ok(title, f"Sent by the {backend} backend.")
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    connection = get_connection(timeout=SMTP_PROBE_SECS)
    try:
        connection.open()
        connection.close()
    except (OSError, smtplib.SMTPException) as error:
        return broken(
            title,
            f"{server} does not take mail: {_reason(error)}.",
            "Check EMAIL_URL and the mail server.",
        )
    return ok(title, f"{server} takes our connection.")


def _reason(error: Exception) -> str:
    """In words, without what a server might repeat of our password."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "it refuses the user or password"
    return (getattr(error, "strerror", None) or type(error).__name__).rstrip(".")
