"""Starting: what is wrong with a setting, or away, is said in one sentence, and the process ends
with 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

WRONG_SETTING = 2
INTERRUPTED = 130  # as shells count: 128 + SIGINT


def read_settings() -> None:
    """Read the settings. A wrong one ends the process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pushpilot.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        settings.INSTALLED_APPS  # noqa: B018 - the first look reads them all
    except ImproperlyConfigured as error:
        _end(str(error))


def run_command(arguments: Sequence[str]) -> None:
    """`manage.py …`. A database or Redis that the command needs and that does not answer ends it
    with a sentence, and Ctrl-C with a word."""
    try:
        _run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        sys.exit(INTERRUPTED)


def _run(arguments: Sequence[str]) -> None:
    read_settings()
    from django.core.management import execute_from_command_line
    from django.db import Error as DatabaseError
    from redis.exceptions import RedisError

    try:
        execute_from_command_line(list(arguments))
    except (DatabaseError, RedisError):
        why = "" if "--traceback" in arguments else silent_service()
        if not why:
            raise
        _end(why)


def silent_service() -> str:
    """Which service does not answer, in a sentence; "" if all do."""
    from django.conf import settings
    from django.db import Error as DatabaseError
    from django.db import connection
    from redis import Redis
    from redis.exceptions import RedisError

    try:
        if connection.connection is None or not connection.is_usable():
            connection.close()
            connection.ensure_connection()
    except DatabaseError as error:
        return (
            f"The database of DATABASE_URL cannot be used: {_first_line(error)}. Start it, or "
            "correct DATABASE_URL."
        )
    if settings.REDIS_URL:
        try:
            with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5) as server:
                server.ping()
        except RedisError as error:
            return (
                f"The Redis server of REDIS_URL does not answer: {_first_line(error)}. Start it, "
                "or correct REDIS_URL."
            )
    return ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")


def _end(sentence: str) -> NoReturn:
    sys.stderr.write(f"{sentence}\n")
    sys.exit(WRONG_SETTING)
