"""The sandbox as a server: its protocol, its control API, its memory, and what hostile input
does to it (nothing)."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from delivery.providers.fcm.account import FcmAccount
from delivery.providers.fcm.sandbox.log import BODIES_KEPT, Store
from tests.providers.sandbox_server import ROOT, Sandbox, free_port, post, running_sandbox, send, to

pytestmark = pytest.mark.once

GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


# --- the token endpoint


def ask_token(
    sandbox: Sandbox, account: FcmAccount, key: str = "", **changes: Any
) -> requests.Response:
    now = int(time.time())
    claims = {
        "iss": account.client_email,
        "aud": GOOGLE_AUDIENCE,
        "iat": now,
        "exp": now + 3600,
        "scope": SCOPE,
    }
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    algorithm = (
        "none" if key == "none" else "HS256" if key.startswith("-----BEGIN PUBLIC") else "RS256"
    )
    signed = jwt.encode(
        claims, None if key == "none" else key or account.service_account["private_key"], algorithm
    )
    form = {"grant_type": GRANT, "assertion": signed}
    return requests.post(f"{sandbox.url}/token", data=form, timeout=10)


def test_a_good_assertion_gets_a_bearer_token_for_an_hour(
    sandbox: Sandbox, account: FcmAccount
) -> None:
    for audience in (GOOGLE_AUDIENCE, f"{sandbox.url}/token"):
        answer = ask_token(sandbox, account, aud=audience).json()
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"aud": "https://evil.example/token"}, "invalid_grant", "audience"),
        ({"aud": None}, "invalid_grant", "audience"),
        ({"exp": 1000}, "invalid_grant", "short-lived token"),
        ({"exp": None}, "invalid_grant", "short-lived token"),
        ({"iat": 99999999999}, "invalid_grant", "short-lived token"),
        ({"exp": int(time.time()) + 86400}, "invalid_grant", "short-lived token"),
        ({"exp": "soon"}, "invalid_grant", "short-lived token"),
        ({"iss": "nobody@example.com"}, "invalid_grant", "account not found"),
        ({"iss": None}, "invalid_grant", "account not found"),
        ({"scope": None}, "invalid_scope", "Invalid OAuth scope"),
    ],
)
def test_a_bad_assertion_is_refused_in_googles_words(
    sandbox: Sandbox, account: FcmAccount, changes: dict[str, Any], error: str, says: str
) -> None:
    answer = ask_token(sandbox, account, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert says in answer.json()["error_description"]


def test_a_forged_or_unsigned_assertion_is_refused(sandbox: Sandbox, account: FcmAccount) -> None:
    other_key = json.loads(sandbox.key_file("other-project"))["private_key"]
    for key in (other_key, "none"):
        answer = ask_token(sandbox, account, key=key)
        assert answer.json() == {
            "error": "invalid_grant",
            "error_description": "Invalid JWT Signature.",
        }


def test_a_second_key_of_a_project_works_beside_the_first(
    sandbox: Sandbox, account: FcmAccount
) -> None:
    second = FcmAccount.parse(sandbox.key_file(account.project_id), sandbox_url=sandbox.url)
    assert second.service_account["private_key"] != account.service_account["private_key"]
    assert send(sandbox, second, to("sbx_ok_1")).ok
    assert send(sandbox, account, to("sbx_ok_1")).ok


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"grant_type": "password"},
        {"grant_type": GRANT},
        {"grant_type": GRANT, "assertion": "a.b.c"},
    ],
)
def test_odd_token_requests_get_oauth_errors(sandbox: Sandbox, form: dict[str, str]) -> None:
    answer = requests.post(f"{sandbox.url}/token", data=form, timeout=10)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "error_description"}


# --- sending


@pytest.mark.parametrize(
    ("header", "status", "reason"),
    [
        ("", 401, "CREDENTIALS_MISSING"),
        ("Bearer ", 401, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        ("Bearer ya29.AAAA.0000", 401, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        ("Basic ya29", 401, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ],
)
def test_without_a_token_of_ours_nothing_is_sent(
    sandbox: Sandbox, account: FcmAccount, header: str, status: int, reason: str
) -> None:
    path = f"/v1/projects/{account.project_id}/messages:send"
    answer = post(sandbox, path, to("sbx_ok_1"), **({"Authorization": header} if header else {}))
    assert (answer.status_code, answer.json()["error"]["status"]) == (status, "UNAUTHENTICATED")
    assert answer.json()["error"]["details"][0]["reason"] == reason


def test_a_token_of_another_project_or_without_the_scope_is_denied(
    sandbox: Sandbox, account: FcmAccount
) -> None:
    other = FcmAccount.parse(sandbox.key_file("other-project"), sandbox_url=sandbox.url)
    denied = send(sandbox, account, to("sbx_ok_1"), token=other.mint().value)
    assert (denied.status_code, denied.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    unscoped = ask_token(
        sandbox, account, scope="https://www.googleapis.com/auth/datastore"
    ).json()["access_token"]
    assert (
        "insufficient"
        in send(sandbox, account, to("sbx_ok_1"), token=unscoped).json()["error"]["message"]
    )


@pytest.mark.parametrize(
    ("token", "status", "rpc", "code"),
    [
        ("sbx_unregistered_1", 404, "NOT_FOUND", "UNREGISTERED"),
        ("sbx_mismatch_1", 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        ("sbx_invalid_1", 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("sbx_quota_1", 429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        ("sbx_unavailable_1", 503, "UNAVAILABLE", "UNAVAILABLE"),
        ("sbx_internal_1", 500, "INTERNAL", "INTERNAL"),
        ("sbx_thirdparty_1", 401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    ],
)
@pytest.mark.parametrize("kind", ["token", "fid"])
def test_errors_have_the_documented_bodies(
    sandbox: Sandbox, account: FcmAccount, kind: str, token: str, status: int, rpc: str, code: str
) -> None:
    answer = send(sandbox, account, {"message": {kind: token}})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (status, status, rpc)
    assert error["details"][0] == {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
        "errorCode": code,
    }
    assert answer.headers.get("retry-after") == ("30" if token == "sbx_quota_1" else None)


def test_validate_only_checks_everything_and_delivers_nothing(
    sandbox: Sandbox, account: FcmAccount
) -> None:
    token = account.mint().value
    fine = send(sandbox, account, {**to("sbx_ok_1"), "validate_only": True}, token)
    assert fine.json() == {"name": f"projects/{account.project_id}/messages/fake_message_id"}
    assert (
        send(
            sandbox, account, {**to("sbx_unregistered_1"), "validateOnly": True}, token
        ).status_code
        == 404
    )
    assert sandbox.log(token, account.project_id) == {"messages": [], "last": 0}


def test_an_uninstalled_phone_is_unregistered_from_then_on(
    sandbox: Sandbox, account: FcmAccount
) -> None:
    assert send(sandbox, account, to("sbx_ok_1")).ok
    sandbox.uninstall(account.project_id, "sbx_ok_1")
    assert send(sandbox, account, to("sbx_ok_1")).status_code == 404
    assert send(sandbox, account, to("sbx_ok_2")).ok


# --- the control API


def test_failure_rates_and_latency_are_obeyed(sandbox: Sandbox, account: FcmAccount) -> None:
    sandbox.settings(latency_ms=[100, 120], rates={"UNAVAILABLE": 1.0})
    token, started = account.mint().value, time.monotonic()
    assert send(sandbox, account, to("sbx_ok_1"), token).status_code == 503
    assert time.monotonic() - started >= 0.1
    assert sandbox.accepted(token, account.project_id) == {}


@pytest.mark.parametrize(
    "wanted",
    [
        {"rates": {"NO_SUCH": 0.1}},
        {"rates": {"UNAVAILABLE": 1.1}},
        {"latency_ms": [5, 1]},
        {"latency_ms": [1]},
        {"x": 1},
        [],
    ],
)
def test_wrong_settings_are_refused(sandbox: Sandbox, wanted: Any) -> None:
    assert (
        requests.put(f"{sandbox.url}/sandbox/settings", json=wanted, timeout=10).status_code == 422
    )


@pytest.mark.parametrize("project_id", ["", "UPPER", "a", "../../etc", "x" * 31, 7, None])
def test_odd_project_ids_are_refused(sandbox: Sandbox, project_id: Any) -> None:
    assert post(sandbox, "/sandbox/projects", {"project_id": project_id}).status_code == 422


def test_the_log_pages_in_order_and_wants_the_projects_own_token(
    sandbox: Sandbox, account: FcmAccount
) -> None:
    token = account.mint().value
    for number in range(5):
        send(sandbox, account, to("sbx_ok_1", data={"pp_ref": f"m{number}"}), token)
    first = sandbox.log(token, account.project_id, limit=2)
    second = sandbox.log(token, account.project_id, after=first["last"], limit=10)
    assert [m["ref"] for m in first["messages"] + second["messages"]] == [
        "m0",
        "m1",
        "m2",
        "m3",
        "m4",
    ]
    assert sandbox.log(token, account.project_id, after=second["last"]) == {
        "messages": [],
        "last": second["last"],
    }
    other = FcmAccount.parse(sandbox.key_file("other-project"), sandbox_url=sandbox.url)
    assert (
        sandbox.log(other.mint().value, account.project_id)["error"]["status"]
        == "PERMISSION_DENIED"
    )
    assert sandbox.log(token, account.project_id, limit=-1)["error"].startswith("limit must be")


def test_the_control_api_is_closed_to_rebound_names_and_plain_forms(sandbox: Sandbox) -> None:
    assert (
        post(sandbox, "/sandbox/projects", {"project_id": "demo"}, Host="evil.example").status_code
        == 403
    )
    assert (
        post(
            sandbox, "/sandbox/projects", {"project_id": "demo-1"}, Content_Type="text/plain"
        ).status_code
        == 415
    )


# --- memory


def test_keys_tokens_uninstalls_and_the_log_survive_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with running_sandbox(tmp_path, port) as before:
        account = FcmAccount.parse(before.key_file(), sandbox_url=before.url)
        token = account.mint().value
        send(before, account, to("sbx_ok_1", data={"pp_ref": "m1"}), token)
        before.uninstall(account.project_id, "sbx_ok_9")
        page = before.log(token)
        assert before.stop() == 0
    with running_sandbox(tmp_path, port) as after:
        assert after.log(token) == page
        assert after.accepted(account.mint().value) == {("m1", "sbx_ok_1"): 1}
        assert send(after, account, to("sbx_ok_9"), token).status_code == 404
        send(after, account, to("sbx_ok_1", data={"pp_ref": "m1"}), token)
        assert after.accepted(token) == {("m1", "sbx_ok_1"): 2}
        assert after.log(token, after=page["last"])["messages"][0]["seq"] == page["last"] + 1


def test_kill_minus_9_keeps_what_is_older_than_the_write_behind(tmp_path: Path) -> None:
    port = free_port()
    with running_sandbox(tmp_path, port) as before:
        account = FcmAccount.parse(before.key_file(), sandbox_url=before.url)
        token = account.mint().value
        send(before, account, to("sbx_ok_1"), token)
        time.sleep(1)
        before.process.kill()
        before.process.wait()
    with running_sandbox(tmp_path, port) as after:
        assert after.accepted(token) == {("", "sbx_ok_1"): 1}


def test_only_the_newest_bodies_are_kept_but_every_fact(tmp_path: Path) -> None:
    store = Store(tmp_path / "log.sqlite3")
    for number in range(BODIES_KEPT + 6000):
        store.accept("demo", f"t{number}", "r", 1.0, b'{"message":{}}')
        if number % 1000 == 0:
            store.flush()
    store.close()
    again = Store(tmp_path / "log.sqlite3")
    assert sum(1 for _ in again.accepted("demo")) == BODIES_KEPT + 6000
    kept = again._db.execute("SELECT count(*) FROM bodies").fetchone()[0]
    assert BODIES_KEPT <= kept <= BODIES_KEPT + 5000
    assert again.page("demo", 0, 1)[0].seq == 6001
    again.close()


def test_it_ends_cleanly_with_clients_kept_waiting(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox:
        account = FcmAccount.parse(sandbox.key_file(), sandbox_url=sandbox.url)
        waiting = subprocess.Popen(
            [sys.executable, "-c", _HANG, sandbox.url, account.project_id, account.mint().value],
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.5)
        started = time.monotonic()
        assert sandbox.stop() == 0
        assert time.monotonic() - started < 5
        waiting.wait(10)


_HANG = """
import requests, sys
url, project, token = sys.argv[1:]
requests.post(f"{url}/v1/projects/{project}/messages:send", json={"message": {"token": "sbx_hang_1"}},
              headers={"Authorization": f"Bearer {token}"}, timeout=10)
"""


def test_manage_py_sandbox_serves_and_ends_cleanly(tmp_path: Path) -> None:
    port = free_port()
    command = [
        sys.executable,
        "manage.py",
        "sandbox",
        "--port",
        str(port),
        "--data-dir",
        str(tmp_path / "new" / "folder"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=dict(os.environ))
    try:
        for _ in range(1200):
            try:
                assert requests.get(f"http://127.0.0.1:{port}/sandbox/health", timeout=2).json()[
                    "ok"
                ]
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        process.terminate()
        output = process.communicate(timeout=10)[0]
        assert process.returncode == 0
        assert f"http://127.0.0.1:{port}".encode() in output
    finally:
        process.kill()
        process.wait()


# --- hostile input

NASTY: list[bytes] = [
    *(
        b"",
        b"null",
        b"[]",
        b"7",
        b'"x"',
        b"{",
        b"\xff\xfe\x00",
        b"\x00",
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ),
    *(
        b'{"message":null}',
        b'{"message":[]}',
        b'{"message":{}}',
        b'{"message":{"token":7}}',
        b'{"message":{"token":[]}}',
    ),
    *(
        b'{"message":{"token":"\\ud800"}}',
        b'{"message":{"\\ud800":1}}',
        b'{"message":{"token":"\\u0000"}}',
    ),
    b'{"message":{"token":"sbx_ok_1","data":{"\\ud83d":"\\ude00"}}}',
    b'{"message":{"token":"sbx_ok_1","data":{"a":123456789012345678901234567890123456789012345678901234567890}}}',
    b'{"message":{"token":"sbx_ok_1","data":{"a":1e999}}}',
    b'{"message":{"token":"sbx_ok_1","data":{"a":NaN}}}',
    b'{"message":{"token":"sbx_ok_1","android":{"ttl":"999999999999.999999999s"}}}',
    b'{"message":{"token":"sbx_ok_1","android":{"ttl":"' + b"9" * 5000 + b's"}}}',
    b'{"message":{"token":"sbx_ok_1","apns":{"payload":'
    + b'{"a":' * 900
    + b"1"
    + b"}" * 900
    + b"}}}",
    b'{"message":{"token":"sbx_ok_1"},"validate_only":"yes"}',
    b'{"message":{"token":"sbx_ok_1","webpush":{"fcmOptions":{"link":""},"fcm_options":null}}}',
    b'{"message":{"token":"' + b"a" * 60_000 + b'"}}',
    b'{"message":{"token":"sbx_ok_1","data":{'
    + b",".join(b'"k%d":1' % n for n in range(2000))
    + b"}}}",
]


def assert_answered(answer: requests.Response) -> None:
    assert "x-sandbox-fault" not in answer.headers, answer.text
    assert answer.status_code < 500
    assert answer.headers["content-type"].startswith("application/json")
    answer.json()


@pytest.mark.parametrize("body", NASTY, ids=[f"{n}-{body[:24]!r}" for n, body in enumerate(NASTY)])
def test_hostile_bodies_get_an_answer_on_every_route(
    sandbox: Sandbox, account: FcmAccount, body: bytes
) -> None:
    assert_answered(send(sandbox, account, body))
    for path in (
        "/token",
        "/sandbox/projects",
        f"/sandbox/projects/{account.project_id}/uninstall",
        "/v1/projects/x/messages:send",
    ):
        assert_answered(post(sandbox, path, body))
    put = requests.put(
        f"{sandbox.url}/sandbox/settings",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert_answered(put)


def test_mutated_messages_never_make_it_fail(sandbox: Sandbox, account: FcmAccount) -> None:
    seed = random.randrange(2**32)
    dice, token = random.Random(seed), account.mint().value
    original = json.dumps(
        to("sbx_ok_1", data={"a": "b"}, android={"ttl": "5s", "notification": {"tag": "x"}})
    ).encode()
    odd = [b'"', b"\\", b"{", b"}", b"[", b"null", b"\\ud800", b"\x00", b"\xff", b"1e9", b":", b","]
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        for _ in range(400):
            body = bytearray(original)
            for _ in range(dice.randrange(1, 5)):
                at = dice.randrange(len(body))
                body[at : at + dice.randrange(0, 4)] = dice.choice(odd)
            where = f"{sandbox.url}/v1/projects/{account.project_id}/messages:send"
            answer = session.post(where, data=bytes(body), timeout=10)
            assert "x-sandbox-fault" not in answer.headers, (seed, bytes(body))
            assert answer.status_code < 500, (seed, bytes(body))


def test_a_body_over_the_cap_is_cut_off(sandbox: Sandbox, account: FcmAccount) -> None:
    assert send(sandbox, account, b" " * 70_000).status_code == 413
    chunked = requests.post(
        f"{sandbox.url}/v1/projects/{account.project_id}/messages:send",
        data=iter([b" " * 40_000] * 3),
        timeout=10,
    )
    assert chunked.status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/projects//messages:send",
        "/sandbox/",
        "/sandbox/projects/%00/log",
        "/%ff",
        "/sandbox/projects/nobody/log",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_odd_routes_are_404(sandbox: Sandbox, method: str, path: str) -> None:
    assert requests.request(method, sandbox.url + path, timeout=10).status_code == 404
