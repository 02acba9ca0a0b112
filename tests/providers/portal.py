"""Something that stands between us and the provider and answers 200 to everything."""

import contextlib
import http.server
import threading
from collections.abc import Iterator

PAGES = [
    b"",
    b"<html>Sign in to the Wi-Fi</html>",
    b"[]",
    b"7",
    b"null",
    b'{"name":""}',
    b'{"name":7}',
    b'{"ok":true}',
]


@contextlib.contextmanager
def portal(body: bytes) -> Iterator[str]:
    """A server that answers everything with 200 and this body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"] or 0))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
