"""Error reports without secrets, whether DEBUG is on or an error handler mails them."""

from __future__ import annotations

import re
from collections.abc import ItemsView
from typing import Any

from django.http import HttpRequest, QueryDict
from django.views.debug import SafeExceptionReporterFilter

__all__ = ["SecretsHidden"]

# By name, for what nobody could tell by its look; by look, for what travels under any name.
_NAME = re.compile(
    r"secret|passw|token|sealed|credential|private|service_acc|\binfo|pem\b|key_(text|file)|otp|code$",
    re.IGNORECASE,
)
_LOOK = re.compile(r"PRIVATE KEY|private_key|gAAAAA|pp_(live|test)_[\w-]{20}|ya29\.|Bearer |eyJ[\w-]+\.eyJ")
_PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]*@")


class SecretsHidden(SafeExceptionReporterFilter):
    """Hides local variables and form values by name and by look. Django's own hides only what is decorated, and nothing
    while DEBUG is on; one function that somebody forgets to decorate is enough to show a private key."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def cleanse_setting(self, key: str | int, value: Any) -> Any:
        """Addresses of databases and mail servers lose their password; under `runserver` META holds them too."""
        cleansed = super().cleanse_setting(key, value)
        return _PASSWORD_IN_ADDRESS.sub("…@", cleansed) if isinstance(cleansed, str) else cleansed

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        given: dict[str, Any] = super().get_post_parameters(request)
        cleansed = given.copy()
        for name in given:
            values = given.getlist(name) if isinstance(given, QueryDict) else [given[name]]
            if any(self._is_secret(name, value) for value in values):
                cleansed[name] = self.cleansed_substitute
        return cleansed

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> ItemsView[str, Any]:
        shown = super().get_traceback_frame_variables(request, tb_frame)
        hidden = self.cleansed_substitute
        return {name: hidden if self._is_secret(name, value) else value for name, value in shown}.items()

    def _is_secret(self, name: str, value: Any) -> bool:
        if _NAME.search(name):
            return True
        try:
            return bool(_LOOK.search(repr(value)))
        except Exception:
            return False  # the report says itself that it cannot be shown
