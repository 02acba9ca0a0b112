"""Service-account keys and access tokens: the part of oauth2.googleapis.com that a server
application meets."""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from delivery.providers.fcm.sandbox.replies import Reply, grant_error, json_reply, unauthenticated

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFETIME_SECS = 3600
CLOCK_SKEW_SECS = 300
# google-auth signs for this audience whatever the token_uri says, so a stand-in has to take it.
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
MESSAGING_SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    }
)
_BAD_TIMES = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
_CACHED_TOKENS = 1000


@dataclass(slots=True, frozen=True)
class PublicKey:
    """What the sandbox keeps of a service account: never the private key."""

    project_id: str
    key_id: str
    client_email: str
    pem: str


@dataclass(slots=True, frozen=True)
class Grant:
    """What an access token allows."""

    project_id: str
    expires_at: int
    may_send: bool


def new_key_file(project_id: str, base_url: str) -> tuple[PublicKey, dict[str, str]]:
    """Make an RSA 2048 key (about 50 ms); return what to keep and the service-account JSON to
    hand out."""
    private_key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    private_pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_pem = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    email = f"pushpilot@{project_id}.iam.gserviceaccount.com"
    key = PublicKey(project_id, secrets.token_hex(20), email, public_pem.decode())
    return key, {
        "type": "service_account",
        "project_id": project_id,
        "private_key_id": key.key_id,
        "private_key": private_pem.decode(),
        "client_email": email,
        "client_id": str(secrets.randbelow(10**21)),
        "auth_uri": f"{base_url}/auth",
        "token_uri": f"{base_url}/token",
        "universe_domain": "googleapis.com",
    }


class TokenDesk:
    """Checks assertions against known keys, and issues and reads access tokens signed with
    `secret`."""

    def __init__(self, secret: bytes, keys: list[PublicKey]) -> None:
        self._secret = secret
        self._by_email: dict[str, list[tuple[PublicKey, Any]]] = {}
        self._read_tokens: dict[str, Grant] = {}
        for key in keys:
            self.add(key)

    def add(self, key: PublicKey) -> None:
        """Accept assertions signed with this key from now on."""
        loaded = serialization.load_pem_public_key(key.pem.encode())
        self._by_email.setdefault(key.client_email, []).append((key, loaded))

    @property
    def project_ids(self) -> list[str]:
        """Every project that has a key."""
        return sorted({key.project_id for listed in self._by_email.values() for key, _ in listed})

    def grant(self, form: bytes, base_url: str) -> Reply:
        """Answer POST /token (blocks about 0.1 ms for the signature). Raises Reply for every
        refusal."""
        fields = parse_qs(form.decode("latin-1"), max_num_fields=20)
        grant_type = fields.get("grant_type", [""])[0]
        if grant_type != GRANT_TYPE:
            raise grant_error("unsupported_grant_type", f"Invalid grant_type: {grant_type[:100]}")
        assertion = fields.get("assertion", [""])[0]
        if not assertion:
            raise grant_error("invalid_request", "Missing required parameter: assertion")
        project_id, scopes = self._verified(assertion, base_url)
        if not scopes:
            raise grant_error("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        token = self._issue(project_id, may_send=not MESSAGING_SCOPES.isdisjoint(scopes))
        reply = {
            "access_token": token,
            "expires_in": TOKEN_LIFETIME_SECS - 1,
            "token_type": "Bearer",
        }
        return json_reply(reply)

    def read(self, authorization: str | None) -> Grant:
        """The grant behind an Authorization header. Raises Reply 401 when there is none."""
        if not authorization:
            raise unauthenticated("CREDENTIALS_MISSING")
        scheme, _, token = authorization.partition(" ")
        grant = self._read_tokens.get(token) or self._opened(token)
        if scheme.lower() != "bearer" or grant is None:
            raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED")
        if grant.expires_at <= time.time():
            raise unauthenticated("ACCESS_TOKEN_EXPIRED")
        return grant

    def _verified(self, assertion: str, base_url: str) -> tuple[str, list[str]]:
        """Return (project, scopes) of a valid assertion; raises Reply in Google's words."""
        try:
            unverified = jwt.decode(assertion, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise grant_error("invalid_grant", "Invalid JWT: Failed to parse.") from None
        email = unverified.get("iss")
        known = []
        if isinstance(email, str):
            known = self._by_email.get(email, [])
        if not known:
            raise grant_error("invalid_grant", "Invalid grant: account not found")
        for key, loaded in known:
            claims = self._claims(assertion, loaded, base_url)
            if claims is not None:
                scope = claims.get("scope")
                return key.project_id, scope.split() if isinstance(scope, str) else []
        raise grant_error("invalid_grant", "Invalid JWT Signature.")

    def _claims(self, assertion: str, key: Any, base_url: str) -> dict[str, Any] | None:
        """The claims, or None when this key did not sign them. Raises Reply when it did and they
        are wrong."""
        try:
            claims: dict[str, Any] = jwt.decode(
                assertion,
                key,
                algorithms=["RS256"],
                audience=[f"{base_url}/token", GOOGLE_AUDIENCE],
                leeway=CLOCK_SKEW_SECS,
                options={"require": ["iss", "aud", "exp", "iat"]},
            )
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            return None
        except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
            is_about_time = isinstance(error, jwt.MissingRequiredClaimError) and error.claim in (
                "exp",
                "iat",
            )
            why = "Invalid JWT: Failed audience check."
            if is_about_time:
                why = _BAD_TIMES
            raise grant_error("invalid_grant", why) from None
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise grant_error("invalid_grant", _BAD_TIMES) from None
        if float(claims["exp"]) - float(claims["iat"]) > TOKEN_LIFETIME_SECS + CLOCK_SKEW_SECS:
            raise grant_error("invalid_grant", _BAD_TIMES)
        return claims

    def _issue(self, project_id: str, *, may_send: bool) -> str:
        expires_at = int(time.time()) + TOKEN_LIFETIME_SECS
        text = f"{project_id}|{expires_at}|{int(may_send)}|{secrets.token_hex(4)}"
        sealed = base64.urlsafe_b64encode(text.encode()).decode()
        return f"ya29.{sealed}.{self._seal(sealed)}"

    def _seal(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def _opened(self, token: str) -> Grant | None:
        prefix, _, rest = token.partition(".")
        sealed, _, seal = rest.partition(".")
        if prefix != "ya29" or not hmac.compare_digest(
            self._seal(sealed).encode(), seal.encode("utf-8", "replace")
        ):
            return None
        project_id, expires_at, may_send, _ = base64.urlsafe_b64decode(sealed).decode().split("|")
        grant = Grant(project_id, int(expires_at), may_send == "1")
        if len(self._read_tokens) >= _CACHED_TOKENS:
            self._read_tokens.clear()
        self._read_tokens[token] = grant
        return grant
