"""Google's own firebase-admin: the validate-only "test connection", and a second transport to
compare ours with.

Never used to send campaigns: it retries by itself (2 POSTs on a read error, 5 on a 503), which
is hidden duplicates.
"""

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import firebase_admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from firebase_admin import exceptions, messaging
from google.auth import credentials as google_credentials

from delivery.providers.base import CheckResult, CredentialsRefused, ProviderUnreachable, Verdict
from delivery.providers.fcm.account import FcmAccount
from delivery.providers.fcm.message import (
    IOS_CATEGORY,
    apns_headers,
    buttons,
    data_of,
    expiry,
    replaced_by,
    web_headers,
    web_link,
)
from delivery.providers.fcm.sender import interpret, is_receipt
from delivery.providers.http2 import Answer
from pushpilot.lib import http
from pushpilot.lib.compat import google

# Shaped like a token, known to nobody: FCM answers INVALID_ARGUMENT or UNREGISTERED about it, and
# either proves that key, project and API are in order.
_MADE_UP_TOKEN = "pushpilot-connection-test:APA91b" + "x" * 134

_NOT_FCM = gettext_lazy(
    "Another server answered in the place of FCM. A proxy or a portal may stand between this "
    "server and the provider."
)


class _MintedToken(google_credentials.Credentials):
    """A token minted by us, for the SDK to use as it is.

    With a service account's own credentials google-auth 2.62 starts a thread at the first
    request that sends the access token to iamcredentials.googleapis.com (regional access
    boundary), the sandbox's too; and a 401 makes it mint again with a time-out of 120 s. This
    class has neither.
    """

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def refresh(self, request: object) -> None:
        """Nothing to refresh: the token lives longer than the one call it was made for."""


def check(account: FcmAccount) -> CheckResult:
    """Test the connection: mint a token, then let the SDK validate (not send) a message. At most
    about 20 s.

    Never raises; the message is a sentence for the owner that says what Google said.
    """
    result = check_message(account, {"title": "PushPilot", "body": "connection test"})
    if not result.ok:
        return result
    words = _("Connected to Google: project %(project)s, as %(account)s.")
    if account.is_sandbox:
        words = _("Connected to the sandbox: project %(project)s, as %(account)s.")
    return CheckResult(
        ok=True, message=words % {"project": account.project_id, "account": account.client_email}
    )


def check_message(
    account: FcmAccount, push: Mapping[str, Any], *, target: tuple[str, str] | None = None
) -> CheckResult:
    """Let FCM check one neutral payload (see `build_message`) without sending it. At most about
    20 s; never raises.

    Without a target it goes to a made-up token: a complaint about nothing but that token means
    that all the rest is fine. `target` is for a topic or condition, where there is no token to
    make up.
    """
    try:
        token = account.mint().value
    except (CredentialsRefused, ValueError) as error:
        return CheckResult(ok=False, message=str(error), code="CREDENTIALS_REFUSED")
    except ProviderUnreachable as error:
        return _unanswered(_unreached(error), "UNREACHABLE")
    try:
        message = _sdk_message(push, target or ("token", _MADE_UP_TOKEN), expiry(push))
    except (ValueError, TypeError) as error:
        return _unbuilt(error)
    try:
        with _sdk_app(account, token) as app:
            name = messaging.send(message, dry_run=True, app=app)
    except exceptions.FirebaseError as error:
        if _is_about_the_address(error):
            return _fine(account)
        return _failed_check(error)
    except (http.RequestFailed, KeyError, TypeError):
        return _unanswered(str(_NOT_FCM), "UNREADABLE")
    except ValueError as error:
        return _unbuilt(error)
    if is_receipt(name):
        return _fine(account)
    return _unanswered(str(_NOT_FCM), "UNREADABLE")


def _fine(account: FcmAccount) -> CheckResult:
    if account.is_sandbox:
        return CheckResult(ok=True, message=_("The sandbox checked the message and would send it."))
    return CheckResult(ok=True, message=_("Google checked the message and would send it."))


def _unbuilt(error: Exception) -> CheckResult:
    words = _("The message cannot be built: %(error)s") % {"error": error}
    return CheckResult(ok=False, message=words, code="INVALID_ARGUMENT")


def _unreached(error: Exception) -> str:
    return _("Could not reach Google: %(error)s") % {"error": error}


def send_with_sdk(
    account: FcmAccount, push: Mapping[str, Any], *, target: tuple[str, str], expires: str = ""
) -> str:
    """Send one neutral payload (see `build_message`) through firebase-admin; returns FCM's
    message name.

    Raises what `FcmAccount.mint` raises, and firebase_admin.exceptions.FirebaseError.
    """
    with _sdk_app(account, account.mint().value) as app:
        return str(messaging.send(_sdk_message(push, target, expires), app=app))


def _is_about_the_address(error: exceptions.FirebaseError) -> bool:
    """True when the provider has nothing against the message but the token that we made up."""
    answer = error.http_response
    if answer is None:
        return False
    return interpret(Answer(0, answer.status_code, answer.content)).verdict is Verdict.GONE


def _failed_check(error: exceptions.FirebaseError) -> CheckResult:
    if error.http_response is None:
        return _unanswered(_unreached(error), "UNREACHABLE")
    words, code = _("Google said: %(error)s") % {"error": error}, str(error.code)
    status = error.http_response.status_code
    if status == 429 or status >= 500:
        return _unanswered(words, code)
    return CheckResult(ok=False, message=words, code=code)


def _unanswered(words: str, code: str) -> CheckResult:
    return CheckResult(ok=False, message=words, code=code, is_unanswered=True)


@contextlib.contextmanager
def _sdk_app(account: FcmAccount, token: str) -> Iterator[Any]:
    """A throw-away SDK app that posts to the account's address, once, with a time-out."""
    options = {"projectId": account.project_id, "httpTimeout": http.TIMEOUT_SECS}
    app = firebase_admin.initialize_app(
        _MintedToken(token), options, name=f"pushpilot-{uuid.uuid4()}"
    )
    try:
        http.once(google.post_to(app, account.send_url), is_ours=account.is_sandbox)
        yield app
    finally:
        firebase_admin.delete_app(app)


def _sdk_message(
    push: Mapping[str, Any], target: tuple[str, str], expires: str
) -> messaging.Message:
    kind, address = target
    image = push.get("image_url") or None
    hidden = push.get("silent") or push.get("data_only")
    message = messaging.Message(
        data=data_of(push),
        notification=None
        if hidden
        else messaging.Notification(push.get("title") or None, push.get("body") or None, image),
        android=_sdk_android(push, bool(hidden)),
        apns=_sdk_apns(push, expires),
        webpush=_sdk_webpush(push),
    )
    # The constructor's token= warns that fid is the future; registration tokens are what apps send
    # today.
    setattr(message, kind, address)
    return message


def _sdk_android(push: Mapping[str, Any], hidden: bool) -> messaging.AndroidConfig:
    ttl_secs = push.get("ttl_secs")
    return messaging.AndroidConfig(
        collapse_key=push.get("collapse_key") or None,
        priority=push.get("priority") or None,
        ttl=None if ttl_secs is None else timedelta(seconds=int(ttl_secs)),
        notification=None
        if hidden
        else messaging.AndroidNotification(
            tag=replaced_by(push) or None,
            sound=push.get("sound") or None,
            channel_id=push.get("android_channel") or None,
            notification_count=push.get("badge"),
        ),
    )


def _sdk_apns(push: Mapping[str, Any], expires: str) -> messaging.APNSConfig:
    image = push.get("image_url") or None
    silent = bool(push.get("silent"))
    if silent:
        aps = messaging.Aps(content_available=True)
    else:
        title, body = push.get("title") or None, push.get("body") or None
        aps = messaging.Aps(
            alert=messaging.ApsAlert(title, body=body)
            if push.get("data_only") and (title or body)
            else None,
            badge=push.get("badge"),
            sound=push.get("sound") or None,
            category=IOS_CATEGORY if push.get("buttons") else None,
            mutable_content=True if image else None,
        )
    return messaging.APNSConfig(
        headers=apns_headers(push, expires),
        payload=messaging.APNSPayload(aps),
        fcm_options=None if silent or not image else messaging.APNSFCMOptions(image=image),
    )


def _sdk_webpush(push: Mapping[str, Any]) -> messaging.WebpushConfig:
    if push.get("silent"):
        return messaging.WebpushConfig(headers=web_headers(push))
    texts = (
        (push.get("title") or None, push.get("body") or None)
        if push.get("data_only")
        else (None, None)
    )
    actions = [
        messaging.WebpushNotificationAction(action, text) for action, text, _ in buttons(push)
    ]
    link = web_link(push)
    return messaging.WebpushConfig(
        headers=web_headers(push),
        notification=messaging.WebpushNotification(
            *texts,
            icon=push.get("icon_url") or None,
            image=push.get("image_url") or None,
            tag=replaced_by(push) or None,
            actions=actions or None,
        ),
        fcm_options=messaging.WebpushFCMOptions(link) if link else None,
    )
