"""Error reports and log lines without secrets, whether DEBUG is on or an error handler mails
them."""

from __future__ import annotations

import logging
import re
from collections.abc import ItemsView
from typing import Any

from django.http import HttpRequest, QueryDict
from django.views.debug import SafeExceptionReporterFilter

__all__ = ["Line", "SecretsHidden", "without_secrets"]

# By name, for what nobody could tell by its look; by look, for what travels under any name.
_NAME = re.compile(
    r"secret|passw|token|sealed|credential|private|service_acc|\binfo|pem\b|key_(text|file)"
    r"|otp|code$",
    re.IGNORECASE,
)
_LOOK = re.compile(
    r"PRIVATE KEY|private_key|gAAAAA|pp_(live|test|identity)_[\w-]{20}|pp_test_page\.|ya29\."
    r"|Bearer |eyJ[\w-]+\.eyJ"
)
# In running text: the part of a link that opens an account or a workspace, keys and tokens.
_IN_TEXT = re.compile(
    r"(?<=/invitations/)[\w-]{20,}|(?<=[?&]mailbox=)[\w%.:-]+"
    r"|(?<=/accounts/confirm-email/)[^/\s?\"'<>]+|(?<=/accounts/password/reset/key/)[^/\s?\"'<>]+"
    r"|pp_(?:live|test|identity)_[\w-]{20,}|pp_test_page\.[\w:-]+|(?<=Bearer "
    r")\S+|eyJ[\w-]+\.eyJ[\w.-]+|ya29\.[\w-]+"
)
_PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]*@")


def without_secrets(text: str) -> str:
    return _IN_TEXT.sub("[hidden]", text)


class Line(logging.Formatter):
    """A log line, with a traceback where our own code failed: what any visitor may cause (400,
    403, 404, a foreign host) is a line alone. A request for a page is logged with its address,
    which may be a link's."""

    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, "status_code", 500) < 500:
            record = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        return without_secrets(super().format(record))


class SecretsHidden(SafeExceptionReporterFilter):
    """Hides local variables and form values by name and by look. Django's own hides only what is
    decorated, and nothing while DEBUG is on; one function that somebody forgets to decorate is
    enough to show a private key."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def cleanse_setting(self, key: str | int, value: Any) -> Any:
        """Addresses of databases and mail servers lose their password; under `runserver` META
        holds them too."""
        cleansed = super().cleanse_setting(key, value)
        if isinstance(cleansed, str):
            return _PASSWORD_IN_ADDRESS.sub("…@", cleansed)
        return cleansed

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        given: dict[str, Any] = super().get_post_parameters(request)
        cleansed = given.copy()
        for name in given:
            values = given.getlist(name) if isinstance(given, QueryDict) else [given[name]]
            if any(self._is_secret(name, value) for value in values):
                cleansed[name] = self.cleansed_substitute
        return cleansed

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: Any
    ) -> ItemsView[str, Any]:
        shown = super().get_traceback_frame_variables(request, tb_frame)
        hidden = self.cleansed_substitute
        return {
            name: hidden if self._is_secret(name, value) else value for name, value in shown
        }.items()

    def _is_secret(self, name: str, value: Any) -> bool:
        if _NAME.search(name):
            return True
        try:
            return bool(_LOOK.search(repr(value)))
        except Exception:
            return False  # the report says itself that it cannot be shown
