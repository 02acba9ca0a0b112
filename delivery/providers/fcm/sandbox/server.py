"""Start and stop: granian's embedded server in one asyncio loop, HTTP/1.1 and HTTP/2 (prior
knowledge)."""

import asyncio
import contextlib
import signal
from pathlib import Path

from granian.constants import Interfaces
from granian.http import HTTP2Settings
from granian.server.embed import Server

from delivery.providers.fcm.sandbox.app import SandboxApp
from delivery.providers.fcm.sandbox.log import Store

_STREAMS = 1000  # as many per connection as anyone asks for; FCM allows 100
_STOP_SECS = 2


def serve(host: str, port: int, data_dir: Path) -> None:
    """Serve until SIGTERM or SIGINT. Keys, uninstalls and the log of accepted messages live in
    `data_dir`.

    Raises OSError when the port is taken or the folder cannot be written. Main thread only
    (signals).
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(host, port, data_dir / "sandbox.sqlite3"))


def _stop(app: SandboxApp, server: Server) -> None:
    app.close()
    server.stop()


async def _serve(host: str, port: int, path: Path) -> None:
    store = Store(path)
    app = SandboxApp(store, f"http://{f'[{host}]' if ':' in host else host}:{port}")
    # backpressure counts requests under way: messages to sbx_hang_… hold one each.
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        websockets=False,
        backlog=1024,
        backpressure=100_000,
        http2_settings=HTTP2Settings(max_concurrent_streams=_STREAMS),
        log_enabled=False,
    )
    server.workers_kill_timeout = _STOP_SECS
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, app, server)
    writer = asyncio.create_task(app.keep_writing())
    try:
        # granian gives up on requests that are still sleeping by raising TimeoutError.
        with contextlib.suppress(TimeoutError):
            await server.serve()
    finally:
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer
        store.close()
