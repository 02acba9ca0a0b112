"""Is everything working? One function per check: the platform's home page, `manage.py doctor`
and /healthz?verbose ask the same ones. A check belongs to the layer that knows; here are those
of the root, and the list of all."""

from __future__ import annotations

import functools
import logging
import shutil
import tomllib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_q.models import Task

import delivery.health
import reports.health
import tenants.health
from pushpilot import schedules
from pushpilot.lib.display import how_long, size
from pushpilot.lib.health import Line, Status, broken, ok, warning

logger = logging.getLogger(__name__)

Check = Callable[[datetime], Line]

SWEEP_LATE, SWEEP_LOST = timedelta(minutes=5), timedelta(minutes=15)
MIGRATE = "Run manage.py migrate."
LEAST_FREE_BYTES = 1_000_000_000
# Anybody may ask /healthz?verbose, and one check opens a connection to the mail server.
REPORT_KEPT = timedelta(seconds=10)


@functools.cache
def version() -> str:
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    return str(project["version"])


# --- the root's own checks ------------------------------------------------------------------------
def database(now: datetime) -> Line:
    title = "Database"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_database_size(current_database()), current_setting('server_version')"
            )
            size_bytes, server = cursor.fetchone()
            kind = f"PostgreSQL {server.split()[0]}"
        else:
            cursor.execute(
                "SELECT page_count * page_size, sqlite_version() FROM "
                "pragma_page_count, pragma_page_size"
            )
            size_bytes, server = cursor.fetchone()
            kind = f"SQLite {server}"
    left, says = unapplied(), f"{kind}, {size(size_bytes)}."
    return broken(title, f"{says} {left}", MIGRATE) if left else ok(title, says)


def unapplied() -> str:
    """Which migrations the database lacks, in a sentence; nothing if none."""
    executor = MigrationExecutor(connection)
    left = executor.migration_plan(executor.loader.graph.leaf_nodes())
    names = ", ".join(f"{migration.app_label} {migration.name}" for migration, _ in left[:3])
    return f"{len(left)} migrations are not applied: {names}." if left else ""


def cache_works(now: datetime) -> Line:
    title, kind = "Cache", "Redis" if settings.REDIS_URL else "Files of this machine"
    todo = (
        "Check REDIS_URL and the server."
        if settings.REDIS_URL
        else ("Check that DATA_DIR can be written.")
    )
    try:
        cache.set("health", now.isoformat(), 60)
        found = cache.get("health")
    except Exception as error:  # each back end has exceptions of its own
        return broken(title, f"{kind}: it does not answer ({type(error).__name__}).", todo)
    if found is None:
        return broken(
            title, f"{kind}: what was just written is gone. Rate limits and imports need it.", todo
        )
    return ok(title, f"{kind}.")


def disk(now: datetime) -> Line:
    title = "Disk"
    usage = shutil.disk_usage(
        Path(settings.DATA_DIR) if Path(settings.DATA_DIR).exists() else settings.BASE_DIR
    )
    says = f"{size(usage.free)} of {size(usage.total)} free for DATA_DIR."
    if usage.free < LEAST_FREE_BYTES:
        return warning(title, says, "Make room: a full disk stops the database and loses events.")
    return ok(title, says)


def sweep(now: datetime) -> Line:
    """The safety net: it finds what lost its bell. Schedule's runs of it are kept among q2's
    tasks."""
    title = "Sweep"
    rows = Task.objects.filter(func=f"{schedules.__name__}.{schedules.sweep.__name__}").order_by(
        "-stopped"
    )
    last = rows.values_list("stopped", "success").first()
    if last is None:
        return warning(
            title,
            "It has not run yet; a new worker takes a minute.",
            delivery.health.START_A_WORKER,
        )
    age = now - last[0]
    says = f"Last run {how_long(age)} ago."
    if age >= SWEEP_LOST:
        return broken(
            title, f"{says} Work that lost its bell waits.", delivery.health.START_A_WORKER
        )
    if not last[1]:
        return warning(title, f"{says} It failed.", "Its error stands under Queue → Failed tasks.")
    if age >= SWEEP_LATE:
        return warning(title, says, "The workers are late: start another one.")
    return ok(title, says)


def address(now: datetime) -> Line:
    """Would passwords travel in the open, would an error page show our settings?"""
    title, public = "Address", urlsplit(settings.PUBLIC_URL)
    if settings.DEBUG:
        return warning(title, "DEBUG is on: an error page shows code and settings.", "Unset DEBUG.")
    if public.scheme != "https" and public.hostname not in ("localhost", "127.0.0.1", "::1"):
        return warning(
            title,
            f"{settings.PUBLIC_URL}: passwords and API keys travel unencrypted.",
            "Put a proxy with a certificate in front and set PUBLIC_URL=https://… and PROXY_COUNT.",
        )
    return ok(title, f"People open {settings.PUBLIC_URL}.")


def files(now: datetime) -> Line:
    """Is what lies in DATA_DIR, with keys, mails and the database, closed to other users of the
    machine?"""
    title, folder = "Files", settings.DATA_DIR
    if folder.stat().st_mode & 0o077:
        return warning(
            title, f"Other users of this machine can read {folder}.", f"Run chmod -R go= {folder}."
        )
    return ok(title, f"Only its own user reads {folder}.")


CHECKS: dict[str, Check] = {
    "workers": delivery.health.workers,
    "installation": delivery.health.may_send,
    "queue": delivery.health.queue,
    "sweep": sweep,
    "runs": delivery.health.runs,
    "sending": delivery.health.shards,
    "events": reports.health.events,
    "event_storage": reports.health.storage,
    "database": database,
    "cache": cache_works,
    "disk": disk,
    "encryption": tenants.health.encryption,
    "mail": tenants.health.mail,
    "address": address,
    "files": files,
}


# --- all together ---------------------------------------------------------------------------------
def report(now: datetime) -> dict[str, Line]:
    """{name of the check: its line}, in the order of CHECKS. Never raises: a check that does is
    broken itself."""
    return {name: _answer(name, check, now) for name, check in CHECKS.items()}


def _answer(name: str, check: Check, now: datetime) -> Line:
    try:
        return check(now)
    except Exception as error:  # a check that cannot look has found something
        logger.exception("the check %r failed", name)
        says = f"This could not be looked at: {type(error).__name__}."
        return broken(name.capitalize(), says, "The log has the whole error.")


def worst(lines: Sequence[Line]) -> Status:
    order = list(Status)
    return max((line.status for line in lines), key=order.index, default=Status.OK)


def statuses() -> dict[str, str]:
    """{name of the check: its status} and nothing else, at most REPORT_KEPT old."""
    try:
        kept: dict[str, str] | None = cache.get("health:statuses")
    except Exception:  # the report says so itself
        kept = None
    if kept is None:
        kept = {name: str(line.status) for name, line in report(timezone.now()).items()}
        if kept["cache"] == Status.OK:
            cache.set("health:statuses", kept, REPORT_KEPT.total_seconds())
    return kept
