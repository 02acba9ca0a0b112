"""A Firebase project's service account: what a key file must hold, and the access tokens minted
with it."""

import functools
import re
import time
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from google.auth import exceptions as google_errors
from google.auth.crypt import RSASigner
from google.auth.transport.requests import Request as GoogleRequest
from google.oauth2 import service_account

from campaigns.channels.payload import Json
from delivery.providers.base import CredentialsRefused, ProviderUnreachable
from pushpilot.lib import http
from pushpilot.lib.compat.google import utc_now

GOOGLE_FCM_URL = "https://fcm.googleapis.com"
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)
MESSAGING_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
KEY_FILE_LIMIT_BYTES = 16 * 1024

_BRING_INSTEAD = gettext_lazy(
    "In the Firebase console open Project settings → Service accounts → Generate new private key, "
    "and use the whole JSON file."
)
# What is kept of the file. universe_domain is not: a foreign one makes google-auth sign its tokens
# by itself.
_FIELDS = (
    "type",
    "project_id",
    "private_key_id",
    "private_key",
    "client_email",
    "client_id",
    "token_uri",
)
_PROJECT_ID = re.compile(r"[a-z0-9][a-z0-9.:-]{3,62}")
_TOKEN = re.compile(r"[!-~]{1,4096}")  # fit for a header
_WITHOUT_TOKEN = "No access token in response"  # noqa: S105 - google-auth's words for a JSON without one
# what it raises over other pages
_NO_TOKENS_PAGE = (AttributeError, OverflowError, TypeError, ValueError)
# What people still have from before 2024: FCM's server keys and the web API keys that they are
# confused with.
_LEGACY_KEY = re.compile(r"AAAA[\w-]{7}:[\w-]{100,200}|AIza[\w-]{35}", re.ASCII)
_ADDRESS = re.compile(r"[^@\s]{1,128}@[^@\s]{1,128}")


@dataclass(slots=True, frozen=True)
class AccessToken:
    """An OAuth2 access token and its end in `time.time()` seconds."""

    value: str = field(repr=False)
    expires_at: float


@dataclass(slots=True, frozen=True)
class FcmAccount:
    """Credentials and addresses of one connection. The key never appears in repr()."""

    project_id: str
    service_account: Json = field(repr=False)
    base_url: str = GOOGLE_FCM_URL
    token_uri: str = GOOGLE_TOKEN_URI

    @property
    def send_url(self) -> str:
        """Where messages are posted."""
        return f"{self.base_url}/v1/projects/{self.project_id}/messages:send"

    @property
    def client_email(self) -> str:
        """Whose key this is; fit to be shown."""
        return str(self.service_account["client_email"])

    @property
    def settings(self) -> dict[str, str]:
        """What a connection may show of it."""
        return {"project_id": self.project_id, "account": self.client_email}

    @property
    def is_sandbox(self) -> bool:
        """True when this account talks to our sandbox and not to Google."""
        return self.base_url != GOOGLE_FCM_URL

    @classmethod
    def parse(cls, service_account_json: str, *, sandbox_url: str | None) -> "FcmAccount":
        """Read a key file. `sandbox_url` (no trailing slash) makes it an account of the sandbox
        there.

        Raises ValueError whose text names the field and the remedy, fit to be shown to the owner.
        """
        info = _key_file(service_account_json)
        project_id = _matching(info, "project_id", _PROJECT_ID)
        _matching(info, "client_email", _ADDRESS)
        _private_key(_text(info, "private_key"))
        token_uri = _text(info, "token_uri")
        # google-auth signs every assertion for Google's audience, whatever the token_uri: one that
        # reaches any other address could be replayed at Google. So addresses are ours to choose,
        # never the file's.
        if sandbox_url is None:
            if token_uri != GOOGLE_TOKEN_URI:
                raise _unfit(
                    _(
                        "token_uri must be %(expected)s, not “%(found)s”: the file was changed, or "
                        "it belongs to a sandbox."
                    )
                    % {"expected": GOOGLE_TOKEN_URI, "found": token_uri[:100]}
                )
            return cls(project_id, info)
        if token_uri == GOOGLE_TOKEN_URI:
            raise ValueError(
                _(
                    "token_uri is the address of Google: this is a real key, and PushPilot never "
                    "shows a real key to a sandbox. Use the key file of the sandbox, or connect to "
                    "Google."
                )
            )
        base_url = sandbox_url.rstrip("/")
        return cls(
            project_id, {**info, "token_uri": f"{base_url}/token"}, base_url, f"{base_url}/token"
        )

    def mint(self) -> AccessToken:
        """Ask the token endpoint for an access token, scope messaging only. Blocks up to 10 s a
        try.

        Raises CredentialsRefused with what Google said, or ProviderUnreachable when nobody
        answered.
        """
        key = _private_key(self.service_account["private_key"])
        signer = RSASigner(key, self.service_account.get("private_key_id"))
        credentials = service_account.Credentials(
            signer, self.client_email, self.token_uri, scopes=[MESSAGING_SCOPE]
        )
        with http.Session(is_ours=self.is_sandbox) as session:
            try:
                credentials.refresh(GoogleRequest(session))
            except google_errors.RefreshError as error:
                raise _refusal(error) from error
            # OSError: those of requests, and a CA file that is not there.
            except (google_errors.GoogleAuthError, OSError, *_NO_TOKENS_PAGE) as error:
                raise ProviderUnreachable(
                    _("%(address)s did not answer: %(error)s")
                    % {"address": self.token_uri, "error": error}
                ) from error
        if not isinstance(credentials.token, str) or not _TOKEN.fullmatch(credentials.token):
            raise ProviderUnreachable(
                _("The answer of %(address)s holds no access token") % {"address": self.token_uri}
            )
        lifetime_secs = 3600.0
        if credentials.expiry is not None:
            lifetime_secs = (credentials.expiry - utc_now()).total_seconds()
        return AccessToken(credentials.token, time.time() + lifetime_secs)


def is_for_sandbox(service_account_json: str, sandbox_url: str) -> bool:
    """Whether the sandbox there made the key file. Raises ValueError if it is no key file."""
    return _key_file(service_account_json).get("token_uri") == f"{sandbox_url.rstrip('/')}/token"


def _refusal(error: Exception) -> CredentialsRefused | ProviderUnreachable:
    """google-auth raises RefreshError both for a refusal and for 500s after its three tries;
    only one is final."""
    said = str(error.args[0]) if error.args else str(error)
    if _WITHOUT_TOKEN in said:  # a 200 of somebody else: nothing was refused
        words = _("The answer of the token endpoint holds no access token: %(said)s")
        return ProviderUnreachable(words % {"said": said[:500]})
    if getattr(error, "retryable", False):
        words = _("The token endpoint answered with an error of its own: %(said)s")
        return ProviderUnreachable(words % {"said": said[:500]})
    words = _("Google refused the service account: %(said)s")
    return CredentialsRefused(words % {"said": said[:500]})


def _unfit(problem: str) -> ValueError:
    """The error of a key file that the owner can replace: the problem, then the remedy."""
    return ValueError(f"{problem} {_BRING_INSTEAD}")


def switched_off() -> ValueError:
    """The error of a key from before 2024."""
    return _unfit(_("server_key is a legacy key of FCM. Google switched these keys off in 2024."))


def _key_file(text: str) -> Json:
    if len(text) > KEY_FILE_LIMIT_BYTES:
        raise _unfit(
            _("The key file is longer than %(limit)s kB.") % {"limit": KEY_FILE_LIMIT_BYTES // 1024}
        )
    if _LEGACY_KEY.fullmatch(text.strip()):
        raise switched_off()
    try:
        info = msgspec.json.decode(text.lstrip("\ufeff \t\r\n"))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise _unfit(_("This is not JSON.")) from None
    if not isinstance(info, dict):
        raise _unfit(_("This JSON is not a key file."))
    if "server_key" in info:
        raise switched_off()
    if info.get("type") != "service_account":
        words = _('type must be "service_account", not %(found)s.')
        raise _unfit(words % {"found": repr(info.get("type"))[:60]})
    return {name: info[name] for name in _FIELDS if isinstance(info.get(name), str)}


def _text(info: Json, name: str) -> str:
    value = info.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _unfit(_("%(field)s is missing.") % {"field": name})
    return value


def _matching(info: Json, name: str, pattern: re.Pattern[str]) -> str:
    value = _text(info, name)
    if not pattern.fullmatch(value):
        words = _("“%(value)s” is not a valid %(field)s.")
        raise _unfit(words % {"value": value[:80], "field": name})
    return value


@functools.lru_cache(maxsize=64)
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    """The key of a key file. Kept, because reading one checks its primes (about 40 ms), and a
    test of a connection needs it four times."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except Exception:
        words = _(
            "private_key cannot be read: lines are missing or changed. It starts with -----BEGIN."
        )
        raise _unfit(words) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise _unfit(_("private_key must be an RSA key, as Google makes them."))
    return key
