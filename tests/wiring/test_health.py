"""The checks of the platform, the doctor and /healthz?verbose: each is shown to fail, and to say
what to do."""

from __future__ import annotations

import socketserver
import threading
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ, Task

import delivery.health
import reports.health
import tenants.health
from campaigns.models import Run
from delivery.models import Heartbeat, Shard
from pushpilot import health
from pushpilot.lib.display import how_long, size
from pushpilot.lib.env import email
from pushpilot.lib.health import Status, ok
from reports.models import InboxBatch
from tenants.models import Connection
from tenants.scope import scope
from tests.house.rows import rows_of

NOW = timezone.now()
OK, WARNING, BROKEN = Status.OK, Status.WARNING, Status.BROKEN


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.fixture(autouse=True)
def _nothing_kept():
    cache.clear()


@pytest.fixture
def run(cast) -> Run:
    made = rows_of(cast.workspace)[Run]
    assert isinstance(made, Run)
    with scope(cast.workspace):
        Run.objects.filter(pk=made.pk).update(state=Run.State.RUNNING, finished_at=None)
    return made


def shard(run: Run, **fields: object) -> None:
    with scope(run.workspace):
        Shard.objects.create(
            workspace=run.workspace, run=run, first_id=Shard.objects.count(), last_id=9, **fields
        )


# --- delivery -------------------------------------------------------------------------------------
def test_no_worker_is_broken_and_says_how_to_start_one(db):
    line = delivery.health.workers(NOW)
    assert (line.status, line.todo) == (BROKEN, "Start a worker: manage.py worker.")
    Heartbeat.objects.create(worker="web1:7", beat_at=ago(minutes=4))
    assert "The last heartbeat was 4 min ago" in delivery.health.workers(NOW).says


def test_a_worker_that_went_silent_beside_a_living_one_is_named_for_an_hour(db):
    Heartbeat.objects.create(worker="web1:7", beat_at=ago(seconds=3))
    assert delivery.health.workers(NOW) == ok(
        "Workers", "1 worker running, last heartbeat 3 s ago."
    )
    Heartbeat.objects.create(worker="web2:9", beat_at=ago(minutes=4))
    line = delivery.health.workers(NOW)
    assert line.status == WARNING
    assert "web2:9 went silent 4 min ago" in line.says
    Heartbeat.objects.filter(worker="web2:9").update(beat_at=ago(hours=2))
    assert delivery.health.workers(NOW).status == OK


@pytest.mark.parametrize(("secs", "status"), [(5, OK), (90, WARNING), (400, BROKEN)])
def test_a_task_that_waits_is_fine_then_slow_then_stuck(db, secs, status):
    OrmQ.objects.create(key="pushpilot", payload="x", lock=ago(seconds=secs))
    OrmQ.objects.create(
        key="pushpilot", payload="at work, or meant for later", lock=NOW + timedelta(hours=1)
    )
    line = delivery.health.queue(NOW)
    assert line.status == status
    assert line.says.startswith("1 task waiting")


def test_what_is_late_asks_for_another_worker_only_where_one_runs(cast):
    OrmQ.objects.create(key="pushpilot", payload="x", lock=ago(seconds=90))
    with scope(cast.workspace):
        InboxBatch.objects.create(
            workspace=cast.workspace,
            received_at=ago(minutes=5),
            count=1,
            events=b"[]",
            not_before=NOW,
        )
    for line in (delivery.health.queue(NOW), reports.health.events(NOW)):
        assert line.todo == "No worker is running. Start a worker: manage.py worker."
    Heartbeat.objects.create(worker="web1:7", beat_at=NOW)
    for line in (delivery.health.queue(NOW), reports.health.events(NOW)):
        assert "other" in line.todo


def test_shards_that_nobody_works_on_are_broken_while_those_behind_a_busy_worker_are_not(run):
    assert delivery.health.shards(NOW).says == "No message is being sent."
    shard(run, not_before=ago(minutes=9))
    assert delivery.health.shards(NOW).status == BROKEN
    shard(run, state="leased", lease_until=NOW + timedelta(seconds=9))
    assert delivery.health.shards(NOW) == ok(
        "Sending", "1 shard in progress; waiting: 1; lag: 9 min."
    )
    shard(run, state="leased", lease_until=ago(minutes=5))
    assert delivery.health.shards(NOW).status == WARNING


def test_a_lapsed_lease_alone_is_nobody_at_work(run):
    shard(run, state="leased", lease_until=ago(minutes=5))
    line = delivery.health.shards(NOW)
    assert line.status == BROKEN
    assert line.says.startswith("0 shards in progress")


def test_shards_of_a_paused_run_are_nobody_s_business(run):
    shard(run, not_before=ago(minutes=9))
    with scope(run.workspace):
        Run.objects.update(state=Run.State.PAUSED)
    assert delivery.health.shards(NOW).status == OK
    assert delivery.health.runs(NOW).says == "In progress: 1, 1 of them paused. Planned: 0."


def test_a_run_that_should_have_started_is_broken(run):
    with scope(run.workspace):
        Run.objects.update(
            state=Run.State.PLANNED, intended_at=ago(minutes=3), not_after=NOW + timedelta(hours=1)
        )
        assert "1 run should have started 3 min ago" in delivery.health.runs(NOW).says
        Run.objects.update(intended_at=NOW + timedelta(hours=1))
    assert delivery.health.runs(NOW).status == OK


# --- reports --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("minutes", "attempts", "status"),
    [(0, 0, OK), (5, 0, WARNING), (20, 0, BROKEN), (20, 5, WARNING)],
)
def test_events_that_are_not_digested_are_seen(cast, minutes, attempts, status):
    with scope(cast.workspace):
        InboxBatch.objects.create(
            workspace=cast.workspace, received_at=ago(minutes=minutes), count=1, events=b"[]", attempts=attempts,
            not_before=NOW,
        )  # fmt: skip
    assert reports.health.events(NOW).status == status


# --- tenants --------------------------------------------------------------------------------------
def test_a_lost_encryption_key_is_broken_until_it_is_back(cast, settings):
    rows_of(cast.workspace)
    assert tenants.health.encryption(NOW).says == "1 stored credential decrypted; 1 key configured."
    former, settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS, ["another-key-" * 4]
    line = tenants.health.encryption(NOW)
    assert (line.status, line.says) == (
        BROKEN,
        "1 of 1 stored credential cannot be decrypted: no key fits.",
    )
    settings.ENCRYPTION_KEYS = [*settings.ENCRYPTION_KEYS, *former]
    line = tenants.health.encryption(NOW)
    assert (line.status, "1 under an older key" in line.says) == (OK, True)
    with scope(cast.workspace):
        assert Connection.objects.count() == 1


class _Smtp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 yes\r\n")


def test_mail_is_fine_once_a_server_takes_our_connection(settings):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        assert tenants.health.mail(NOW).status == OK
        server.shutdown()
    line = tenants.health.mail(NOW)
    assert line.status == BROKEN
    assert "does not take mail" in line.says


def test_files_that_others_can_read_are_a_warning(settings):
    settings.DATA_DIR.chmod(0o755)
    assert health.files(NOW).status == WARNING
    settings.DATA_DIR.chmod(0o700)
    assert health.files(NOW).status == OK


def test_mail_that_reaches_nobody_is_a_warning(settings, monkeypatch):
    for url in ("console://", "file:///mails"):
        monkeypatch.setenv("EMAIL_URL", url)
        settings.EMAIL_BACKEND = email("EMAIL_URL", "")["EMAIL_BACKEND"]
        line = tenants.health.mail(NOW)
        assert (line.status, "EMAIL_URL" in line.todo) == (WARNING, True)


# --- the root -------------------------------------------------------------------------------------
def test_the_sweep_is_late_lost_or_failing(db):
    def swept(minutes: float, success: bool = True) -> Status:
        Task.objects.all().delete()
        at = ago(minutes=minutes)
        Task.objects.create(
            id="1",
            name="s",
            func="pushpilot.schedules.sweep",
            started=at,
            stopped=at,
            success=success,
        )
        return health.sweep(NOW).status

    assert health.sweep(NOW).status == WARNING
    assert [swept(1), swept(6), swept(20), swept(1, success=False)] == [
        OK,
        WARNING,
        BROKEN,
        WARNING,
    ]


def test_the_database_names_its_kind_and_size_and_missing_migrations(db):
    from django.db.migrations.recorder import MigrationRecorder

    assert health.database(NOW).status == OK
    assert health.database(NOW).says.startswith(("SQLite 3", "PostgreSQL "))
    MigrationRecorder.Migration.objects.filter(app="delivery").delete()
    line = health.database(NOW)
    assert (line.status, line.todo) == (BROKEN, "Run manage.py migrate.")


def test_a_cache_that_forgets_or_does_not_answer_is_broken(settings):
    assert health.cache_works(NOW).status == OK
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    assert health.cache_works(NOW).status == BROKEN
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:9/0",
        }
    }
    assert "no answer (ConnectionError)" in health.cache_works(NOW).says


def test_a_full_disk_an_open_address_and_debug_are_warnings(settings, monkeypatch):
    assert health.disk(NOW).status == OK
    monkeypatch.setattr(health, "LEAST_FREE_BYTES", 10**18)
    assert health.disk(NOW).status == WARNING
    assert health.address(NOW).status == OK
    settings.PUBLIC_URL = "http://push.example.com"
    assert health.address(NOW).status == WARNING
    settings.PUBLIC_URL = "https://push.example.com"
    assert health.address(NOW).status == OK
    settings.DEBUG = True
    assert health.address(NOW).status == WARNING


# --- the three doors ------------------------------------------------------------------------------
def doctor() -> tuple[int, str]:
    said = StringIO()
    try:
        call_command("doctor", stdout=said, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), said.getvalue()
    return 0, said.getvalue()


def test_the_doctor_ends_with_1_and_names_what_is_broken(db):
    code, said = doctor()
    assert code == 1
    assert "→ Start a worker: manage.py worker." in said
    assert said.endswith("Broken: Workers.\n")
    Heartbeat.objects.create(worker="web1:7", beat_at=timezone.now())
    code, said = doctor()
    assert code == 0
    assert said.endswith(f"PushPilot {health.version()} works.\n")


def test_verbose_health_says_status_words_and_nothing_else(db):
    answer = Client().get("/healthz?verbose")
    assert answer.status_code == 503
    assert answer.json()["checks"].keys() == health.CHECKS.keys()
    assert {*answer.json()["checks"].values(), answer.json()["status"]} <= {
        str(status) for status in Status
    }
    assert Client().get("/healthz").json() == {"status": "ok"}


def test_verbose_health_is_kept_for_a_moment_because_anybody_may_ask(db, django_assert_num_queries):
    Client().get("/healthz?verbose")
    with django_assert_num_queries(0):
        Client().get("/healthz?verbose")


def test_a_check_that_cannot_look_is_broken_itself_and_hides_no_other(db, monkeypatch):
    monkeypatch.setitem(health.CHECKS, "queue", lambda now: 1 / 0)
    found = health.report(NOW)
    assert "ZeroDivisionError" in found["queue"].says
    assert (found["queue"].status, found["runs"].status) == (BROKEN, OK)
    assert health.worst(list(found.values())) == BROKEN


def test_spans_and_sizes_in_words():
    spans = [timedelta(seconds=-1), timedelta(seconds=59), timedelta(minutes=61), timedelta(days=1)]
    assert [how_long(span) for span in spans] == ["0 s", "59 s", "1 h", "1 day"]
    assert [size(number) for number in (12, 820_000, 4.2e9, 3e12)] == [
        "12 B",
        "820 kB",
        "4.2 GB",
        "3.0 TB",
    ]
