"""Mails on the console, for EMAIL_URL=console://."""

from __future__ import annotations

import copy
from typing import Any

from django.core.mail.backends import console

from pushpilot.lib.redaction import without_secrets


class EmailBackend(console.EmailBackend):
    """Prints links that open an account to a terminal only: all other output ends in a log."""

    def write_message(self, message: Any) -> None:
        if not self.stream.isatty():
            message = copy.copy(message)
            message.body = without_secrets(message.body)
            parts = getattr(message, "alternatives", [])
            message.alternatives = [
                part._replace(content=without_secrets(part.content)) for part in parts
            ]
        super().write_message(message)
