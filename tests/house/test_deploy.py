"""Starting up: clean under a production-like environment, and stopped by every wrong value with a sentence."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pushpilot.lib import env
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
        cwd=ROOT, env={**plain, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def read_settings() -> dict[str, Any]:
    """The names that settings.py makes under this process's environment."""
    return runpy.run_path(str(ROOT / "pushpilot" / "settings.py"))


CHECK = ("check", "--deploy", "--fail-level", "WARNING")


def test_the_deploy_check_is_clean_in_production(tmp_path):
    done = start(tmp_path, *CHECK, **PRODUCTION)
    assert done.returncode == 0, done.stderr


def test_the_deploy_check_catches_an_unsafe_setting(tmp_path):
    done = start(tmp_path, *CHECK, **{**PRODUCTION, "PUBLIC_URL": "http://push.example.com"})
    assert done.returncode != 0
    assert "security.W" in done.stderr


def test_a_first_run_needs_no_variable(tmp_path):
    done = start(tmp_path, "check")
    assert done.returncode == 0, done.stderr


def test_a_wrong_value_stops_the_start_with_a_sentence_that_names_it(tmp_path):
    done = start(tmp_path, "check", WORKERS="many")
    assert done.returncode != 0
    assert "WORKERS='many' is not a whole number from 1 to 64." in done.stderr


# Every reader of pushpilot.lib.env, as settings.py calls it; in this process, since a start takes a second.
WRONG = {
    "DATABASE_URL": ["mysql://x/y", "postgres://host:port/name", "postgres://host/", "sqlite:///", "nonsense", "postgres://[x/y"],
    "REDIS_URL": ["http://cache", "redis://", "redis://host:port/0", "redis://host/x", "nonsense"],
    "PUBLIC_URL": ["push.example.com", "ftp://push.example.com", "https://push.example.com/app", "https://", "https://x:port"],
    "SANDBOX_URL": ["localhost:8765"],
    "EMAIL_URL": ["mail.example.com", "smtp://", "smtp://host:port", "file://", "imap://host"],
    "WORKERS": ["0", "65", "-1", "two", "1.5", "²"],
    "PROXY_COUNT": ["6", "yes"],
    "SEND_UNDO_SECS": ["601", "soon"],
    "SECRET_KEY": ["short"],
    "ENCRYPTION_KEY": ["short"],
    "ENCRYPTION_KEYS": ["short", "x" * 40 + ",short"],
    "DEBUG": ["maybe"],
    "ROW_SECURITY": ["maybe", "1"],  # 1: without PostgreSQL
    "LOG_LEVEL": ["loud"],
    "SECRET_KEY_FILE": ["nowhere/secret"],
    "SECRET_KEY_FALLBACKS": ["short"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_every_wrong_value_is_refused_by_name(tmp_path, monkeypatch, name, value):
    for known in WRONG:
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(env.ImproperlyConfigured) as raised:
        read_settings()
    assert name.removesuffix("_FILE") in str(raised.value)
    assert str(raised.value).endswith(".")


def test_the_right_values_pass(tmp_path, monkeypatch):
    services = {"DATABASE_URL": "postgres://u:p@db:5433/push", "REDIS_URL": "redis://cache:6379/0"}
    for name, value in {**PRODUCTION, **services}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    made = read_settings()
    assert made["SECURE_SSL_REDIRECT"] is True
    assert made["DATABASES"]["default"]["NAME"] == "push"


def test_a_password_is_not_repeated_in_the_sentence(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "mysql://user:hunter22@host/name")
    with pytest.raises(env.ImproperlyConfigured) as raised:
        env.database("DATABASE_URL", "", base=ROOT)
    assert "hunter22" not in str(raised.value)
