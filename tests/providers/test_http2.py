"""CurlTransport against peers that answer, hang, reset, refuse and misbehave."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import h2.errors
import pytest

from delivery.providers.http2 import BODY_LIMIT_BYTES, Answer, CurlTransport, Failure, Request
from tests.certificate import self_signed
from tests.providers.h2_peer import Connection, answer, reset_socket, running_peer

pytestmark = pytest.mark.once

HEADERS = ("Content-Type: application/json",)


@pytest.fixture
def transport() -> Iterator[CurlTransport]:
    transport = CurlTransport(timeout_secs=5)
    yield transport
    transport.close()


def drain(transport: CurlTransport, timeout_secs: float = 10) -> list[Answer]:
    answers: list[Answer] = []
    deadline = time.monotonic() + timeout_secs
    while transport.in_flight and time.monotonic() < deadline:
        answers += transport.poll(1)
    return answers


def requests_to(url: str, count: int, start: int = 0) -> list[Request]:
    return [Request(key, url, HEADERS, b'{"n":%d}' % key) for key in range(start, start + count)]


def test_each_request_is_answered_once_with_its_own_key(transport: CurlTransport) -> None:
    def echo(
        connection: Connection, _sock: socket.socket, stream: int, body: bytes, _count: int
    ) -> bool:
        connection.send_headers(stream, [(":status", "200")])
        connection.send_data(stream, body, end_stream=True)
        return True

    with running_peer(echo) as peer:
        transport.submit(requests_to(peer.url, 300))
        answers = drain(transport)
        transport.submit(requests_to(peer.url, 300, start=300))
        answers += drain(transport)
    assert {a.key: a.body for a in answers} == {n: b'{"n":%d}' % n for n in range(600)}
    assert len(answers) == len(peer.bodies) == 600
    assert peer.connections <= 10


def test_poll_returns_at_once_when_nothing_is_in_flight(transport: CurlTransport) -> None:
    started = time.monotonic()
    assert transport.poll(20) == []
    assert time.monotonic() - started < 10


def test_retry_after_is_read_from_the_answer(transport: CurlTransport) -> None:
    with running_peer(answer(429, b"slow down", retry_after="17")) as peer:
        transport.submit(requests_to(peer.url, 1))
        [only] = drain(transport)
    assert (only.status, only.body, only.retry_after_secs, only.failure) == (
        429,
        b"slow down",
        17.0,
        None,
    )


def test_a_retry_after_does_not_stick_to_the_next_answer_on_the_same_handle(
    transport: CurlTransport,
) -> None:
    with running_peer(answer(429, retry_after="17")) as slow, running_peer(answer(200)) as quick:
        transport.submit(requests_to(slow.url, 1))
        drain(transport)
        transport.submit(requests_to(quick.url, 1))
        [second] = drain(transport)
    assert second.retry_after_secs is None


def test_connection_refused_was_certainly_not_sent(transport: CurlTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    transport.submit(requests_to(f"http://127.0.0.1:{port}/", 3))
    answers = drain(transport)
    assert [a.failure for a in answers] == [Failure.NOT_SENT] * 3
    assert "curl 7" in answers[0].detail


def test_a_name_that_does_not_resolve_was_certainly_not_sent(transport: CurlTransport) -> None:
    transport.submit(requests_to("http://no-such-host.invalid/", 1))
    [only] = drain(transport)
    assert only.failure is Failure.NOT_SENT


def test_a_peer_without_tls_was_certainly_not_sent_to(transport: CurlTransport) -> None:
    with running_peer(answer(200)) as peer:
        transport.submit(requests_to(peer.url.replace("http://", "https://"), 1))
        [only] = drain(transport)
    assert only.failure is Failure.NOT_SENT


@pytest.mark.parametrize(
    "is_folder",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(shutil.which("openssl") is None, reason="names the files"),
        ),
    ],
)
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", None])
def test_http2_over_tls_to_a_peer_that_an_authority_of_the_environment_vouches_for(
    transport: CurlTransport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    is_folder: bool,
) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.set_alpn_protocols(["h2"])
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        if is_folder:
            asked = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate)]
            name = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
            shutil.copy(certificate, tmp_path / f"{name}.0")
        monkeypatch.setenv(variable, str(tmp_path if is_folder else certificate))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running_peer(answer(200), tls) as peer:
        transport.submit(requests_to(peer.url, 3))
        answers = drain(transport)
    if variable:
        assert [a.status for a in answers] == [200] * 3
    else:
        assert [a.failure for a in answers] == [Failure.NOT_SENT] * 3
        assert "certificate" in answers[0].detail


def test_an_accepting_socket_that_never_speaks_ends_by_time_out() -> None:
    transport = CurlTransport(timeout_secs=0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport.submit(requests_to(f"http://127.0.0.1:{silent.getsockname()[1]}/", 2))
        answers = drain(transport)
    transport.close()
    assert len(answers) == 2
    assert all(a.failure is not None for a in answers)


def test_no_answer_in_time_is_ambiguous() -> None:
    transport = CurlTransport(timeout_secs=1.5)
    with running_peer(lambda *_: True) as peer:
        transport.submit(requests_to(peer.url, 2))
        answers = drain(transport)
    transport.close()
    assert [a.failure for a in answers] == [Failure.AMBIGUOUS] * 2


def test_a_reset_after_the_request_is_ambiguous(transport: CurlTransport) -> None:
    def reset(_connection: Connection, sock: socket.socket, *_: object) -> bool:
        reset_socket(sock)
        return False

    with running_peer(reset) as peer:
        transport.submit(requests_to(peer.url, 1))
        [only] = drain(transport)
    assert only.failure is Failure.AMBIGUOUS
    assert len(peer.bodies) == 1


@pytest.mark.parametrize("how", ["close", "reset", "goaway", "refused_stream"])
def test_a_reused_connection_that_dies_never_makes_libcurl_send_a_second_copy(
    transport: CurlTransport, how: str
) -> None:
    def die_on_second(
        conn: Connection, sock: socket.socket, stream: int, body: bytes, count: int
    ) -> bool:
        if count == 1:
            return answer(200)(conn, sock, stream, body, count)
        if how == "reset":
            reset_socket(sock)
        if how == "goaway":
            conn.close_connection()
            sock.sendall(conn.data_to_send())
        if how == "refused_stream":
            conn.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            return True
        return False

    with running_peer(die_on_second) as peer:
        transport.submit(requests_to(peer.url, 1))
        [first] = drain(transport)
        transport.submit(requests_to(peer.url, 1, start=1))
        [second] = drain(transport)
    assert first.status == 200
    assert second.failure is Failure.AMBIGUOUS
    assert peer.bodies.count(b'{"n":1}') == 1


def test_a_flood_of_an_answer_is_cut_off(transport: CurlTransport) -> None:
    with running_peer(answer(200, b"x" * (BODY_LIMIT_BYTES + 1))) as peer:
        transport.submit(requests_to(peer.url, 1))
        [only] = drain(transport)
    assert only.failure is Failure.AMBIGUOUS
    assert only.body == b""


def test_redirects_are_answers_and_not_followed(transport: CurlTransport) -> None:
    with (
        running_peer(answer(200)) as target,
        running_peer(answer(302, location=target.url)) as peer,
    ):
        transport.submit(requests_to(peer.url, 1))
        [only] = drain(transport)
    assert only.status == 302
    assert target.bodies == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/", "gopher://127.0.0.1/"])
def test_other_protocols_are_refused(transport: CurlTransport, url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        transport.submit([Request(1, url, HEADERS, b"{}")])


def test_a_transport_can_be_closed_with_requests_on_the_way() -> None:
    transport = CurlTransport()
    with running_peer(lambda *_: True) as peer:
        transport.submit(requests_to(peer.url, 5))
        transport.poll(0.1)
        transport.close()
    assert transport.in_flight == 0
