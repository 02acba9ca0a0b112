"""The sandbox's routes, as an RSGI application: Google's two, and a control API for loopback
only."""

import asyncio
import logging
import re
import secrets
import time
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
from granian.rsgi import ProtocolClosed

from delivery.providers.fcm.sandbox.checks import check_request, target_of
from delivery.providers.fcm.sandbox.devices import Devices, Reception
from delivery.providers.fcm.sandbox.log import Store
from delivery.providers.fcm.sandbox.oauth import Grant, TokenDesk, new_key_file
from delivery.providers.fcm.sandbox.replies import (
    Reply,
    control_error,
    fcm_error,
    json_reply,
    permission_denied,
    scope_insufficient,
    unreadable_json,
)
from delivery.providers.fcm.sandbox.weather import Settings, Weather

BODY_LIMIT_BYTES = 64 * 1024
SILENCE_SECS = 600
PAGE_LIMIT = 1000
FLUSH_EVERY_SECS = 0.1

_SEND_PATH = re.compile(r"/v1/projects/([^/]{1,100})/messages:send")
_PROJECT_PATH = re.compile(r"/sandbox/projects/([^/]{1,100})/(uninstall|log|accepted)")
_PROJECT_ID = re.compile(r"[a-z][a-z0-9-]{3,28}[a-z0-9]")
_JSON_HEADER = ("content-type", "application/json; charset=UTF-8")
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

logger = logging.getLogger(__name__)
T = TypeVar("T")


class NewProject(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /sandbox/projects."""

    project_id: str


class Uninstall(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /sandbox/projects/{id}/uninstall."""

    token: str


class SandboxApp:
    """One sandbox: `store` is its memory, `base_url` what its key files say."""

    def __init__(self, store: Store, base_url: str) -> None:
        self._store = store
        self._base_url = base_url
        self._weather = Weather()
        self._devices = Devices(store.uninstalled())
        self._desk = TokenDesk(store.fact("token_secret", secrets.token_bytes(32)), store.keys())
        self._key_lock = asyncio.Lock()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Let go of the clients that are kept waiting; granian waits for every request under
        way."""
        self._closing.set()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request: always with a reply of somebody's protocol, whatever came in."""
        try:
            reply = await self._route(scope, protocol)
        except Reply as raised:
            reply = raised
        # the client is gone (a killed worker): nothing was accepted, nobody to answer
        except ProtocolClosed:
            return
        except Exception:
            logger.exception("the sandbox failed on %s %s", scope.method, scope.path)
            reply = fcm_error("INTERNAL")
            reply.headers.append(("x-sandbox-fault", "1"))
        if reply is not None:
            protocol.response_bytes(reply.status, [_JSON_HEADER, *reply.headers], reply.body)

    async def keep_writing(self) -> None:
        """Write the log behind, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_SECS)
            await asyncio.to_thread(self._store.flush)

    async def _route(self, scope: Any, protocol: Any) -> Reply | None:
        path: str = scope.path
        found = _SEND_PATH.fullmatch(path)
        if found and scope.method == "POST":
            return await self._send(found[1], scope, protocol)
        if path == "/token" and scope.method == "POST":
            return self._desk.grant(await _read_body(scope, protocol), self._base_url)
        if path.startswith("/sandbox/"):
            _only_from_loopback(scope)
            return await self._control(path, scope, protocol)
        return control_error(404, "The requested URL was not found on this server.")

    async def _send(self, project_id: str, scope: Any, protocol: Any) -> Reply:
        body = await _read_body(scope, protocol)
        try:
            reply = self._judge(project_id, scope.headers.get("authorization"), body)
        except Reply as refusal:
            reply = refusal
        if reply is None:
            return await self._silence(protocol)
        if wait_secs := self._weather.latency_secs():
            await asyncio.sleep(wait_secs)
        return reply

    async def _silence(self, protocol: Any) -> Reply:
        """Say nothing until the client goes, SILENCE_SECS pass or the sandbox closes."""
        waits = [
            asyncio.ensure_future(protocol.client_disconnect()),
            asyncio.ensure_future(self._closing.wait()),
        ]
        await asyncio.wait(waits, timeout=SILENCE_SECS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return fcm_error("UNAVAILABLE")

    def _judge(self, project_id: str, authorization: str | None, body: bytes) -> Reply | None:
        """The answer to one message, found in the order in which Google decides; None if there
        is to be none. Raises Reply for a refusal."""
        grant = self._desk.read(authorization)
        if not grant.may_send:
            raise scope_insufficient()
        if grant.project_id != project_id:
            raise permission_denied(project_id)
        message, validate_only = check_request(_decoded(body))
        kind, address = target_of(message)
        struck = self._weather.strike()
        if struck is not None:
            reception, answer = struck
            if reception is Reception.LOST and not validate_only:
                self._store.accept(project_id, address, _ref(message), time.time(), body)
            return answer
        reception = Reception.ACCEPTED
        if kind in ("token", "fid"):
            reception = self._devices.receive(
                project_id, kind, address, validate_only=validate_only
            )
        if validate_only:
            name = f"projects/{project_id}/messages/fake_message_id"
        elif reception is not Reception.HANGS:
            name = self._store.accept(project_id, address, _ref(message), time.time(), body)
        if reception is Reception.ACCEPTED:
            return json_reply({"name": name})
        return None

    async def _control(self, path: str, scope: Any, protocol: Any) -> Reply | None:
        route = (scope.method, path)
        if route == ("GET", "/sandbox/health"):
            return json_reply(
                {"ok": True, "last": self._store.last_seq, "projects": self._desk.project_ids}
            )
        if route == ("GET", "/sandbox/settings"):
            return json_reply(self._weather.settings)
        if route == ("PUT", "/sandbox/settings"):
            return self._change_settings(await _read_struct(scope, protocol, Settings))
        if route == ("GET", "/sandbox/weather"):
            return json_reply({"counts": dict(self._weather.counts)})
        if route == ("POST", "/sandbox/projects"):
            return await self._create_project(await _read_struct(scope, protocol, NewProject))
        found = _PROJECT_PATH.fullmatch(path)
        if found and (scope.method == "POST") == (found[2] == "uninstall"):
            return await self._project(found[1], found[2], scope, protocol)
        return control_error(404, f"no such route: {scope.method} {path[:100]}")

    def _change_settings(self, settings: Settings) -> Reply:
        if problem := settings.problem():
            raise control_error(422, problem)
        self._weather.change(settings)
        return json_reply(settings)

    async def _create_project(self, wanted: NewProject) -> Reply:
        if not _PROJECT_ID.fullmatch(wanted.project_id):
            raise control_error(
                422, "project_id must be 5 to 30 lower-case letters, digits and hyphens"
            )
        async with self._key_lock:
            key, key_file = await asyncio.to_thread(new_key_file, wanted.project_id, self._base_url)
            self._store.add_key(key)
            self._desk.add(key)
        return json_reply(key_file, 201)

    async def _project(self, project_id: str, verb: str, scope: Any, protocol: Any) -> Reply | None:
        if project_id not in self._desk.project_ids:
            raise control_error(404, f"no project {project_id!r} here")
        if verb == "uninstall":
            wanted = await _read_struct(scope, protocol, Uninstall)
            self._store.uninstall(project_id, wanted.token)
            self._devices.uninstall(project_id, wanted.token)
            return json_reply({"token": wanted.token})
        grant: Grant = self._desk.read(scope.headers.get("authorization"))
        if grant.project_id != project_id:
            raise permission_denied(project_id)
        if verb == "log":
            return self._log_page(project_id, scope.query_string)
        await self._stream_accepted(project_id, protocol)
        return None

    def _log_page(self, project_id: str, query: str) -> Reply:
        after = _bounded(query, "after", 0, 2**62)
        limit = _bounded(query, "limit", 100, PAGE_LIMIT)
        entries = self._store.page(project_id, after, limit)
        last = after
        if entries:
            last = entries[-1].seq
        return json_reply({"messages": [entry.as_json() for entry in entries], "last": last})

    async def _stream_accepted(self, project_id: str, protocol: Any) -> None:
        """One JSON array [ref, token, times] a line."""
        await asyncio.to_thread(self._store.flush)
        rows = await asyncio.to_thread(lambda: list(self._store.accepted(project_id)))
        stream = protocol.response_stream(200, [("content-type", "application/x-ndjson")])
        for start in range(0, len(rows), 1000):
            chunk = b"".join(msgspec.json.encode(row) + b"\n" for row in rows[start : start + 1000])
            await stream.send_bytes(chunk)


async def _read_body(scope: Any, protocol: Any) -> bytes:
    """The whole body; raises Reply 413 past BODY_LIMIT_BYTES without keeping the rest."""
    length = scope.headers.get("content-length") or ""
    if length.isdecimal() and int(length) <= BODY_LIMIT_BYTES:
        whole: bytes = await protocol()
        return whole
    body = bytearray()
    async for chunk in protocol:
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise control_error(413, f"the body is longer than {BODY_LIMIT_BYTES} bytes")
    return bytes(body)


async def _read_struct(scope: Any, protocol: Any, wanted: type[T]) -> T:
    # A page in a browser can post text/plain across sites without asking; not application/json.
    if not (scope.headers.get("content-type") or "").startswith("application/json"):
        raise control_error(415, "send application/json")
    try:
        decoded: T = msgspec.json.decode(await _read_body(scope, protocol), type=wanted)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise control_error(422, str(error)[:500]) from None
    return decoded


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise unreadable_json(str(error)[:200]) from None


def _ref(message: dict[str, Any]) -> str:
    """Our reference of a message, wherever the sender put it."""
    data, android = message.get("data") or {}, message.get("android") or {}
    tag = (android.get("notification") or {}).get("tag")
    return str(data.get("pp_ref") or tag or "")


def _bounded(query: str, name: str, default: int, highest: int) -> int:
    text = parse_qs(query, max_num_fields=20).get(name, [str(default)])[0]
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > highest:
        raise control_error(422, f"{name} must be a whole number from 0 to {highest}")
    return int(text)


def _only_from_loopback(scope: Any) -> None:
    """The control API makes keys: nobody off this machine, and no web page by way of a rebound
    host name."""
    client = str(scope.client).rpartition(":")[0].strip("[]").removeprefix("::ffff:")
    host = scope.authority or scope.headers.get("host") or ""
    asked = urlsplit(f"//{host}").hostname
    if not (client == "::1" or client.startswith("127.")) or asked not in _LOOPBACK_HOSTS:
        raise control_error(403, "the control API answers on loopback only")
