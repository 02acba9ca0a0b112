"""The product's commands in processes of their own, and the environment of a production."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.house.sources import ROOT

PRODUCTION = {
    "PUBLIC_URL": "https://push.example.com",
    "SECRET_KEY": "k9" * 40 + "-!xY",
    "ENCRYPTION_KEY": "e7" * 40,
    "PROXY_COUNT": "1",
    "EMAIL_URL": "smtp+tls://user:password@mail.example.com:587",
}


def start(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py …` in a fresh process that has nothing of this one's environment but the path."""
    plain = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**plain, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
