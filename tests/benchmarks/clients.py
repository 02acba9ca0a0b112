"""The send step alone: one client after the other sends distinct messages of about 1 kB to the
same sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

from tests.benchmarks.meter import Measured, Meter

BATCH = 500  # the limit of send_each and sendEach
FILLING = "Twenty per cent off today, in every shop and online, until the doors close. " * 10
NODE = Path(__file__).with_name("node_client.cjs")


def batches(found: Iterator[Any], size: int = BATCH) -> Iterator[list[Any]]:
    while batch := list(islice(found, size)):
        yield batch


def message(token: str, number: int) -> Any:
    from firebase_admin import messaging

    made = messaging.Message(
        notification=messaging.Notification(title=f"Hello {number}", body=FILLING),
        data={"pp_ref": f"usual.{number}"},
    )
    made.token = token
    return made


@contextlib.contextmanager
def sdk(account: Any) -> Iterator[tuple[Any, asyncio.Runner]]:
    """A firebase-admin app for the sandbox, and an event loop for it. `send_each` gets as many
    connections as it has threads (with ten it would reconnect all the time), `send_each_async`
    HTTP/2 as at Google, without TLS's talks."""
    import httpx
    from firebase_admin import _http_client, messaging
    from requests.adapters import HTTPAdapter

    from delivery.providers.fcm.sdk import _sdk_app
    from pushpilot.lib.compat import google

    whole = mock.patch.object(_http_client, "HttpxAsyncClient", google.ASYNC_CLIENT)
    with whole, _sdk_app(account, account.mint().value) as app, asyncio.Runner() as loop:
        service = messaging._get_messaging_service(app)
        service._client.session.mount(
            "http://", HTTPAdapter(pool_connections=BATCH, pool_maxsize=BATCH)
        )
        plain = service._async_client
        retry = _http_client.HttpxRetryTransport(retry=plain._retry_config, http1=False, http2=True)
        plain._async_client = httpx.AsyncClient(
            timeout=plain._timeout, headers=plain._headers, auth=plain._async_client.auth,
            mounts={"http://": retry, "https://": retry},
        )  # fmt: skip
        yield app, loop
        # before its loop ends: the SDK itself closes it in another one, which fails
        loop.run(plain.aclose())


def send_each(account: Any, tokens: Sequence[str]) -> Measured:
    from firebase_admin import messaging

    with sdk(account) as (app, _), Meter() as meter:
        for batch in batches(iter(enumerate(tokens))):
            answers = messaging.send_each([message(token, n) for n, token in batch], app=app)
            assert not answers.failure_count, answers.responses[0].exception
    return meter.measured("firebase-admin send_each", len(tokens))


def send_each_async(account: Any, tokens: Sequence[str]) -> Measured:
    from firebase_admin import messaging

    with sdk(account) as (app, loop), Meter() as meter:
        for batch in batches(iter(enumerate(tokens))):
            answers = loop.run(
                messaging.send_each_async([message(token, n) for n, token in batch], app=app)
            )
            assert not answers.failure_count, answers.responses[0].exception
    return meter.measured("firebase-admin send_each_async", len(tokens))


def send_step(account: Any, tokens: Sequence[str]) -> Measured:
    """Ours without the ledger: fill the compiled payload, send, read the answers."""
    from campaigns.channels.payload import PayloadTemplate, slot
    from delivery.engine.work import GROUP_LEAST, WINDOW
    from delivery.providers.base import Verdict
    from delivery.providers.fcm.message import build_message, envelope
    from delivery.providers.fcm.sender import FcmSender
    from delivery.providers.http2 import CurlTransport

    push = {"title": slot("title"), "body": FILLING, "message_ref": slot("ref")}
    built = envelope(build_message(push, target=("token", slot("target"))))
    payload = PayloadTemplate.compile(built, ["title", "ref", "target"])
    sender = FcmSender(account, CurlTransport())
    next_one, accepted = 0, 0
    with Meter() as meter:
        while accepted < len(tokens):
            room = min(WINDOW - sender.in_flight, len(tokens) - next_one)
            if room >= min(GROUP_LEAST, len(tokens) - next_one) and room:
                sender.send(
                    (
                        n,
                        payload.fill(
                            {"title": f"Hello {n}", "ref": f"ours.{n}", "target": tokens[n]}
                        ),
                    )
                    for n in range(next_one, next_one + room)
                )
                next_one += room
            for outcome in sender.poll(0.25):
                assert outcome.verdict is Verdict.ACCEPTED, outcome
                accepted += 1
    sender.close()
    return meter.measured("PushPilot's send step", len(tokens))


def send_with_node(account: Any, tokens: Sequence[str]) -> Measured:
    """firebase-admin for Node, four sendEach of 500 at a time; installed by npm into a folder of
    its own."""
    with tempfile.TemporaryDirectory() as folder:
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "firebase-admin@13"]
        subprocess.run(install, cwd=folder, check=True)
        script = Path(folder) / NODE.name
        script.write_text(NODE.read_text())
        job = {"url": account.base_url, "project": account.project_id, "token": account.mint().value,
               "tokens": list(tokens), "body": FILLING}  # fmt: skip
        done = subprocess.run(
            ["node", str(script)], cwd=folder, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True,
            env={**os.environ, "NODE_NO_WARNINGS": "1"},
        )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["accepted"] == len(tokens), said
    return Measured(
        "Node firebase-admin sendEach ×4", len(tokens), said["seconds"], said["cpu_secs"]
    )
