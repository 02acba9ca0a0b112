"""Starting up: clean under a production-like environment, and stopped by every wrong value with
a sentence."""

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
from tests.house.starting import PRODUCTION, start

pytestmark = pytest.mark.once


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


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a start ended with, and nothing else."""
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    assert line.endswith(".")
    return line


@pytest.mark.parametrize("command", ["check", "demo", "worker", "help"])
def test_a_wrong_value_ends_every_command_with_one_sentence_and_code_2(tmp_path, command):
    done = start(tmp_path, command, WORKERS="many")
    assert sentence(done) == "WORKERS='many' is not a whole number from 1 to 64."
    assert done.stdout == ""


def test_ctrl_c_ends_a_command_with_a_word(tmp_path):
    done = start(tmp_path, "shell", "--no-imports", "-c", "raise KeyboardInterrupt")
    assert (done.returncode, done.stderr.split()) == (130, ["Stopped."])


@pytest.mark.parametrize("module", ["pushpilot.wsgi", "pushpilot.cluster"])
def test_a_wrong_value_ends_the_web_server_and_the_cluster_with_the_same_sentence(tmp_path, module):
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "WORKERS": "many"}
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "WORKERS='many'" in sentence(done)


def test_granian_says_the_sentence_without_a_traceback(tmp_path):
    from pushpilot.processes import claim_port, web_command

    claimed = claim_port(8700)
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "WORKERS": "many"}
    done = subprocess.run(
        web_command(claimed.number),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "WORKERS='many' is not a whole number from 1 to 64." in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


NOWHERE = "postgres://user:hunter22@127.0.0.1:1/push"


@pytest.mark.parametrize("command", ["migrate", "demo", "run"])
def test_a_database_that_does_not_answer_ends_a_command_that_needs_it_with_one_sentence(
    tmp_path, command
):
    said = sentence(start(tmp_path, command, DATABASE_URL=NOWHERE))
    assert "DATABASE_URL" in said
    assert "refused" in said
    assert "hunter22" not in said


@pytest.mark.parametrize(
    "url", ["postgres://u@127.0.0.1:1/push?colour=red", "sqlite:////{folder}/text"]
)
def test_a_database_that_cannot_be_used_is_named_too(tmp_path, url):
    (tmp_path / "text").write_text("This is no database." * 100)
    said = sentence(start(tmp_path, "migrate", DATABASE_URL=url.format(folder=str(tmp_path))))
    assert "DATABASE_URL" in said


@pytest.mark.parametrize("command", ["demo", "run"])
def test_a_redis_that_does_not_answer_ends_the_product_with_one_sentence(tmp_path, command):
    assert "REDIS_URL" in sentence(
        start(tmp_path, command, REDIS_URL="redis://:hunter22@127.0.0.1:1/0")
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("PUBLICURL", "PUBLIC_URL"),
        ("SANDBOX_ULR", "SANDBOX_URL"),
        ("PUSHPILOT_DATABASE_URL", "DATABASE_URL"),
        ("SECRET_KEY_FILES", "SECRET_KEY_FILE"),
        ("WORKRES", "WORKERS"),
        ("Database_Url", "DATABASE_URL"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(monkeypatch, capsys, name, meant):
    monkeypatch.setattr(env.os, "environ", {name: "x"})
    env.name_misspelt()
    said = capsys.readouterr().err
    assert name in said
    assert f"{meant}?" in said


def test_every_command_names_a_misspelt_variable_and_goes_on(tmp_path):
    done = start(tmp_path, "check", DATABSE_URL="postgres://db/push")
    assert done.returncode == 0
    assert ["DATABSE_URL" in line for line in done.stderr.splitlines()] == [True]


# Of shells, containers, CI, cloud platforms and other software of a machine.
FOREIGN = """
    HOME USER LOGNAME SHELL PATH PWD OLDPWD LANG LC_ALL TERM TZ EDITOR DISPLAY HOSTNAME HOST PORT TMPDIR MAIL
    SHLVL DEBUG_COLORS DEBUGINFOD_URLS DEBIAN_FRONTEND XDG_DATA_DIRS XDG_DATA_HOME XDG_RUNTIME_DIR VIRTUAL_ENV
    PIP_INDEX_URL DJANGO_SECRET_KEY PGHOST PGDATABASE PGPASSWORD REDIS_HOST REDIS_PORT POSTGRES_URL MYSQL_URL
    TEST_DATABASE_URL EMAIL_HOST EMAIL_PORT GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLOUD_PROJECT GOOGLE_API_KEY
    AWS_SECRET_ACCESS_KEY SECRET_KEY_BASE APPLE_ID GITHUB_WORKSPACE GITHUB_RUN_ID CI RUNNER_DEBUG NODE_ENV
    npm_config_user_agent KUBERNETES_SERVICE_HOST PUSHPILOT_SERVICE_HOST PUSHPILOT_PORT
    PUSHPILOT_PORT_8000_TCP_ADDR PUSHPILOT_WORKER WEB_CONCURRENCY WORKER_CLASS WORKERS_PER_CORE
    REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE HTTP_PROXY NO_PROXY LOG_FORMAT LOGNAME DATABASE_HOST
    DATABASE_NAME DATABASE_PASSWORD SENTRY_DSN INSTANCE_TYPE VAR_DIR DATA VERSION
"""


def test_foreign_variables_alarm_nobody(monkeypatch, capsys):
    monkeypatch.setattr(env.os, "environ", dict.fromkeys(FOREIGN.split(), "x"))
    env.name_misspelt()
    assert capsys.readouterr().err == ""


# Every reader of pushpilot.lib.env, as settings.py calls it; in this process, since a start takes a
# second.
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
    "INSTANCE_ID": ["x" * 65, "two\nlines"],
    "DATA_DIR": ["/proc/nowhere", "/dev/null"],
    "ALLOWED_HOSTS": ["https://push.example.com", "push.example.com:8000", "push example.com"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_every_wrong_value_is_refused_by_name(tmp_path, monkeypatch, name, value):
    for known in WRONG:
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(env.ImproperlyConfigured) as raised:
        read_settings()
    assert name.removesuffix("_FILE") in str(raised.value)
    assert str(raised.value).endswith(".")


def test_of_processes_that_start_at_once_each_reads_the_whole_secret(tmp_path, monkeypatch):
    """It is there with all its characters, or not yet at all."""
    monkeypatch.delenv("SECRET_KEY", raising=False)
    file = tmp_path / "secret_key"
    monkeypatch.setattr(
        env.os, "link", lambda draft, kept: Path(kept).write_text("s" * 64) and 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        env.secret("SECRET_KEY", file)
    monkeypatch.undo()
    assert env.secret("SECRET_KEY", file) == "s" * 64, "another one was faster"
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]
    file.write_text("")
    with pytest.raises(env.ImproperlyConfigured, match="secret_key"):
        env.secret("SECRET_KEY", file)


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
