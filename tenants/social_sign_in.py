"""Sign-in with Google and Apple, on top of allauth's providers.

What is stricter here than in allauth 65.21: the signature is verified in the redirect flow too
(it trusts Google's token endpoint), a nonce binds the id_token to the browser that asked for it
(Apple has no PKCE), the algorithm is ours to choose (it takes the token's own: HS256 ends as a
TypeError), nothing but a name is taken from the form that the browser brings back from Apple (an
e-mail address in it would count as verified), and of what the provider says only e-mail and name
are kept (Apple's tokens would be stored with the account).
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable
from typing import Any

import jwt
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.apple.provider import AppleProvider as AllauthApple
from allauth.socialaccount.providers.apple.views import AppleOAuth2Adapter
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.google.provider import GoogleProvider as AllauthGoogle
from allauth.socialaccount.providers.google.views import (
    CERTS_URL,
    ID_TOKEN_ISSUER,
    GoogleOAuth2Adapter,
)
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.provider import OAuth2Provider
from allauth.socialaccount.providers.oauth2.views import OAuth2Adapter, OAuth2CallbackView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest

from pushpilot.lib import http
from tenants import people
from tenants.access import drop_claims
from tenants.models import User
from tenants.validators import validate_address, visible

logger = logging.getLogger(__name__)
LONGEST_NAME_CHARS = User._meta.get_field("full_name").max_length or 0


class SignInNotSetUp(SocialApp.DoesNotExist, Http404):
    """The provider has no client id here: its addresses do not exist."""


class IdTokenSignIn(OAuth2Provider):
    """A provider that is believed by its signed id_token alone, in the redirect flow and
    natively."""

    keys_url: str
    issuers: tuple[str, ...]
    lookup_key: Callable[..., Any]
    pkce_enabled_default = True

    def audiences(self) -> list[str]:
        return [self.app.client_id]

    def claims_of(self, id_token: object) -> dict[str, Any]:
        """The token's claims. Raises OAuth2Error unless the provider signed it, for us, and it
        is still valid."""
        try:
            header = jwt.get_unverified_header(id_token)  # type: ignore[arg-type]
        except jwt.PyJWTError as error:
            raise OAuth2Error("This is no id_token.") from error
        if header.get("alg") != "RS256" or not isinstance(header.get("kid"), str):
            raise OAuth2Error("The id_token is not signed with RS256 and a named key.")
        claims: dict[str, Any] = jwtkit.verify_and_decode(
            credential=id_token,
            keys_url=self.keys_url,
            issuer=self.issuers,
            audience=self.audiences(),
            lookup_kid=self.lookup_key,
        )
        if "exp" not in claims or not isinstance(claims.get("sub"), str):
            raise OAuth2Error("The id_token names no person or no end of its validity.")
        return claims

    def verify_token(self, request: HttpRequest, token: dict[str, Any]) -> SocialLogin:
        """The sign-in that a native id_token stands for. Raises ValidationError if it is refused.

        `token` is {"id_token", and if the app has them "nonce" and "full_name"}: Apple tells the
        name to the app alone.
        """
        try:
            claims = self.claims_of(token.get("id_token"))
            check_nonce(claims.get("nonce"), token.get("nonce"))
        except (OAuth2Error, http.RequestFailed) as error:
            get_adapter().on_authentication_error(request, self, exception=error)
            raise get_adapter().validation_error("invalid_token") from error
        return self.sociallogin_from_response(request, {"name": token.get("full_name"), **claims})

    def get_pkce_params(self) -> dict[str, Any]:
        params = super().get_pkce_params()
        return {**params, "nonce": params["code_challenge"]}

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"email": address_of(data)}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[EmailAddress]:
        email = address_of(data)
        if not email:
            return []
        # Apple writes the boolean as a string in some of its tokens.
        verified = data.get("email_verified") in (True, "true")
        return [EmailAddress(email=email, verified=verified, primary=True)]

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        parts = (data.get("given_name"), data.get("family_name"))
        name = data.get("name") or " ".join(part for part in parts if isinstance(part, str))
        full_name = ""
        if isinstance(name, str):
            full_name = visible(name)
        # Half a name is nobody's; without one the person is called by the address until they write
        # it themselves.
        is_too_long = len(full_name) > LONGEST_NAME_CHARS
        return {"email": data.get("email"), "full_name": "" if is_too_long else full_name}


def address_of(claims: dict[str, Any]) -> str:
    """The e-mail address in a token; "" if it has none, or one that nobody could sign up with."""
    email = claims.get("email")
    if not isinstance(email, str):
        return ""
    try:
        validate_address(email)
    except ValidationError:
        return ""
    return email


def check_nonce(claimed: object, given: str | None) -> None:
    """Raises OAuth2Error unless the token was made for this nonce: as it is, or hashed, as apps
    give it to Apple.

    A token with a nonce that the caller does not know was made for somebody else, e.g. for the
    redirect flow.
    """
    if claimed is None and given is None:
        return
    fits = given is not None and claimed in (given, hashlib.sha256(given.encode()).hexdigest())
    if not fits:
        raise OAuth2Error("The id_token was made for another nonce.")


class GoogleSignIn(IdTokenSignIn, AllauthGoogle):
    package = AllauthGoogle.get_package()
    # https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken names
    # both.
    keys_url, issuers = CERTS_URL, (ID_TOKEN_ISSUER, ID_TOKEN_ISSUER.removeprefix("https://"))
    lookup_key = staticmethod(jwtkit.lookup_kid_pem_x509_certificate)


class AppleSignIn(IdTokenSignIn, AllauthApple):
    package = AllauthApple.get_package()
    keys_url, issuers = AppleOAuth2Adapter.public_key_url, ("https://appleid.apple.com",)
    lookup_key = staticmethod(jwtkit.lookup_kid_jwk)

    def audiences(self) -> list[str]:
        return list(self.get_auds())


class StrictFlow(OAuth2Adapter):
    """The way back from a provider: a code for a token, whose id_token must be the one that was
    asked for."""

    nonce = ""

    def get_access_token_data(
        self,
        request: HttpRequest,
        app: SocialApp,
        client: Any,
        pkce_code_verifier: str | None = None,
    ) -> dict[str, Any]:
        digest = hashlib.sha256((pkce_code_verifier or "").encode()).digest()
        self.nonce = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return dict(super().get_access_token_data(request, app, client, pkce_code_verifier))

    def parse_token(self, data: dict[str, Any]) -> Any:
        """Allauth's token without a refresh token: neither is kept."""
        return OAuth2Adapter.parse_token(self, {"access_token": data["access_token"]})

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any
    ) -> SocialLogin:
        provider, response = self.get_provider(), kwargs["response"]
        claims = provider.claims_of(response.get("id_token"))
        if claims.get("nonce") != self.nonce:
            raise OAuth2Error("The id_token was made for another sign-in.")
        return provider.sociallogin_from_response(
            request, {**claims, **self.said_by_the_browser(response)}
        )

    def said_by_the_browser(self, response: dict[str, Any]) -> dict[str, Any]:
        return {}


class GoogleFlow(StrictFlow, GoogleOAuth2Adapter):
    pass


class AppleFlow(StrictFlow, AppleOAuth2Adapter):
    login_cancelled_error = "user_cancelled_authorize"

    def get_user_scope_data(self, request: HttpRequest) -> dict[str, Any]:
        said = super().get_user_scope_data(request)
        if isinstance(said, dict):
            return {"user": said}
        return {}

    def said_by_the_browser(self, response: dict[str, Any]) -> dict[str, Any]:
        """The name, which Apple gives once, at the first sign-in, and outside of what it signs."""
        name = response.get("user", {}).get("name")
        if not isinstance(name, dict):
            return {}
        return {"given_name": name.get("firstName"), "family_name": name.get("lastName")}


google_callback = OAuth2CallbackView.adapter_view(GoogleFlow)
apple_finish = OAuth2CallbackView.adapter_view(AppleFlow)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Whom a provider's word lets in, and into which account."""

    def get_requests_session(self) -> http.Session:
        """Without redirects: they would carry a sign-in's code and our secret to another host."""
        return http.Session(is_ours=False)

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """Those of the settings. Rows in the database would be a second source, with secrets in
        clear."""
        return [app for app in super().list_apps(request, provider, client_id) if app.pk is None]

    def get_app(
        self, request: HttpRequest, provider: str, client_id: str | None = None
    ) -> SocialApp:
        try:
            return super().get_app(request, provider, client_id)
        except SocialApp.DoesNotExist as error:
            raise SignInNotSetUp(f"{provider} is not set up.") from error

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Any = None,
        extra_context: Any = None,
    ) -> None:
        logger.info("A sign-in by %s was refused: %s", provider, exception or error)

    def populate_user(
        self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]
    ) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        user.full_name = sociallogin.account.extra_data["full_name"]
        user.auth_provider = sociallogin.account.provider
        return user

    def get_signup_form_initial_data(self, sociallogin: SocialLogin) -> dict[str, Any]:
        return {
            **super().get_signup_form_initial_data(sociallogin),
            "full_name": sociallogin.user.full_name,
        }

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        """(account, address) that an address verified by the provider belongs to.

        An account that proved another address and merely claims this one is somebody else's: it
        is not the answer.
        """
        found: tuple[User, str] | None = super().authenticate_by_email(sociallogin)
        if found is None or is_proven(*found):
            return found
        user, email = found
        nobodys = (
            user.email == email.lower()
            and not EmailAddress.objects.filter(user=user, verified=True).exists()
        )
        if nobodys:
            return found
        return None

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            return
        proven = [
            address.email.lower() for address in sociallogin.email_addresses if address.verified
        ]
        with transaction.atomic():
            drop_claims(proven)
            if not sociallogin.is_existing:
                return
            user, name = sociallogin.user, sociallogin.account.extra_data["full_name"]
            if sociallogin.account.pk is None and not is_proven(user, proven[0]):
                hand_over(user, proven[0], sociallogin.account)
            elif name and not user.full_name:
                people.rename(user, name)


def is_proven(user: User, email: str) -> bool:
    return bool(EmailAddress.objects.filter(user=user, email=email.lower(), verified=True).exists())


def hand_over(user: User, email: str, account: SocialAccount) -> None:
    """Give an account whose address nobody confirmed to the person who proves that it is theirs.

    Whoever made it may have done so to share it later with its owner: every other way in is closed.
    """
    user.set_unusable_password()  # sessions carry a hash of the password: they end with it
    user.auth_provider = account.provider
    user.save(update_fields=["password", "auth_provider"])
    people.rename(user, account.extra_data["full_name"])
    SocialAccount.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    EmailAddress.objects.filter(user=user).exclude(email=email.lower()).delete()
    EmailAddress.objects.update_or_create(
        user=user, email=email.lower(), defaults={"verified": True, "primary": True}
    )
