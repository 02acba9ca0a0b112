"""Google's own firebase-admin: the validate-only "test connection", and a second transport to compare ours with.

Never used to send campaigns: it retries by itself (2 POSTs on a read error, 5 on a 503), which is hidden duplicates.
"""

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import firebase_admin
import requests
from firebase_admin import credentials, exceptions, messaging
from google.auth import credentials as google_credentials

from delivery.channels.base import CheckResult, CredentialsRefused, ProviderUnreachable
from delivery.channels.fcm.account import TIMEOUT_SECS, FcmAccount
from delivery.channels.fcm.message import apns_headers, buttons, web_headers, web_link

# Shaped like a token, known to nobody: FCM answers INVALID_ARGUMENT or UNREGISTERED about it, and either proves
# that key, project and API are in order.
_MADE_UP_TOKEN = "pushpilot-connection-test:APA91b" + "x" * 134


class _MintedToken(google_credentials.Credentials):
    """A token minted by us, for the SDK to use as it is.

    With a service account's own credentials google-auth 2.62 starts a thread at the first request that sends the
    access token to iamcredentials.googleapis.com (regional access boundary), the sandbox's too; and a 401 makes it
    mint again with a time-out of 120 s. This class has neither.
    """

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def refresh(self, request: object) -> None:
        """Nothing to refresh: the token lives longer than the one call it was made for."""


def check(account: FcmAccount) -> CheckResult:
    """Test the connection: mint a token, then let the SDK validate (not send) a message. At most about 20 s.

    Never raises; the message is a sentence for the owner that says what Google said.
    """
    try:
        token = _checked_token(account)
    except (CredentialsRefused, ValueError) as error:
        return CheckResult(False, str(error), "CREDENTIALS_REFUSED")
    except ProviderUnreachable as error:
        return CheckResult(False, f"Could not reach Google: {error}", "UNREACHABLE")
    message = messaging.Message(notification=messaging.Notification(title="PushPilot", body="connection test"))
    # The constructor's token= warns that fid is the future; registration tokens are what apps send today.
    message.token = _MADE_UP_TOKEN
    try:
        with _sdk_app(account, token) as app:
            messaging.send(message, dry_run=True, app=app)
    except (messaging.UnregisteredError, exceptions.InvalidArgumentError):
        pass
    except exceptions.FirebaseError as error:
        return _failed_check(error)
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        return CheckResult(False, f"The answer cannot be read: {error}", "UNREADABLE")
    where = "the sandbox" if account.is_sandbox else "Google"
    return CheckResult(True, f"Connected to {where}: project {account.project_id}, as {account.client_email}.")


def send_with_sdk(
    account: FcmAccount, push: Mapping[str, Any], *, target: tuple[str, str], now: datetime | None = None
) -> str:
    """Send one neutral payload (see `build_message`) through firebase-admin; returns FCM's message name.

    Raises what `FcmAccount.mint` raises, and firebase_admin.exceptions.FirebaseError.
    """
    with _sdk_app(account, account.mint().value) as app:
        return str(messaging.send(_sdk_message(push, target, now), app=app))


def _checked_token(account: FcmAccount) -> str:
    """Let the SDK's own validation read the key, then mint."""
    credentials.Certificate({**account.service_account, "token_uri": account.token_uri})
    return account.mint().value


def _failed_check(error: exceptions.FirebaseError) -> CheckResult:
    answered = error.http_response is not None
    lead = "Google said" if answered else "Could not reach Google"
    return CheckResult(False, f"{lead}: {error}", str(error.code) if answered else "UNREACHABLE")


@contextlib.contextmanager
def _sdk_app(account: FcmAccount, token: str) -> Iterator[Any]:
    """A throw-away SDK app that posts to the account's address, once, with a time-out of TIMEOUT_SECS."""
    options = {"projectId": account.project_id, "httpTimeout": TIMEOUT_SECS}
    app = firebase_admin.initialize_app(_MintedToken(token), options, name=f"pushpilot-{uuid.uuid4()}")
    try:
        # The SDK has no public way to change its address or its retries.
        service = messaging._get_messaging_service(app)
        service._fcm_url = account.send_url
        session = service._client.session
        session.trust_env = not account.is_sandbox
        session.adapters.clear()
        for scheme in ("https://", "http://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=0))
        yield app
    finally:
        firebase_admin.delete_app(app)


def _sdk_message(push: Mapping[str, Any], target: tuple[str, str], now: datetime | None) -> messaging.Message:
    kind, address = target
    ref = str(push.get("message_ref") or "")
    silent = bool(push.get("silent"))
    image = push.get("image_url") or None
    data = dict(push.get("data") or {})
    data.update({name: value for name, value in (("pp_ref", ref), ("pp_link", push.get("deep_link"))) if value})
    for action, text, url in buttons(push):
        data[f"{action}_text"] = text
        if url:
            data[f"{action}_url"] = url
    message = messaging.Message(
        data=data,
        notification=None
        if silent
        else messaging.Notification(push.get("title") or None, push.get("body") or None, image),
        android=_sdk_android(push, ref, silent),
        apns=_sdk_apns(push, ref, silent, now),
        webpush=_sdk_webpush(push, ref, silent),
    )
    setattr(message, kind, address)
    return message


def _sdk_android(push: Mapping[str, Any], ref: str, silent: bool) -> messaging.AndroidConfig:
    ttl_secs = push.get("ttl_secs")
    return messaging.AndroidConfig(
        collapse_key=push.get("collapse_key") or None,
        priority=push.get("priority") or None,
        ttl=None if ttl_secs is None else timedelta(seconds=int(ttl_secs)),
        notification=None
        if silent
        else messaging.AndroidNotification(
            tag=ref or None,
            sound=push.get("sound") or None,
            channel_id=push.get("android_channel") or None,
            notification_count=push.get("badge"),
        ),
    )


def _sdk_apns(push: Mapping[str, Any], ref: str, silent: bool, now: datetime | None) -> messaging.APNSConfig:
    image = push.get("image_url") or None
    if silent:
        aps = messaging.Aps(content_available=True)
    else:
        aps = messaging.Aps(
            badge=push.get("badge"),
            sound=push.get("sound") or None,
            category="pp_buttons" if push.get("buttons") else None,
            mutable_content=True if image else None,
        )
    return messaging.APNSConfig(
        headers=apns_headers(push, ref, now),
        payload=messaging.APNSPayload(aps),
        fcm_options=None if silent or not image else messaging.APNSFCMOptions(image=image),
    )


def _sdk_webpush(push: Mapping[str, Any], ref: str, silent: bool) -> messaging.WebpushConfig:
    if silent:
        return messaging.WebpushConfig(headers=web_headers(push))
    actions = [messaging.WebpushNotificationAction(action, text) for action, text, _ in buttons(push)]
    link = web_link(push)
    return messaging.WebpushConfig(
        headers=web_headers(push),
        notification=messaging.WebpushNotification(tag=ref or None, actions=actions or None),
        fcm_options=messaging.WebpushFCMOptions(link) if link else None,
    )
