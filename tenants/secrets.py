"""Encryption at rest for provider credentials, on top of django-fernet-encrypted-fields.

Three traps of its version 0.4 are closed here: one failed form validation switched decryption
off for the whole process (a shared flag in `clean`), a wrong key gave back the ciphertext in
silence, and a ciphertext copied into another row decrypted there. So: decryption happens only
when a row is read, a failure raises, and the plaintext carries the workspace and field that it
belongs to, which `unseal` verifies.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.translation import gettext as _
from encrypted_fields.fields import EncryptedTextField


class SecretUnreadable(Exception):
    """No configured key decrypts a stored secret, or it was sealed for another row."""


def _keys() -> list[bytes]:
    digests = (hashlib.sha256(key.encode()).digest() for key in settings.ENCRYPTION_KEYS)
    return [base64.urlsafe_b64encode(digest) for digest in digests]


def _fernet() -> MultiFernet:
    """The first of ENCRYPTION_KEYS encrypts, all decrypt."""
    return MultiFernet([Fernet(key) for key in _keys()])


def _opens(fernet: Fernet | MultiFernet, token: str) -> bool:
    try:
        fernet.decrypt(token.encode())
    except (InvalidToken, UnicodeEncodeError):
        return False
    return True


def encrypt(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Raises SecretUnreadable if none of ENCRYPTION_KEYS made the token."""
    try:
        return _fernet().decrypt(token.encode()).decode()
    except (InvalidToken, UnicodeEncodeError) as error:
        words = _("This cannot be decrypted: none of ENCRYPTION_KEYS fits.")
        raise SecretUnreadable(words) from error


@dataclass(slots=True)
class Rotation:
    """Moves tokens to the first of ENCRYPTION_KEYS, and counts what it met."""

    current: int = 0  # were under the first key already
    moved: int = 0  # were under a later one
    unreadable: list[str] = field(default_factory=list)  # where no key fits

    def fresh(self, token: str, where: str) -> str:
        """The token under the first key; as it is if it is that already, or if no key fits."""
        if _opens(Fernet(_keys()[0]), token):
            self.current += 1
        elif not _opens(_fernet(), token):
            self.unreadable.append(where)
        else:
            self.moved += 1
            return _fernet().rotate(token).decode()
        return token

    def __add__(self, other: Rotation) -> Rotation:
        return Rotation(
            self.current + other.current,
            self.moved + other.moved,
            [*self.unreadable, *other.unreadable],
        )


def digest_of(token: str) -> str:
    """What is kept of a token that nobody has to read again: it is long and random, so SHA-256
    needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class SealedTextField(EncryptedTextField):
    """Text that is encrypted in the database. The model seals with `seal` before saving and
    reads with `unseal`."""

    @cached_property
    def f(self) -> MultiFernet:
        return _fernet()

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if not value:
            return value
        try:
            return decrypt(value)
        except SecretUnreadable as error:
            words = _(
                "%(field)s cannot be decrypted: none of ENCRYPTION_KEYS fits. Put the key that "
                "encrypted it back into ENCRYPTION_KEYS (after the new one)."
            )
            name = f"{self.model._meta.label}.{self.name}"
            raise SecretUnreadable(words % {"field": name}) from error

    def get_prep_value(self, value: Any) -> str:
        """Nothing to hide is stored as "", where the library stores NULL."""
        return super().get_prep_value(value) or ""

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: Any) -> str:
        """Nothing, so that `dumpdata` and every other serializer leave it out; a backup of the
        database has it."""
        return ""

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
        raise SecretUnreadable(
            _("This secret was encrypted for another workspace. Enter the credentials again.")
        )
    return str(found["secret"])
