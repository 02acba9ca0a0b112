"""Google and Apple in this process: real keys, real signatures, the checks that their token
endpoints make.

Use the fixture `identity_provider` (tests/conftest.py). Every other host is out of reach for a
sign-in.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from django.test import Client
from requests.adapters import BaseAdapter

GOOGLE, APPLE = "google", "apple"
CLIENT_IDS = {GOOGLE: "pushpilot.apps.googleusercontent.com", APPLE: "test.pushpilot.web"}
ISSUERS = {GOOGLE: "https://accounts.google.com", APPLE: "https://appleid.apple.com"}
KEY_ID, TEAM_ID, APPLE_KEY_ID = "signing-key-1", "TEAM012345", "KEY0123456"


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A throw-away key; "provider" is the one that the provider publishes."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def team_key() -> ec.EllipticCurvePrivateKey:
    """The key with which we sign our client secret for Apple."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@functools.cache
def certificate() -> str:
    """Google publishes its keys as certificates."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(rsa_key("provider").public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(rsa_key("provider"), hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def jwks() -> dict[str, Any]:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key("provider").public_key()))
    return {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def signed(
    claims: dict[str, Any], key: str = "provider", headers: dict[str, Any] | None = None
) -> str:
    return jwt.encode(claims, rsa_key(key), "RS256", headers=headers or {"kid": KEY_ID})


def by_public_key(claims: dict[str, Any]) -> str:
    """HS256 with the published key as the shared secret: right for who lets the token choose the
    algorithm."""
    head = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': KEY_ID})}.{part(claims)}"
    digest = hmac.new(public_pem(rsa_key("provider")), head.encode(), "sha256").digest()
    return f"{head}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def with_other_body(claims: dict[str, Any]) -> str:
    head, _, signature = signed({**claims, "sub": "somebody-else"}).split(".")
    return f"{head}.{part(claims)}.{signature}"


# How a token can be wrong: name → the id_token made of right claims. All must be refused,
# everywhere.
FORGERIES = {
    "signed by another key": lambda claims: signed(claims, "forger"),
    "of a key that nobody published": lambda claims: signed(
        claims, "forger", {"kid": "signing-key-2"}
    ),
    "without the name of a key": lambda claims: jwt.encode(claims, rsa_key("provider"), "RS256"),
    "with a body changed after signing": with_other_body,
    "not signed (alg none)": lambda claims: (
        f"{part({'alg': 'none', 'kid': KEY_ID})}.{part(claims)}."
    ),
    "signed by the public key (HS256)": by_public_key,
    "for another audience": lambda claims: signed({**claims, "aud": "another-app"}),
    "without an audience": lambda claims: signed(
        {name: claims[name] for name in claims if name != "aud"}
    ),
    "of another issuer": lambda claims: signed({**claims, "iss": "https://issuer.test"}),
    "expired": lambda claims: signed(
        {**claims, "iat": time.time() - 7200, "exp": time.time() - 3600}
    ),
    "without an end": lambda claims: signed(
        {name: claims[name] for name in claims if name != "exp"}
    ),
    "about nobody": lambda claims: signed({name: claims[name] for name in claims if name != "sub"}),
    "no token at all": lambda claims: "eyJhbGciOi",
    "empty": lambda claims: "",
}
# And in the redirect flow, where the sign-in began here and asked for a nonce.
REDIRECT_FORGERIES = {
    **FORGERIES,
    "made for another sign-in (nonce)": lambda claims: signed(
        {**claims, "nonce": "of-another-browser"}
    ),
    "made for no sign-in (no nonce)": lambda claims: signed(
        {name: claims[name] for name in claims if name != "nonce"}
    ),
}


@dataclass
class IdentityProvider(BaseAdapter):
    """`id_token` mints a token, `sign_in` walks a browser through the whole redirect flow."""

    grants: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    # --- tokens -----------------------------------------------------------------------------------
    def claims(self, provider: str, **said: Any) -> dict[str, Any]:
        """Right claims about Asha Rao, changed by `said`; a value of None leaves the claim out."""
        now = int(time.time())
        claims = {
            "iss": ISSUERS[provider], "aud": CLIENT_IDS[provider], "sub": f"{provider}-asha", "iat": now,
            "exp": now + 3600, "email": "asha@example.com", "email_verified": True,
        }  # fmt: skip
        if provider == GOOGLE:
            claims |= {"name": "Asha Rao", "given_name": "Asha", "family_name": "Rao"}
        claims |= said
        return {name: value for name, value in claims.items() if value is not None}

    def id_token(self, provider: str, *, forgery: str = "", **said: Any) -> str:
        """A token as the provider's SDK hands it to a native app; `forgery` names one of
        FORGERIES."""
        claims = self.claims(provider, **said)
        return REDIRECT_FORGERIES[forgery](claims) if forgery else signed(claims)

    # --- a browser's way --------------------------------------------------------------------------
    def start(self, client: Client, provider: str, **query: str) -> dict[str, str]:
        """What the provider is asked after "Continue with …": the query of its authorize
        address."""
        answer = client.post(f"/accounts/{provider}/login/", query)
        assert answer.status_code == 302, answer.content.decode()
        address = urlsplit(answer.headers["Location"])
        assert (
            address.hostname
            == {GOOGLE: "accounts.google.com", APPLE: "appleid.apple.com"}[provider]
        )
        return dict(parse_qsl(address.query))

    def approve(
        self, provider: str, asked: dict[str, str], *, forgery: str = "", **said: Any
    ) -> str:
        """The person agrees. Returns the code that the token endpoint takes once."""
        code = secrets.token_urlsafe(12)
        token = self.id_token(provider, forgery=forgery, **{"nonce": asked["nonce"], **said})
        self.grants[code] = {"provider": provider, "asked": asked, "id_token": token}
        return code

    def come_back(
        self, client: Client, provider: str, code: str, state: str, user: str = ""
    ) -> Any:
        """The provider sends the browser back: Google by GET, Apple by a form that is posted
        across sites."""
        if provider == GOOGLE:
            return client.get(
                "/accounts/google/login/callback/", {"code": code, "state": state}, follow=True
            )
        # A cross-site POST carries no Lax cookie: another Client has none, the next hop has them
        # again.
        posted = Client().post(
            "/accounts/apple/login/callback/", {"code": code, "state": state, "user": user}
        )
        client.cookies.update(posted.cookies)
        return client.get(posted.headers["Location"], follow=True)

    def sign_in(
        self,
        client: Client,
        provider: str,
        *,
        forgery: str = "",
        user: str = "",
        process: str = "login",
        **said: Any,
    ) -> Any:
        """The last page of the whole way. `user` is the JSON that the browser brings from Apple
        beside the token."""
        asked = self.start(client, provider, process=process)
        code = self.approve(provider, asked, forgery=forgery, **said)
        return self.come_back(client, provider, code, asked["state"], user)

    # --- the provider's side, by HTTP -------------------------------------------------------------
    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        assert request.url is not None
        self.asked.append(request.url)
        if self.down:
            raise requests.ConnectionError("the provider is down")
        routes = {
            "https://www.googleapis.com/oauth2/v1/certs": lambda: (200, {KEY_ID: certificate()}),
            "https://appleid.apple.com/auth/keys": lambda: (200, jwks()),
            "https://oauth2.googleapis.com/token": lambda: self.exchange(GOOGLE, request),
            "https://appleid.apple.com/auth/token": lambda: self.exchange(APPLE, request),
        }
        if request.url not in routes:
            raise requests.ConnectionError(f"no such host in tests: {request.url}")
        status, content = routes[request.url]()
        response = requests.Response()
        response.status_code, response._content, response.url, response.request = (
            status, json.dumps(content).encode(), request.url, request,
        )  # fmt: skip
        response.headers["Content-Type"] = "application/json"
        return response

    def close(self) -> None:
        pass

    def exchange(
        self, provider: str, request: requests.PreparedRequest
    ) -> tuple[int, dict[str, Any]]:
        """A code for tokens, if all that RFC 6749 and RFC 7636 ask for is right."""
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        given = dict(parse_qsl(body))
        grant = self.grants.pop(given.get("code", ""), None)
        if (
            grant is None
            or grant["provider"] != provider
            or given.get("grant_type") != "authorization_code"
        ):
            return 400, {"error": "invalid_grant"}
        if given.get("client_id") != CLIENT_IDS[provider] or not self._knows(
            provider, given.get("client_secret", "")
        ):
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        asked = grant["asked"]
        if (asked["redirect_uri"], asked["code_challenge"]) != (
            given.get("redirect_uri"),
            challenge,
        ):
            return 400, {"error": "invalid_grant"}
        tokens = {
            "access_token": "access-1",
            "refresh_token": "refresh-1",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        return 200, {**tokens, "id_token": grant["id_token"]}

    def _knows(self, provider: str, secret: str) -> bool:
        if provider == GOOGLE:
            return secret == "google-secret"
        try:
            jwt.decode(
                secret, public_pem(team_key()), ["ES256"], audience=ISSUERS[APPLE], issuer=TEAM_ID
            )
        except jwt.PyJWTError:
            return False
        return jwt.get_unverified_header(secret)["kid"] == APPLE_KEY_ID


def configured(providers: dict[str, Any]) -> dict[str, Any]:
    """SOCIALACCOUNT_PROVIDERS with the client ids and secrets that this provider knows."""
    google = {"client_id": CLIENT_IDS[GOOGLE], "secret": "google-secret"}
    apple = {
        "client_id": CLIENT_IDS[APPLE], "secret": APPLE_KEY_ID, "key": TEAM_ID,
        "settings": {"certificate_key": pem(team_key())},
    }  # fmt: skip
    return {
        GOOGLE: {**providers[GOOGLE], "APPS": [google]},
        APPLE: {**providers[APPLE], "APPS": [apple]},
    }
