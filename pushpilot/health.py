"""Is everything working? One function per check: the platform's home page, `manage.py doctor`
and /healthz?verbose ask the same ones. A check belongs to the layer that knows; here are those
of the root, and the list of all.

A line is written in the active language: that of the reader on a page, that of the installation
in a terminal. JSON has the statuses alone, which are no language."""

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
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_q.models import Task

import delivery.health
import reports.health
import tenants.health
from pushpilot import schedules
from pushpilot.lib.display import age, format_number, listed, size
from pushpilot.lib.health import Line, Status, broken, ok, warning

logger = logging.getLogger(__name__)

Check = Callable[[datetime], Line]

SWEEP_LATE, SWEEP_LOST = timedelta(minutes=5), timedelta(minutes=15)
MIGRATE = gettext_lazy("Run manage.py migrate.")
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
    title = _("Database")
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
    if left:
        return broken(title, f"{says} {left}", MIGRATE)
    return ok(title, says)


def unapplied() -> str:
    """Which migrations the database lacks, in a sentence; nothing if none."""
    executor = MigrationExecutor(connection)
    left = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not left:
        return ""
    words = ngettext(
        "%(count)s migration is not applied, first of all %(names)s.",
        "%(count)s migrations are not applied, first of all %(names)s.",
        len(left),
    )
    names = listed(f"{migration.app_label} {migration.name}" for migration, _back in left[:3])
    return words % {"count": format_number(len(left)), "names": names}


def cache_works(now: datetime) -> Line:
    title, kind = _("Cache"), _("Files of this machine")
    todo = _("Check that PushPilot can write to DATA_DIR.")
    if settings.REDIS_URL:
        kind, todo = "Redis", _("Check REDIS_URL and the server.")
    try:
        cache.set("health", now.isoformat(), 60)
        found = cache.get("health")
    except Exception as error:  # each back end has exceptions of its own
        words = _("%(kind)s: no answer (%(error)s).")
        return broken(title, words % {"kind": kind, "error": type(error).__name__}, todo)
    if found is None:
        words = _("%(kind)s: a new entry is lost. Rate limits and imports need the cache.")
        return broken(title, words % {"kind": kind}, todo)
    return ok(title, f"{kind}.")


def disk(now: datetime) -> Line:
    title = _("Disk")
    usage = shutil.disk_usage(
        Path(settings.DATA_DIR) if Path(settings.DATA_DIR).exists() else settings.BASE_DIR
    )
    words = _("%(free)s of %(all)s free for DATA_DIR.")
    says = words % {"free": size(usage.free), "all": size(usage.total)}
    if usage.free < LEAST_FREE_BYTES:
        todo = _("Free some space: a full disk stops the database and loses events.")
        return warning(title, says, todo)
    return ok(title, says)


def sweep(now: datetime) -> Line:
    """The safety net: it finds what lost its bell. Schedule's runs of it are kept among q2's
    tasks."""
    title = _("Sweep")
    rows = Task.objects.filter(func=f"{schedules.__name__}.{schedules.sweep.__name__}").order_by(
        "-stopped"
    )
    last = rows.values_list("stopped", "success").first()
    if last is None:
        says = _("The sweep has not run yet. A new worker runs it within a minute.")
        return warning(title, says, delivery.health.START_A_WORKER)
    span = now - last[0]
    says = _("The last sweep ran %(ago)s.") % {"ago": age(span)}
    if span >= SWEEP_LOST:
        waits = _("Work without a bell waits.")
        return broken(title, f"{says} {waits}", delivery.health.START_A_WORKER)
    if not last[1]:
        todo = _("Queue → Failed tasks shows its error.")
        failed = _("It failed.")
        return warning(title, f"{says} {failed}", todo)
    if span >= SWEEP_LATE:
        return warning(title, says, _("The workers are late. Start another worker."))
    return ok(title, says)


def address(now: datetime) -> Line:
    """Would passwords travel in the open, would an error page show our settings?"""
    title, public = _("Address"), urlsplit(settings.PUBLIC_URL)
    if settings.DEBUG:
        says = _("DEBUG is on: an error page shows code and settings.")
        return warning(title, says, _("Unset DEBUG."))
    if public.scheme != "https" and public.hostname not in ("localhost", "127.0.0.1", "::1"):
        words = _("Passwords and API keys travel unencrypted to %(address)s.")
        todo = _(
            "Put a proxy with a certificate in front, and set PUBLIC_URL=https://… and PROXY_COUNT."
        )
        return warning(title, words % {"address": settings.PUBLIC_URL}, todo)
    words = _("People open PushPilot at %(address)s.")
    return ok(title, words % {"address": settings.PUBLIC_URL})


def files(now: datetime) -> Line:
    """Is what lies in DATA_DIR, with keys, mails and the database, closed to other users of the
    machine?"""
    title, about = _("Files"), {"folder": settings.DATA_DIR}
    if settings.DATA_DIR.stat().st_mode & 0o077:
        says = _("Other users of this machine can read %(folder)s.")
        return warning(title, says % about, _("Run chmod -R go= %(folder)s.") % about)
    return ok(title, _("Only the user of PushPilot can read %(folder)s.") % about)


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
        says = _("This check failed: %(error)s.") % {"error": type(error).__name__}
        return broken(name.capitalize(), says, _("The log shows the whole error."))


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
