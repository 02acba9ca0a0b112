"""The one door through which the product asks other servers.

`ask` is a question of our own, also to an address that somebody gave us. `Session` is for
libraries that want a requests.Session and bring their provider's address. Neither follows a
redirect, repeats a question or waits for ever. Messages leave by a transport of their own,
delivery.providers.http2.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import certifi
import msgspec
import pycurl
import requests
from requests.adapters import HTTPAdapter

TIMEOUT_SECS = 10.0
LONGEST_ANSWER_BYTES = 1024 * 1024
RequestFailed = requests.RequestException  # what a Session raises

# Addresses of the public Internet, by what they are and not by what they are not. IPv6 has one
# block of them; IPv4 in its other clothes (mapped, NAT64) lies outside of that block, 6to4 and
# Teredo are taken out of it.
_PUBLIC_IPV6 = ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    ip_network(block)
    for block in (
        # Python 3.11 calls parts of them global
        *("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)


class NoAnswer(Exception):
    """Nobody answered in time, or the answer was too long; the text says which."""


class NotPublic(NoAnswer):
    """The address leads to a machine that is not on the public Internet. It was not asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Raises ValueError."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError("The answer is no JSON.") from error


def ask(
    url: str,
    *,
    is_ours: bool,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_secs: float = TIMEOUT_SECS,
    most_bytes: int = LONGEST_ANSWER_BYTES,
) -> Answer:
    """GET, or POST `body`. `is_ours`: the address is this installation's own configuration, so
    it may lead anywhere; any other address may lead to public machines alone. No proxy is asked.
    Raises NoAnswer, or NotPublic.

    The guard looks at the very address that is connected to, so a name that resolves to another
    one the second time gains nothing, and however an address is written (octal, one number) it
    is judged by what it means.
    """
    received, refused = bytearray(), list[str]()

    def open_socket(_purpose: int, target: Any) -> Any:
        if not is_ours and not is_public(target.addr[0]):
            refused.append(target.addr[0])
            return pycurl.SOCKET_BAD
        return socket.socket(target.family, target.socktype, target.protocol)

    def receive(data: bytes) -> int | None:
        if len(received) + len(data) > most_bytes:
            return 0  # ends the transfer
        received.extend(data)
        return None

    curl = pycurl.Curl()
    try:
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.PROXY, "")  # a proxy would resolve the name once more
        curl.setopt(pycurl.OPENSOCKETFUNCTION, open_socket)
        curl.setopt(pycurl.WRITEFUNCTION, receive)
        curl.setopt(
            pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in (headers or {}).items()]
        )
        curl.setopt(pycurl.NOSIGNAL, 1)
        # of all of it, names and headers too
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout_secs * 1000)))
        trust(curl)
        if body is not None:
            curl.setopt(pycurl.POSTFIELDS, body)
        curl.perform()
        return Answer(curl.getinfo(pycurl.RESPONSE_CODE), bytes(received))
    except ValueError as error:
        raise NoAnswer("The address holds characters that no address has.") from error
    except pycurl.error as error:
        if refused:
            raise NotPublic(
                f"The address leads to {refused[0]}, which is not on the public Internet."
            ) from error
        raise NoAnswer(error.args[1]) from error
    finally:
        curl.close()


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public Internet."""
    ip = ip_address(address)
    is_global = ip in _PUBLIC_IPV6 if ip.version == 6 else ip.is_global
    return is_global and not any(ip in block for block in _NOT_PUBLIC)


def trust(curl: Any) -> None:
    """Believe the certificates that requests believes; pycurl's wheel reads no variable, not
    even SSL_CERT_FILE."""
    trusted = (
        os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
    )
    curl.setopt(pycurl.CAPATH if os.path.isdir(trusted) else pycurl.CAINFO, trusted)


class Session(requests.Session):
    """For libraries whose address is fixed: the provider's, or with `is_ours` this
    installation's own."""

    def __init__(self, *, is_ours: bool, timeout_secs: float = TIMEOUT_SECS) -> None:
        super().__init__()
        self._timeout_secs = timeout_secs
        once(self, is_ours=is_ours)

    def request(self, *args: Any, **options: Any) -> requests.Response:
        return super().request(
            *args, **{**options, "allow_redirects": False, "timeout": self._timeout_secs}
        )


def once(session: requests.Session, *, is_ours: bool) -> None:
    """Let a session ask once, whatever its library set up, and go through a proxy to the
    provider alone."""
    session.trust_env = not is_ours
    session.adapters.clear()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=0))
