"""`python -m delivery.providers.fcm.sandbox`: the sandbox without Django (tests, benchmarks)."""

import argparse
from pathlib import Path

from delivery.providers.fcm.sandbox.server import serve

parser = argparse.ArgumentParser(description="An FCM HTTP v1 sandbox.")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=8765)
parser.add_argument("--data-dir", type=Path, default=Path("var/sandbox"))
options = parser.parse_args()
serve(options.host, options.port, options.data_dir)
