"""A device with a passkey, in software (what a browser's navigator.credentials answers), and an app
that uses it."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from tests.tenants.api.app import App
from tests.tenants.identity.people import PASSWORD

ENROLL, AUTHENTICATE = "/auth/biometric/enroll", "/auth/biometric/authenticate"
ORIGIN = "https://testserver"
_FLAG = AuthenticatorData.FLAG


class Device:
    """`verifies`: it asks for a finger or a PIN."""

    def __init__(self, *, verifies: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(16)
        self.user_handle = ""
        self.flags = _FLAG.UP | (_FLAG.UV if verifies else _FLAG(0))
        self.count = 0

    def create(self, options: dict[str, Any], *, origin: str = ORIGIN) -> dict[str, Any]:
        """The credential of a new passkey."""
        self.user_handle = options["user"]["id"]
        said = self._said("webauthn.create", options["challenge"], origin)
        public = ES256.from_cryptography_key(self.key.public_key())
        made = AttestedCredentialData.create(Aaguid.NONE, self.id, public)
        data = self._data(options["rp"]["id"], self.flags | _FLAG.AT, made)
        resident = options["authenticatorSelection"]["residentKey"] == "required"
        return {
            **self._names(),
            "clientExtensionResults": {"credProps": {"rk": resident}},
            "response": {
                "clientDataJSON": websafe_encode(said),
                "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
            },
        }

    def get(self, options: dict[str, Any], *, origin: str = ORIGIN) -> dict[str, Any]:
        """The credential that shows who holds the passkey."""
        said = self._said("webauthn.get", options["challenge"], origin)
        data = self._data(options["rpId"], self.flags)
        signature = self.key.sign(data + said.hash, ec.ECDSA(hashes.SHA256()))
        return {
            **self._names(),
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": websafe_encode(said),
                "authenticatorData": websafe_encode(data),
                "signature": websafe_encode(signature),
                "userHandle": self.user_handle,
            },
        }

    def _names(self) -> dict[str, Any]:
        name = websafe_encode(self.id)
        return {"id": name, "rawId": name, "type": "public-key"}

    def _data(self, rp: str, flags: Any, made: Any = b"") -> AuthenticatorData:
        self.count += 1
        digest = hashlib.sha256(rp.encode()).digest()
        return AuthenticatorData.create(digest, flags, self.count, made)

    @staticmethod
    def _said(kind: str, challenge: str, origin: str) -> CollectedClientData:
        return CollectedClientData.create(kind, websafe_decode(challenge), origin)


def prove(app: App) -> None:
    answer = app.post("/auth/reauthenticate", password=PASSWORD)
    assert answer.json() == {
        "is_proved": True,
        "methods": answer.json()["methods"],
        "options": None,
    }


def enroll(app: App, device: Device, **more) -> dict:
    prove(app)
    passwordless = {"passwordless": more.pop("passwordless", True)}
    options = app.post(ENROLL, **passwordless).json()["options"]
    answer = app.post(ENROLL, credential=device.create(options), **passwordless, **more)
    assert answer.status_code == 201, answer.content
    return answer.json()


def sign_in_with(device: Device, app: App | None = None, **first) -> object:
    app = app or App()
    begun = app.post(AUTHENTICATE, **first)
    assert begun.status_code == 202, begun.content
    token, options = begun.json()["passkey_token"], begun.json()["options"]
    return app.keep(app.post(AUTHENTICATE, passkey_token=token, credential=device.get(options)))
