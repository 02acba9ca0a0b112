"""The key file on the connection page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget

from delivery.providers.base import CredentialsForm
from delivery.providers.fcm.account import KEY_FILE_LIMIT_BYTES


class SecretTextarea(UnfoldAdminTextareaWidget):
    """Forgets what was typed: a form with an error must not send a private key back."""

    def format_value(self, value: Any) -> str:
        return ""


class KeyFileForm(CredentialsForm):
    """A service account, pasted or as a file."""

    nothing = gettext_lazy("Paste the service-account JSON, or upload the file.")

    key_text = forms.CharField(
        label=gettext_lazy("Service-account JSON"),
        required=False,
        strip=True,
        widget=SecretTextarea(
            {
                "placeholder": '{ "type": "service_account", … }',
                "rows": 6,
                "autocomplete": "off",
                "spellcheck": "false",
                "class": "connection-key",
            }
        ),
        help_text=gettext_lazy(
            "Firebase console → Project settings → Service accounts → Generate new private key. "
            "Paste the whole file. PushPilot encrypts it and never shows it again."
        ),
    )
    key_file = forms.FileField(
        label=gettext_lazy("Service-account file"),
        required=False,
        widget=UnfoldAdminFileFieldWidget({"accept": ".json,application/json"}),
    )

    def secret_field(self) -> str:
        if self.cleaned_data.get("key_file"):
            return "key_file"
        return "key_text"

    def secret(self) -> str:
        upload, text = (
            self.cleaned_data.get("key_file"),
            str(self.cleaned_data.get("key_text") or ""),
        )
        if upload and text:
            raise ValueError(_("Paste the JSON or upload the file, not both."))
        if upload:
            text = upload.read(KEY_FILE_LIMIT_BYTES + 1).decode("utf-8-sig", "replace")
        return text
