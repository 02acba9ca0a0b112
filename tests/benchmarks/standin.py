"""nginx as a stand-in for FCM that is faster than anything that looks at what it gets: it
accepts every message after 50, 75 or 100 ms. It grants no tokens, and accepts only what comes
over HTTP/2, which under TLS ALPN must have chosen. For the rate that the product reaches on a
machine; what it says of correctness is nothing. Needs nginx and its echo module (Debian:
nginx-light, libnginx-mod-http-echo).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tests.certificate import self_signed
from tests.providers.sandbox_server import free_port

MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
CONFIG = """
load_module {module};
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; client_body_buffer_size 16k; keepalive_requests 100000000;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  http2_max_concurrent_streams 1000;
  split_clients $request_id $wait {{ 33% 0.050; 33% 0.075; * 0.100; }}
  server {{
    listen 127.0.0.1:{plain} http2; listen 127.0.0.1:{tls} ssl http2;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
    if ($server_protocol != HTTP/2.0) {{ return 505; }}
    location / {{
      default_type application/json; echo_read_request_body; echo_sleep $wait;
      echo '{{"name":"projects/stand-in/messages/0:$request_id"}}';
    }}
  }}
}}
"""


@contextlib.contextmanager
def running_standin(folder: Path) -> Iterator[dict[str, str]]:
    """The addresses that take messages, by their name. Until it ends, its certificate is the
    only one trusted."""
    folder.mkdir(parents=True, exist_ok=True)
    plain, tls = free_port(), free_port()
    certificate, key = self_signed(folder)
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(
            module=MODULE, folder=folder, plain=plain, tls=tls, certificate=certificate, key=key
        )
    )
    process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)])
    try:
        for _ in range(100):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", plain), timeout=1),
            ):
                break
            time.sleep(0.05)
        with mock.patch.dict(os.environ, REQUESTS_CA_BUNDLE=str(certificate)):
            yield {"plain": f"http://127.0.0.1:{plain}", "TLS": f"https://127.0.0.1:{tls}"}
    finally:
        process.terminate()
        process.wait(10)
