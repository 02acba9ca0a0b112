"""The FCM adapter: key files, verdicts, and sending through the sandbox."""

import json
import socket
import time
import warnings
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from delivery.providers.base import CredentialsRefused, Outcome, ProviderUnreachable, Verdict
from delivery.providers.fcm.account import AccessToken, FcmAccount
from delivery.providers.fcm.message import build_message, envelope
from delivery.providers.fcm.sandbox import replies
from delivery.providers.fcm.sdk import check
from delivery.providers.fcm.sender import FcmSender, interpret
from delivery.providers.http2 import Answer, CurlTransport, Failure
from tests.providers.portal import PAGES, portal
from tests.providers.sandbox_server import Sandbox

pytestmark = pytest.mark.once


@pytest.fixture
def sender(account: FcmAccount) -> Iterator[FcmSender]:
    sender = FcmSender(account, CurlTransport(timeout_secs=5))
    yield sender
    sender.close()


def body_for(token: str, **push: Any) -> bytes:
    return msgspec.json.encode(
        envelope(build_message({"title": "Hi", **push}, target=("token", token)))
    )


def send_all(sender: FcmSender, tokens: list[str]) -> dict[str, Outcome]:
    sender.send((number, body_for(token)) for number, token in enumerate(tokens))
    outcomes = {}
    deadline = time.monotonic() + 20
    while sender.in_flight and time.monotonic() < deadline:
        outcomes.update({tokens[outcome.message_id]: outcome for outcome in sender.poll(1)})
    return outcomes


# --- key files


def changed(account: FcmAccount, **fields: Any) -> str:
    return json.dumps({**account.service_account, **fields})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"server_key": "AAAA"}, "server_key is a legacy key"),
        ({"type": "authorized_user"}, 'type must be "service_account"'),
        ({"type": None}, 'type must be "service_account"'),
        ({"project_id": ""}, "project_id is missing"),
        ({"project_id": "../evil"}, "“../evil” is not a valid project_id"),
        ({"client_email": 7}, "client_email is missing"),
        (
            {"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
            "private_key cannot be read",
        ),
        (
            {"token_uri": "http://169.254.169.254/token"},
            "token_uri must be https://oauth2.googleapis.com/token",
        ),
    ],
)
def test_a_wrong_key_file_is_refused_with_the_field_and_the_remedy(
    account: FcmAccount, fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match="Generate new private key") as caught:
        FcmAccount.parse(changed(account, **fields), sandbox_url=None)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", '"text"', "null", "[" * 9000, "{" * 20000, '{"a":"\\ud800"}', "\x00"],
)
def test_what_is_no_key_file_at_all_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="Generate new private key"):
        FcmAccount.parse(text, sandbox_url=None)


def test_a_key_file_of_google_talks_to_google_only(account: FcmAccount) -> None:
    text = "\ufeff" + changed(
        account, token_uri="https://oauth2.googleapis.com/token", universe_domain="evil.example"
    )
    real = FcmAccount.parse(text, sandbox_url=None)
    assert real.send_url.startswith("https://fcm.googleapis.com/v1/projects/")
    assert real.token_uri == "https://oauth2.googleapis.com/token"
    assert "universe_domain" not in real.service_account
    with pytest.raises(ValueError, match="never shows a real key to a sandbox"):
        FcmAccount.parse(text, sandbox_url="http://127.0.0.1:1")


def test_the_sandbox_decides_its_own_token_address(account: FcmAccount) -> None:
    text = changed(account, token_uri="http://attacker.example/token")
    parsed = FcmAccount.parse(text, sandbox_url="http://127.0.0.1:8765/")
    assert parsed.token_uri == parsed.service_account["token_uri"] == "http://127.0.0.1:8765/token"


def test_the_private_key_is_not_in_the_representation(account: FcmAccount) -> None:
    assert "PRIVATE" not in repr(account)
    assert "secret" not in repr(AccessToken("secret", 0))


# --- verdicts


def fcm_reply(code: str, **options: Any) -> tuple[int, bytes]:
    reply = replies.fcm_error(code, **options)
    return reply.status, reply.body


def google_error(
    status: int, rpc: str, message: str, *details: dict[str, Any]
) -> tuple[int, bytes]:
    error = {"code": status, "status": rpc, "message": message, "details": list(details)}
    return status, json.dumps({"error": error}).encode()


FCM_INVALID = {
    "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
    "errorCode": "INVALID_ARGUMENT",
}


def violation(field: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field}],
    }


ANSWERS = {
    "accepted": ((200, b'{"name":"projects/p/messages/1"}'), Verdict.ACCEPTED, "ACCEPTED", None),
    "a proxy's page": ((200, b"<html>Sign in to the Wi-Fi"), Verdict.AMBIGUOUS, "NO_RECEIPT", None),
    "an empty 200": ((200, b""), Verdict.AMBIGUOUS, "NO_RECEIPT", None),
    "a 200 without a name": ((200, b"{}"), Verdict.AMBIGUOUS, "NO_RECEIPT", None),
    "a 200 whose name is no text": ((200, b'{"name":7}'), Verdict.AMBIGUOUS, "NO_RECEIPT", None),
    "a 200 whose name is nobody's": (
        (200, b'{"name":"portal"}'),
        Verdict.AMBIGUOUS,
        "NO_RECEIPT",
        None,
    ),
    "a 200 with an error in it": (
        (200, b'{"error":{"status":"INTERNAL"}}'),
        Verdict.AMBIGUOUS,
        "NO_RECEIPT",
        None,
    ),
    "no content": ((204, b""), Verdict.AMBIGUOUS, "NO_RECEIPT", None),
    "taken, says somebody else": (
        (202, b'{"name":"projects/p/messages/1"}'),
        Verdict.AMBIGUOUS,
        "NO_RECEIPT",
        None,
    ),
    "unregistered": (fcm_reply("UNREGISTERED"), Verdict.GONE, "UNREGISTERED", None),
    "mismatch": (fcm_reply("SENDER_ID_MISMATCH"), Verdict.WRONG_SENDER, "SENDER_ID_MISMATCH", None),
    "token by field": (
        google_error(
            400,
            "INVALID_ARGUMENT",
            "Request contains an invalid argument.",
            FCM_INVALID,
            violation("message.token"),
        ),
        Verdict.GONE,
        "INVALID_ARGUMENT",
        None,
    ),
    "token by message": (
        google_error(
            400,
            "INVALID_ARGUMENT",
            "The registration token is not a valid FCM registration token",
            FCM_INVALID,
        ),
        Verdict.GONE,
        "INVALID_ARGUMENT",
        None,
    ),
    "bad ttl": (
        google_error(
            400,
            "INVALID_ARGUMENT",
            "Invalid value at 'message.android.ttl'",
            violation("message.android.ttl"),
        ),
        Verdict.PAYLOAD_WRONG,
        "INVALID_ARGUMENT",
        None,
    ),
    "user text that speaks of tokens": (
        google_error(
            400, "INVALID_ARGUMENT", "Invalid registration", violation("message.data[0].value")
        ),
        Verdict.PAYLOAD_WRONG,
        "INVALID_ARGUMENT",
        None,
    ),
    "no recipient": (
        google_error(
            400, "INVALID_ARGUMENT", "Recipient of the message is not set.", violation("message")
        ),
        Verdict.PAYLOAD_WRONG,
        "INVALID_ARGUMENT",
        None,
    ),
    "400 without a word": ((400, b""), Verdict.PAYLOAD_WRONG, "HTTP_400", None),
    "third party": (
        fcm_reply("THIRD_PARTY_AUTH_ERROR"),
        Verdict.PLATFORM_BROKEN,
        "THIRD_PARTY_AUTH_ERROR",
        None,
    ),
    "unauthenticated": (
        google_error(401, "UNAUTHENTICATED", "no"),
        Verdict.BROKEN,
        "UNAUTHENTICATED",
        None,
    ),
    "permission": (
        google_error(403, "PERMISSION_DENIED", "no"),
        Verdict.BROKEN,
        "PERMISSION_DENIED",
        None,
    ),
    "404 not about a token": ((404, b"<html>Not Found"), Verdict.BROKEN, "HTTP_404", None),
    "redirect": ((302, b""), Verdict.BROKEN, "HTTP_302", None),
    "quota": (fcm_reply("QUOTA_EXCEEDED"), Verdict.LATER, "QUOTA_EXCEEDED", 60.0),
    "unavailable": (fcm_reply("UNAVAILABLE"), Verdict.MAYBE_LATER, "UNAVAILABLE", None),
    "internal": (fcm_reply("INTERNAL"), Verdict.MAYBE_LATER, "INTERNAL", None),
    "gateway page": ((502, b"<!DOCTYPE html>"), Verdict.MAYBE_LATER, "HTTP_502", None),
    "odd 4xx": ((418, b"{}"), Verdict.REFUSED, "HTTP_418", None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_documented_answer_has_its_verdict(name: str) -> None:
    (status, body), verdict, code, wait = ANSWERS[name]
    outcome = interpret(Answer(7, status, body))
    assert (outcome.message_id, outcome.verdict, outcome.code, outcome.retry_after_secs) == (
        7,
        verdict,
        code,
        wait,
    )


def test_retry_after_is_obeyed_and_trouble_waits_at_least_ten_seconds() -> None:
    assert (
        interpret(Answer(1, *fcm_reply("QUOTA_EXCEEDED"), retry_after_secs=7)).retry_after_secs == 7
    )
    assert interpret(Answer(1, *fcm_reply("UNAVAILABLE"), retry_after_secs=2)).retry_after_secs == 2
    assert (
        interpret(Answer(1, *fcm_reply("UNAVAILABLE"), retry_after_secs=90)).retry_after_secs == 90
    )


def test_no_answer_is_later_or_ambiguous_by_what_was_written() -> None:
    assert interpret(Answer(1, 0, b"", failure=Failure.NOT_SENT)).verdict is Verdict.LATER
    assert interpret(Answer(1, 0, b"", failure=Failure.AMBIGUOUS)).verdict is Verdict.AMBIGUOUS


ODD_BODIES: list[bytes] = [
    *(
        b"",
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe",
        b'{"error":7}',
        b'{"error":{"details":7}}',
        b"[" * 5000,
    ),
    *(
        b'{"error":{"details":[7,{"fieldViolations":[7,{}]}]}}',
        b'{"error":{"details":[{"fieldViolations":{"a":1}}]}}',
    ),
    *(
        b'{"error":{"status":{},"message":[]}}',
        b'{"name":7}',
        b'{"error":{"details":[{"@type":"x","errorCode":[]}]}}',
    ),
]


@pytest.mark.parametrize("body", ODD_BODIES)
@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 429, 500, 503])
def test_no_body_makes_reading_an_answer_fail(status: int, body: bytes) -> None:
    assert interpret(Answer(1, status, body)).message_id == 1


# --- sending


def test_every_kind_of_device_gets_its_verdict_through_the_wire(
    sender: FcmSender, account: FcmAccount
) -> None:
    expected = {
        "sbx_ok_1": Verdict.ACCEPTED,
        "sbx_unregistered_1": Verdict.GONE,
        "sbx_mismatch_1": Verdict.WRONG_SENDER,
        "sbx_invalid_1": Verdict.GONE,
        "not a token": Verdict.GONE,
        "cXyz1234567:" + "A" * 140: Verdict.GONE,
        "sbx_quota_1": Verdict.LATER,
        "sbx_unavailable_1": Verdict.MAYBE_LATER,
        "sbx_internal_1": Verdict.MAYBE_LATER,
        "sbx_thirdparty_1": Verdict.PLATFORM_BROKEN,
        "sbx_flaky_1": Verdict.MAYBE_LATER,
    }
    outcomes = send_all(sender, list(expected))
    assert {token: outcome.verdict for token, outcome in outcomes.items()} == expected
    assert outcomes["sbx_quota_1"].retry_after_secs == 30
    assert outcomes["sbx_ok_1"].provider_id.startswith(f"projects/{account.project_id}/messages/")
    assert send_all(sender, ["sbx_flaky_1"])["sbx_flaky_1"].verdict is Verdict.ACCEPTED


def test_a_hanging_device_is_ambiguous_and_a_lost_answer_was_accepted(
    account: FcmAccount, sandbox: Sandbox
) -> None:
    sender = FcmSender(account, CurlTransport(timeout_secs=1.5))
    outcomes = send_all(sender, ["sbx_hang_1", "sbx_lost_1"])
    sender.close()
    assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.AMBIGUOUS}
    assert list(sandbox.accepted(account.mint().value, account.project_id)) == [("", "sbx_lost_1")]


def test_a_thousand_messages_arrive_once_each(
    sender: FcmSender, account: FcmAccount, sandbox: Sandbox
) -> None:
    sandbox.settings(latency_ms=[1, 20])
    outcomes = send_all(sender, [f"sbx_ok_{n}" for n in range(1000)])
    assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.ACCEPTED}
    accepted = sandbox.accepted(account.mint().value, account.project_id)
    assert accepted == {("", f"sbx_ok_{n}"): 1 for n in range(1000)}


def test_wrong_content_stops_the_run(sender: FcmSender) -> None:
    sender.send(
        [
            (1, body_for("sbx_ok_1", data={"google.x": "1"})),
            (2, body_for("sbx_ok_1", body="x" * 4096)),
        ]
    )
    outcomes = []
    while sender.in_flight:
        outcomes += sender.poll(1)
    assert [o.verdict for o in outcomes] == [Verdict.PAYLOAD_WRONG] * 2
    assert any("Message too big" in o.detail for o in outcomes)


def with_tokens(
    monkeypatch: pytest.MonkeyPatch,
    account: FcmAccount,
    tokens: list[str],
    lifetime_secs: float = 3600,
) -> list[str]:
    minted: list[str] = []

    def mint(_self: FcmAccount) -> AccessToken:
        minted.append(tokens.pop(0))
        return AccessToken(minted[-1], time.time() + lifetime_secs)

    monkeypatch.setattr(FcmAccount, "mint", mint)
    return minted


def test_a_token_that_ended_early_is_replaced_once_and_a_refused_fresh_one_breaks(
    sender: FcmSender, account: FcmAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = account.mint().value
    minted = with_tokens(monkeypatch, account, ["stale", good, "revoked"])
    first = send_all(sender, ["sbx_ok_1", "sbx_ok_2"])
    assert {(o.verdict, o.code) for o in first.values()} == {(Verdict.LATER, "UNAUTHENTICATED")}
    assert send_all(sender, ["sbx_ok_1"])["sbx_ok_1"].verdict is Verdict.ACCEPTED
    assert minted == ["stale", good]


def test_two_refused_tokens_in_a_row_mean_a_broken_connection(
    sender: FcmSender, account: FcmAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_tokens(monkeypatch, account, ["stale", "stale too"])
    assert send_all(sender, ["sbx_ok_1"])["sbx_ok_1"].verdict is Verdict.LATER
    assert send_all(sender, ["sbx_ok_1"])["sbx_ok_1"].verdict is Verdict.BROKEN


def test_a_token_near_its_end_is_replaced_before_sending(
    sender: FcmSender, account: FcmAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = account.mint().value
    minted = with_tokens(monkeypatch, account, [good, good], lifetime_secs=299)
    send_all(sender, ["sbx_ok_1"])
    send_all(sender, ["sbx_ok_1"])
    assert minted == [good, good]


def forged(account: FcmAccount, sandbox: Sandbox) -> FcmAccount:
    """The account's name with somebody else's key."""
    other = json.loads(sandbox.key_file("other-project"))
    stolen = {"project_id": account.project_id, "client_email": account.client_email}
    return FcmAccount.parse(json.dumps({**other, **stolen}), sandbox_url=sandbox.url)


def test_a_forged_signature_is_refused_in_googles_words(
    account: FcmAccount, sandbox: Sandbox
) -> None:
    sender = FcmSender(forged(account, sandbox), CurlTransport())
    with pytest.raises(CredentialsRefused, match=r"invalid_grant: Invalid JWT Signature\."):
        sender.send([(1, body_for("sbx_ok_1"))])
    assert sender.in_flight == 0


def test_a_token_endpoint_that_does_not_answer_is_unreachable(account: FcmAccount) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    gone = FcmAccount.parse(changed(account), sandbox_url=url)
    with pytest.raises(ProviderUnreachable, match="did not answer"):
        gone.mint()
    assert check(gone).code == "UNREACHABLE"


# --- whoever else answers 200


@pytest.mark.parametrize("page", [*PAGES, *(
    b'{"access_token":null}', b'{"access_token":""}', b'{"access_token":7}', b'{"access_token":"a\\r\\nX: y"}',
    b'{"access_token":"a","expires_in":1e300}', b'{"access_token":"a","expires_in":"soon"}',
)])  # fmt: skip
def test_a_token_endpoint_that_answers_with_no_token_is_unreachable(
    account: FcmAccount, page: bytes
) -> None:
    with portal(page) as url, pytest.raises(ProviderUnreachable):
        FcmAccount.parse(changed(account), sandbox_url=url).mint()


@pytest.mark.parametrize("page", PAGES)
def test_the_connection_test_fails_if_somebody_else_answers_in_fcms_place(
    account: FcmAccount, monkeypatch: pytest.MonkeyPatch, page: bytes
) -> None:
    with_tokens(monkeypatch, account, ["good"])
    with portal(page) as url:
        assert not check(FcmAccount.parse(changed(account), sandbox_url=url)).ok


# --- the official SDK


def test_the_connection_test_passes_on_a_good_account_and_delivers_nothing(
    account: FcmAccount, sandbox: Sandbox
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = check(account)
    assert result.ok
    assert account.project_id in result.message
    assert sandbox.accepted(account.mint().value, account.project_id) == {}


def test_the_connection_test_says_what_google_said(account: FcmAccount, sandbox: Sandbox) -> None:
    refused = check(forged(account, sandbox))
    assert (refused.ok, refused.code) == (False, "CREDENTIALS_REFUSED")
    assert "Invalid JWT Signature." in refused.message
    elsewhere = FcmAccount.parse(
        changed(account, project_id="somebody-else"), sandbox_url=sandbox.url
    )
    denied = check(elsewhere)
    assert (denied.ok, denied.code) == (False, "PERMISSION_DENIED")
    assert "Google said: Permission 'cloudmessaging.messages.create' denied" in denied.message


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("UNAVAILABLE", "currently unavailable"),
        ("THIRD_PARTY_AUTH_ERROR", "Auth error"),
        ("QUOTA_EXCEEDED", "Quota"),
    ],
)
def test_the_connection_test_reports_trouble_quickly(
    account: FcmAccount, sandbox: Sandbox, code: str, says: str
) -> None:
    sandbox.settings(rates={code: 1.0})
    started = time.monotonic()
    result = check(account)
    assert not result.ok
    assert says in result.message
    assert time.monotonic() - started < 3
