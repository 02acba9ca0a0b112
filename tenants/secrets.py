"""Encryption at rest for provider credentials, on top of django-fernet-encrypted-fields.

Three traps of its version 0.4 are closed here: one failed form validation switched decryption off for the
whole process (a shared flag in `clean`), a wrong key gave back the ciphertext in silence, and a ciphertext
copied into another row decrypted there. So: decryption happens only when a row is read, a failure raises, and
the plaintext carries the workspace and field that it belongs to, which `unseal` verifies.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cached_property
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from encrypted_fields.fields import EncryptedTextField


class SecretUnreadable(Exception):
    """No configured key decrypts a stored secret, or it was sealed for another row."""


class SealedTextField(EncryptedTextField):
    """Text that is encrypted in the database. The model seals with `seal` before saving and reads with `unseal`."""

    @cached_property
    def keys(self) -> list[bytes]:
        return [base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()) for key in settings.ENCRYPTION_KEYS]

    @cached_property
    def f(self) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in self.keys])

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if not value:
            return value
        try:
            return self.f.decrypt(value.encode()).decode()
        except (InvalidToken, UnicodeEncodeError) as error:
            raise SecretUnreadable(
                f"{self.model._meta.label}.{self.name} cannot be decrypted: none of ENCRYPTION_KEYS fits. Put the "
                "key that encrypted it back into ENCRYPTION_KEYS (after the new one)."
            ) from error

    def to_python(self, value: Any) -> Any:
        return value

    def clean(self, value: Any, model_instance: Any) -> Any:
        self.validate(value, model_instance)
        self.run_validators(value)
        return value


def seal(secret: str, *, workspace_id: int, field: str) -> str:
    return json.dumps({"workspace": workspace_id, "field": field, "secret": secret})


def unseal(sealed: str, *, workspace_id: int, field: str) -> str:
    """The secret. Raises SecretUnreadable if it was sealed for another workspace or field."""
    try:
        found = json.loads(sealed)
        bound = (found["workspace"], found["field"]) == (workspace_id, field)
    except (ValueError, KeyError, TypeError):
        bound = False
    if not bound:
        raise SecretUnreadable("This secret was encrypted for another workspace. Enter the credentials again.")
    return str(found["secret"])
