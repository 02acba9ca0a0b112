"""What every test may ask for: the cast (tests/cast.py), a database, a sandbox, a connection."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from delivery.connections import connect_sandbox
from delivery.providers.fcm.account import FcmAccount
from pushpilot.lib import limits
from tenants.models import Connection, Workspace
from tenants.scope import scope
from tenants.social_sign_in import SocialAccountAdapter
from tests.approle import APP_ROLE, make_app_role
from tests.cast import Cast, make_cast
from tests.database import Migrated
from tests.providers.sandbox_server import Sandbox, running_sandbox
from tests.tenants.identity_provider import IdentityProvider, configured

# A slow machine fails no property; the cast of a test is the same in each of its examples.
settings.WHITENOISE_AUTOREFRESH = True  # else each test client walks all static files
hypothesis_settings.register_profile(
    "pushpilot",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis_settings.load_profile("pushpilot")


def pytest_collection_finish() -> None:
    """What was imported stays: without this the garbage collector looks through 250,000 objects
    again and again, a twentieth of what the tests cost."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The size of the permission matrix: tests note it as properties, which reach this process
    from xdist's too."""
    noted = [
        (name, value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", [])
        if report.when == "call"
    ]
    cells = sum(value for name, value in noted if name == "cells")
    leaks = [value for name, value in noted if name == "leak"]
    if cells or leaks:
        terminalreporter.write_line(
            f"Permission matrix: {cells:,} cells right, {len(leaks)} seeded leaks caught."
        )
    for leak in sorted(leaks):
        terminalreporter.write_line(f"  caught: {leak}")


@pytest.fixture(scope="session")
def migrated(
    request: pytest.FixtureRequest, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[Migrated]:
    """Laid under the test database before that is made; see tests/database.py."""
    migrated = Migrated(request.config.cache.mkdir("migrated"))
    with django_db_blocker.unblock():
        migrated.lay()
    yield migrated
    migrated.close()


@pytest.fixture(scope="session")
def django_db_setup(
    migrated: Migrated, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """With ROW_SECURITY=1 the tables are made by the role of DATABASE_URL, and used by one that
    owns nothing."""
    with django_db_blocker.unblock():
        migrated.keep()
    if not settings.ROW_SECURITY:
        yield
        return
    with django_db_blocker.unblock():
        make_app_role(connection)
        connection.settings_dict["OPTIONS"]["assume_role"] = APP_ROLE
        connection.close()
    yield
    with django_db_blocker.unblock():
        del connection.settings_dict["OPTIONS"]["assume_role"]
        connection.close()


@pytest.fixture(autouse=True)
def _plain_settings(settings, tmp_path):
    """Fast hashing, and a cache of the process, without what other tests left in it (rate
    limits). What the machine remembers of its database is the test's own."""
    settings.DATA_DIR = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    limits.forget_all()
    settings.API_PER_MINUTE = 1_000_000


@pytest.fixture(autouse=True)
def _trail_lets_go(request) -> Iterator[None]:
    """After a test with real commits SQLite is emptied by DELETE, which the audit trail refuses
    for what stays."""
    marker = request.node.get_closest_marker("django_db")
    if marker is None or not marker.kwargs.get("transaction"):
        yield
        return
    request.getfixturevalue("transactional_db")
    yield
    Workspace.objects.update(deletion_due_at=timezone.now())


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def identity_provider(settings, monkeypatch) -> IdentityProvider:
    """Google and Apple are set up, and answered in this process; see
    tests/tenants/identity_provider.py."""
    provider = IdentityProvider()
    settings.SOCIALACCOUNT_PROVIDERS = configured(settings.SOCIALACCOUNT_PROVIDERS)
    real = SocialAccountAdapter.get_requests_session

    def session(adapter: SocialAccountAdapter) -> requests.Session:
        made: requests.Session = real(adapter)
        for scheme in ("https://", "http://"):
            made.mount(scheme, provider)
        return made

    monkeypatch.setattr(SocialAccountAdapter, "get_requests_session", session)
    return provider


@pytest.fixture
def inside(cast: Cast) -> Iterator[Cast]:
    """The cast, with the scope of its workspace active."""
    with scope(cast.workspace):
        yield cast


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox process for the whole run; each test makes a project of its own."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox, settings) -> Sandbox:
    """The running sandbox, with settings as at start, as the product's sandbox."""
    shared_sandbox.settings()
    settings.SANDBOX_URL = shared_sandbox.url
    return shared_sandbox


@pytest.fixture
def account(sandbox: Sandbox) -> FcmAccount:
    """An account of a fresh project."""
    key_file = sandbox.key_file(f"p-{uuid.uuid4().hex[:20]}")
    return FcmAccount.parse(key_file, sandbox_url=sandbox.url)


@pytest.fixture
def connected(cast: Cast, sandbox: Sandbox) -> Connection:
    """The cast's workspace, connected to a fresh project of the sandbox."""
    cast.workspace.slug = f"biddano-{uuid.uuid4().hex[:12]}"
    cast.workspace.save()
    return connect_sandbox(cast.workspace, by=cast.owner)
