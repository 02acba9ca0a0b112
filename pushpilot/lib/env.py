"""Typed reading of environment variables. A wrong value stops the start with a sentence that
names it."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}
LEAST_SECRET_CHARS = 32
# How alike a variable must be to one of ours to be named as a slip of the pen.
ALIKE = 0.85
# Read by others in our processes, or told from one process of ours to another.
_OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PUSHPILOT_WORKER", "PUSHPILOT_SHUTDOWN_PIPE")
# What Kubernetes sets for a service called "pushpilot".
_KUBERNETES = re.compile(r"PUSHPILOT_(SERVICE_|PORT(_|$))")
_known: set[str] = set()  # the variables that were asked for


def text(name: str, default: str = "") -> str:
    """The variable, or the content of the file that `NAME_FILE` points at (Docker and Kubernetes
    secrets)."""
    _known.update((name, f"{name}_FILE"))
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}_FILE={path!r} cannot be read: {error.strerror}."
            ) from error
    # set but empty is unset: compose files pass such
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool = False) -> bool:
    _known.add(name)
    word = os.environ.get(name, "1" if default else "0").strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name}={word!r} is neither yes nor no. Write 1 or 0.")


def integer(name: str, default: int, *, least: int = 0, most: int = 2**31 - 1) -> int:
    _known.add(name)
    word = os.environ.get(name, "").strip()
    if not word:
        return default
    if not (word.isascii() and word.isdecimal()) or not least <= int(word) <= most:
        raise ImproperlyConfigured(f"{name}={word!r} is not a whole number from {least} to {most}.")
    return int(word)


def words(name: str, default: list[str]) -> list[str]:
    """A comma-separated list; empty items are dropped."""
    found = text(name)
    if found:
        return [word.strip() for word in found.split(",") if word.strip()]
    return default


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words, written in capitals or not."""
    word = text(name, default).upper()
    if word not in allowed:
        raise ImproperlyConfigured(f"{name}={word!r} is none of {', '.join(allowed)}.")
    return word


def secrets_list(name: str) -> list[str]:
    """A comma-separated list of secrets; empty if the variable is not set."""
    return [_long_enough(name, given) for given in words(name, [])]


def _long_enough(name: str, given: str) -> str:
    if len(given) < LEAST_SECRET_CHARS:
        raise ImproperlyConfigured(
            f"{name} has a secret of {len(given)} characters; at least {LEAST_SECRET_CHARS} are "
            "needed."
        )
    return given


def _split(name: str, url: str) -> tuple[SplitResult, int | None]:
    """The parts of an address, and its port."""
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name}={_without_password(url)!r} is no address: its host or its port cannot be read."
        ) from error


def secret(name: str, kept_in: Path) -> str:
    """The variable, or a random secret made on the first run and kept in a file that only its
    owner reads."""
    given = text(name)
    if given:
        return _long_enough(name, given)
    try:
        if not kept_in.exists():
            _keep_secret(kept_in)
        kept = kept_in.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"The file {kept_in}, which keeps {name}, cannot be used: {error}."
        ) from error
    return _long_enough(f"The file {kept_in}, which keeps {name},", kept)


def _keep_secret(kept_in: Path) -> None:
    """Whole or not at all: of processes that start at once one makes the secret, the others read
    it."""
    kept_in.parent.mkdir(parents=True, exist_ok=True)
    draft = kept_in.with_name(f".{kept_in.name}.{os.getpid()}")
    try:
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii"
        ) as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(draft, kept_in)
    finally:
        draft.unlink(missing_ok=True)


def folder(name: str, default: Path) -> Path:
    """A folder that can be written; it is made if there is none."""
    path = Path(text(name, str(default)))
    _make_folder(name, path)
    return path


def _make_folder(name: str, path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}: the folder {path} cannot be made: {error.strerror}."
        ) from error


def label(name: str, *, most: int) -> str:
    """One line of at most so many characters; "" if the variable is not set."""
    given = text(name)
    if len(given) > most or not given.isprintable():
        raise ImproperlyConfigured(
            f"{name}={given[: most + 20]!r} is not one line of at most {most} characters."
        )
    return given


def hosts(name: str, default: list[str]) -> list[str]:
    """Host names as Django's ALLOWED_HOSTS takes them: without scheme, port and path."""
    found = words(name, [])
    for host in found:
        if not re.fullmatch(r"\*|\.?[\w.-]+|\[[0-9A-Fa-f:.]+\]", host):
            raise ImproperlyConfigured(
                f"{name}: {host!r} is no host name. Write it without scheme, port and path."
            )
    return found or default


def name_misspelt() -> None:
    """Say on stderr which variables were probably meant to be ours. Call when all settings are
    read."""
    for name in sorted(os.environ):
        meant = _meant(name)
        if meant:
            sys.stderr.write(
                f"Warning: {name} is no setting of PushPilot and is ignored. Did you "
                f"mean {meant}?\n"
            )


def _meant(name: str) -> str:
    """The variable of ours that the name is a misspelling of; "" if it is none."""
    if name in _known or name in _OTHERS or _KUBERNETES.match(name):
        return ""
    plain = name.upper().removeprefix("PUSHPILOT_")
    if plain in _known:
        return plain
    found = difflib.get_close_matches(plain, sorted(_known), n=1, cutoff=ALIKE)
    if found:
        return found[0]
    return ""


def public_url(name: str, default: str) -> str:
    url = text(name, default).rstrip("/")
    parts, _ = _split(name, url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise ImproperlyConfigured(
            f"{name}={url!r} is not an address such as https://push.example.com (scheme and host, "
            "no path)."
        )
    return url


def redis(name: str) -> str:
    """`redis[s]://[:password@]host[:port]/[number of the database]`; "" if the variable is not
    set."""
    url = text(name)
    if not url:
        return ""
    parts, _ = _split(name, url)
    number = parts.path.strip("/")
    if (
        parts.scheme not in ("redis", "rediss")
        or not parts.hostname
        or not (number.isdecimal() or not number)
    ):
        raise ImproperlyConfigured(
            f"{name}={_without_password(url)!r} is no address such as redis://cache:6379/0."
        )
    return url


def database(
    name: str, default: str, *, base: Path, guard: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Django's settings of one database from `sqlite:///path` or
    `postgres://user:password@host:port/name`.

    `guard` is (the variable that asks for it, the backend that PostgreSQL is then spoken to
    through).
    """
    url = text(name, default)
    parts, port = _split(name, url)
    if guard and parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(
            f"{guard[0]} needs PostgreSQL; {name} names {parts.scheme!r}. Unset one of them."
        )
    if parts.scheme == "sqlite":
        path = parts.path.removeprefix("/")
        if not path:
            raise ImproperlyConfigured(
                f"{name}={url!r} names no file. Write sqlite:///var/pushpilot.sqlite3."
            )
        file = Path(path) if path.startswith("/") else base / path
        _make_folder(name, file.parent)
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(file),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA "
                "mmap_size=134217728; PRAGMA cache_size=-16000;",
            },
        }
    if parts.scheme in ("postgres", "postgresql"):
        backend = "django.db.backends.postgresql"
        if guard:
            backend = guard[1]
        return {"ENGINE": backend, **_postgresql(name, url, parts, port)}
    raise ImproperlyConfigured(
        f"{name}={_without_password(url)!r} has the scheme {parts.scheme!r}; sqlite or postgres is "
        "needed."
    )


def _postgresql(name: str, url: str, parts: SplitResult, port: int | None) -> dict[str, Any]:
    if not parts.path.strip("/"):
        raise ImproperlyConfigured(
            f"{name}={_without_password(url)!r} names no database after the host."
        )
    options: dict[str, Any] = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": port or 5432,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def email(name: str, default: str) -> dict[str, Any]:
    """Django's EMAIL_* settings from `console://`, `file:///folder` or
    `smtp[s|+tls]://user:password@host:port`."""
    url = text(name, default)
    parts, port = _split(name, url)
    if parts.scheme == "console":
        return {"EMAIL_BACKEND": "pushpilot.lib.console.EmailBackend"}
    if parts.scheme == "file" and parts.path:
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": unquote(parts.path),
        }
    if parts.scheme in ("smtp", "smtps", "smtp+tls") and parts.hostname:
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": parts.hostname,
            "EMAIL_PORT": port or {"smtp": 25, "smtps": 465, "smtp+tls": 587}[parts.scheme],
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_SSL": parts.scheme == "smtps",
            "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
            "EMAIL_TIMEOUT": 10,
        }
    raise ImproperlyConfigured(
        f"{name}={_without_password(url)!r} is none of console://, file:///folder, "
        "smtp+tls://user:password@host:587."
    )


def _without_password(url: str) -> str:
    """The address as an error may show it. Not by urlsplit: what it cannot read is just what is
    shown."""
    return re.sub(r":[^:/@]*@", ":…@", url)
