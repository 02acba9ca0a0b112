"""The one door to other servers (pushpilot.lib.http): whom it asks, how long it waits, how much
it reads."""

from __future__ import annotations

import ast
import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from allauth.socialaccount.adapter import get_adapter

from pushpilot.lib import http
from tests.house.sources import modules

pytestmark = pytest.mark.once


class Server(ThreadingHTTPServer):
    daemon_threads = True
    asked: list[tuple[str, str]]

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        said = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.asked.append(
            (f"{self.command} {self.path}", said or self.headers.get("X-Word", ""))
        )
        if self.path == "/moved":
            self.answer(302, b"", Location=f"{self.server.url}/there")
        elif self.path == "/silent":
            time.sleep(1)
        elif self.path == "/trickle":
            for byte in (
                b"HTTP/1.1 200 OK\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            ):
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
        else:
            self.answer(200, b'{"a": 1}' if self.path == "/json" else b"x" * 1000)

    do_POST = do_GET

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the other side hung up
            super().handle()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


# --- whom it asks ---------------------------------------------------------------------------------
LOOPBACK_SPELLINGS = (
    "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "127.255.255.254", "0", "0.0.0.0",
    "localhost", "LOCALHOST.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]",
    "user:word@127.0.0.1", "127.0.0.1%2f", "127。0。0。1", "①②⑦.⓪.⓪.①",
)  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS)
def test_an_address_that_was_given_to_us_never_reaches_this_machine(server, host):
    with pytest.raises(http.NoAnswer):
        http.ask(f"http://{host}:{server.port}/json", is_ours=False)
    assert server.asked == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0177.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0"]
)
def test_it_says_that_the_address_is_not_public(server, host):
    with pytest.raises(http.NotPublic):
        http.ask(f"http://{host}:{server.port}/json", is_ours=False)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.0.0.8", "192.0.2.1",
        "192.88.99.1", "192.168.0.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::8.8.8.8",
        "64:ff9b:1::1", "100::1", "2001::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
    ],
)  # fmt: skip
def test_these_addresses_are_not_public(address):
    assert not http.is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "223.255.255.254", "2606:4700::1111"]
)
def test_these_addresses_are_public(address):
    assert http.is_public(address)


def test_an_address_of_our_own_configuration_may_be_anywhere(server):
    answer = http.ask(f"{server.url}/json", is_ours=True, headers={"X-Word": "hello"})
    assert (answer.status, answer.is_ok, answer.json()) == (200, True, {"a": 1})
    assert server.asked == [("GET /json", "hello")]


def test_a_body_is_posted_once(server):
    http.ask(f"{server.url}/json", is_ours=True, body=b"words")
    assert server.asked == [("POST /json", "words")]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "http://\0/", "x"]
)
def test_nothing_but_http_is_spoken(url):
    with pytest.raises(http.NoAnswer):
        http.ask(url, is_ours=True)


def test_a_redirect_is_an_answer_and_not_followed(server):
    answer = http.ask(f"{server.url}/moved", is_ours=True)
    assert (answer.status, answer.is_ok) == (302, False)
    assert [line for line, _ in server.asked] == ["GET /moved"]


def test_no_proxy_stands_between_us_and_whom_we_ask(server, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert http.ask(f"{server.url}/json", is_ours=True).is_ok
    with http.Session(is_ours=True) as session:
        assert session.get(f"{server.url}/json").ok


# --- how long, how much ---------------------------------------------------------------------------
def test_a_long_answer_is_not_read_to_its_end(server):
    assert len(http.ask(f"{server.url}/long", is_ours=True, most_bytes=1000).body) == 1000
    with pytest.raises(http.NoAnswer):
        http.ask(f"{server.url}/long", is_ours=True, most_bytes=999)


def test_an_answer_that_trickles_ends_with_the_time_for_all_of_it(server):
    before = time.monotonic()
    with pytest.raises(http.NoAnswer):
        http.ask(f"{server.url}/trickle", is_ours=True, timeout_secs=0.4)
    assert time.monotonic() - before < 2


def test_an_answer_that_is_no_json_says_so(server):
    with pytest.raises(ValueError, match="JSON"):
        http.ask(f"{server.url}/long", is_ours=True).json()
    with pytest.raises(ValueError, match="JSON"):
        http.Answer(200, b"[" * 100_000).json()


def test_a_session_follows_no_redirect_and_waits_no_longer_whatever_its_library_asks_for(server):
    with http.Session(is_ours=True, timeout_secs=0.2) as session:
        assert (
            session.get(f"{server.url}/moved", allow_redirects=True, timeout=99).status_code == 302
        )
        with pytest.raises(http.RequestFailed):
            session.get(f"{server.url}/silent", timeout=99)


# --- the one door ---------------------------------------------------------------------------------
CLIENTS = {"requests", "urllib.request", "http.client", "httpx", "aiohttp", "pycurl"}
# the second carries messages, thousands at once
DOORS = {"pushpilot.lib.http", "delivery.providers.http2"}


def test_nothing_else_asks_other_servers():
    found = {
        (module, name)
        for module, file in modules()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name in CLIENTS and module not in DOORS
    }
    assert not found


def test_allauth_asks_google_and_apple_through_the_door():
    assert isinstance(get_adapter().get_requests_session(), http.Session)
