import importlib
import json
import secrets
from datetime import timedelta

import pytest
from django.apps import apps
from django.core.management import call_command
from django.utils import timezone

from campaigns.models import Campaign, Run
from delivery.engine import installation, pipeline
from delivery.models import Fingerprint, Installation, Message, Shard
from tenants.models import AuditEntry
from tenants.scope import every_workspace, scope
from tests.house.rows import rows_of
from tests.story import add_people, received, run_to_the_end


def memory(settings) -> dict:
    """What the machine remembers of this database."""
    return json.loads((settings.DATA_DIR / "installation.json").read_text())["databases"][
        fingerprint()
    ]


def fingerprint() -> str:
    found = Fingerprint.objects.first()
    return found.value if found else ""


def use_a_new_database() -> None:
    """As if DATABASE_URL named another, empty one, of which somebody has made the tables."""
    Installation.objects.all().delete()
    Fingerprint.objects.all().delete()
    Fingerprint.objects.create(value=secrets.token_hex(8))


def test_a_new_database_is_this_machines(cast, connected, launched, settings):
    add_people(cast.workspace, 2)
    assert run_to_the_end(launched()).tally == {"accepted": 2}
    row = Installation.objects.get()
    assert memory(settings)["name"] == row.name
    assert installation.locked_because() == ""


def test_a_machine_remembers_when_it_or_another_one_worked_with_the_database(
    cast, settings, django_capture_on_commit_callbacks
):
    now = timezone.now()
    with django_capture_on_commit_callbacks(execute=True):
        installation.check_in(now)
    assert memory(settings)["ticks"] == 1
    assert memory(settings)["ticked_at"] == now.isoformat().replace("+00:00", "Z")
    of_another = now + timedelta(seconds=11)
    Installation.objects.update(ticks=2, ticked_at=of_another)
    assert installation.check_in(of_another) == ""
    assert memory(settings)["ticks"] == 2


def test_a_machine_that_died_after_it_chose_a_name_knows_its_database(cast, settings, monkeypatch):
    monkeypatch.setattr(Installation.objects, "get_or_create", lambda **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        installation.check_in(timezone.now())
    monkeypatch.undo()
    assert installation.check_in(timezone.now()) == ""
    assert memory(settings)["name"] == Installation.objects.get().name


def test_a_database_that_was_thrown_away_and_made_anew_is_no_backup(cast, settings):
    now = timezone.now()
    installation._write(installation._Memory("here", 7, now - timedelta(days=1)))
    assert installation.check_in(now) == installation.locked_because() == ""
    row = Installation.objects.get()
    assert (row.name, row.ticks) == ("here", 8)


def test_a_backup_from_before_installations_had_names_is_noticed(cast, connected, prepared):
    prepared(1)
    installation._write(installation._Memory("here", 7, timezone.now() - timedelta(days=1)))
    Installation.objects.all().delete()
    assert "restored from a backup" in installation.check_in(timezone.now())


@pytest.mark.parametrize("knows", ["", "prod"])
def test_a_clone_on_another_machine_sends_nothing(
    cast, connected, sandbox, launched, settings, knows
):
    add_people(cast.workspace, 2)
    run = launched()
    Installation.objects.create(pk=1, name="live-database")
    settings.INSTANCE_ID = knows
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
    assert run.state == Run.State.PLANNED
    assert received(sandbox, connected) == {}
    assert "INSTANCE_ID=live-database" in installation.locked_because()
    settings.INSTANCE_ID = "live-database"
    assert run_to_the_end(run).tally == {"accepted": 2}


def test_a_restored_backup_sends_nothing_until_a_person_says_so(
    cast, connected, sandbox, prepared, settings, capsys, django_capture_on_commit_callbacks
):
    run = prepared(3)
    with scope(cast.workspace):  # a backup of the moment before anybody is sent to
        backup = {model: list(model.objects.all()) for model in (Run, Shard, Message)}
    with django_capture_on_commit_callbacks(execute=True):
        assert installation.check_in(timezone.now()) == ""
    assert run_to_the_end(run).tally == {"accepted": 3}
    with scope(cast.workspace):
        for rows in backup.values():
            for row in rows:
                row.save()
    Installation.objects.update(ticks=0, ticked_at=timezone.now() - timedelta(minutes=8))
    before = received(sandbox, connected)
    pipeline.work(timezone.now())
    assert received(sandbox, connected) == before
    assert "restored from a backup" in installation.locked_because()
    call_command("adopt")
    assert "1 run under way paused" in capsys.readouterr().out
    assert installation.locked_because() == ""
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.campaign.status) == (Run.State.PAUSED, Campaign.Status.PAUSED)
        assert "may have got the message" in run.last_error
        assert AuditEntry.objects.filter(action="campaign paused").count() == 1
    pipeline.work(timezone.now())
    assert received(sandbox, connected) == before


def test_what_one_machine_notices_locks_those_that_remember_nothing(cast, settings, tmp_path):
    now = timezone.now()
    settings.INSTANCE_ID = "prod"
    knowing, new = tmp_path / "knowing", tmp_path / "new"
    Installation.objects.create(pk=1, name="prod", ticks=7, ticked_at=now - timedelta(hours=8))
    settings.DATA_DIR = knowing
    installation._write(installation._Memory("prod", 9, now))
    assert "restored from a backup" in installation.check_in(now)
    settings.DATA_DIR = new
    assert installation.check_in(now + timedelta(minutes=1)) == installation.locked_because() != ""
    call_command("adopt")
    for folder in (knowing, new):
        settings.DATA_DIR = folder
        assert installation.check_in(now + timedelta(minutes=2)) == ""


def test_a_machine_that_joins_does_not_compare_what_it_remembers_of_another_database(
    cast, settings, django_capture_on_commit_callbacks
):
    now = timezone.now()
    installation._write(installation._Memory("trial", 900, now))
    Installation.objects.create(pk=1, name="prod", ticks=7, ticked_at=now - timedelta(minutes=5))
    settings.INSTANCE_ID = "prod"
    with django_capture_on_commit_callbacks(execute=True):
        assert installation.check_in(now) == ""
    assert memory(settings)["name"] == "prod"


def test_a_clock_that_was_ahead_hides_no_restored_backup(cast, django_capture_on_commit_callbacks):
    now = timezone.now()
    for at in (now + timedelta(hours=5), now, now + timedelta(seconds=11)):
        with django_capture_on_commit_callbacks(execute=True):
            assert installation.check_in(at) == ""
    row = Installation.objects.get()
    assert (row.ticks, row.ticked_at) == (3, now + timedelta(seconds=11))
    Installation.objects.update(ticks=1, ticked_at=now + timedelta(hours=5))
    assert "restored from a backup" in installation.check_in(now + timedelta(seconds=20))


def test_a_run_that_an_outage_made_late_is_held(cast, connected, sandbox, prepared):
    run = prepared(3)
    now = timezone.now()
    installation.check_in(now)
    Installation.objects.update(ticked_at=now - timedelta(minutes=90))
    pipeline.work(now)
    with scope(cast.workspace):
        run.refresh_from_db()
    assert run.state == Run.State.PAUSED
    assert "for 90 minutes" in run.last_error
    assert received(sandbox, connected) == {}


def test_a_short_outage_holds_nothing(cast, connected, prepared):
    run = prepared(3)
    installation.check_in(timezone.now())
    Installation.objects.update(ticked_at=timezone.now() - timedelta(minutes=50))
    assert run_to_the_end(run).tally == {"accepted": 3}


def test_a_clock_that_is_wrong_locks_sending(cast, monkeypatch):
    monkeypatch.setattr(installation.statements, "is_postgresql", lambda: True)
    off = timezone.now() + timedelta(seconds=40)
    monkeypatch.setattr(installation.statements, "run", lambda sql, values: [(off,)])
    Installation.objects.create(pk=1, name="here")
    installation._write(installation._Memory("here"))
    assert "clocks" in installation.locked_because()
    monkeypatch.setattr(installation.statements, "run", lambda sql, values: [(timezone.now(),)])
    assert installation.locked_because() == ""


def test_making_the_tables_writes_the_fingerprint_of_the_database(db):
    assert len(fingerprint()) == 32


def test_a_second_database_in_the_folder_sends_though_its_first_run_is_planned_before_any_worker_looks(
    cast, connected, launched, settings, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        installation.check_in(timezone.now())
    first, name = fingerprint(), Installation.objects.get().name
    use_a_new_database()
    add_people(cast.workspace, 2)
    run = launched()
    assert installation.locked_because() == ""
    assert run_to_the_end(run).tally == {"accepted": 2}
    assert memory(settings)["name"] == Installation.objects.get().name != name
    Fingerprint.objects.update(value=first)
    Installation.objects.update(name=name, ticks=1)
    assert installation.check_in(timezone.now()) == "", "the first one is still this machine's"


def test_a_backup_of_the_first_database_is_noticed_after_the_machine_worked_with_a_second_one(
    cast, settings, django_capture_on_commit_callbacks
):
    now = timezone.now()
    for at in (now, now + timedelta(seconds=11)):
        with django_capture_on_commit_callbacks(execute=True):
            installation.check_in(at)
    first, name = fingerprint(), Installation.objects.get().name
    use_a_new_database()
    with django_capture_on_commit_callbacks(execute=True):
        assert installation.check_in(now) == ""
    Fingerprint.objects.update(value=first)
    Installation.objects.update(name=name, ticks=1)
    assert "restored from a backup" in installation.check_in(now + timedelta(seconds=12))


def test_a_clone_is_locked_on_a_machine_that_has_a_database_of_its_own(
    cast, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        installation.check_in(timezone.now())
    use_a_new_database()
    Installation.objects.create(pk=1, name="live-database", ticks=3)
    assert "INSTANCE_ID=live-database" in installation.check_in(timezone.now())


def test_two_databases_of_one_instance_id_are_not_compared(cast, settings, connected, launched):
    settings.INSTANCE_ID = "prod"
    add_people(cast.workspace, 1)
    installation._write(installation._Memory("prod", 900, timezone.now()))
    use_a_new_database()
    assert run_to_the_end(launched()).tally == {"accepted": 1}


def test_what_a_machine_remembered_before_databases_had_fingerprints_still_counts(cast, settings):
    """Their fingerprint is the name that they had, so that a backup from before the upgrade has
    the same."""
    now = timezone.now()
    Fingerprint.objects.all().delete()
    Fingerprint.objects.create(value="prod")
    Installation.objects.create(pk=1, name="prod", ticks=7)
    old = {"name": "prod", "ticks": 9, "ticked_at": now.isoformat()}
    (settings.DATA_DIR / "installation.json").write_text(json.dumps(old))
    assert "restored from a backup" in installation.check_in(now)
    Installation.objects.update(ticks=9, locked="")
    assert installation.check_in(now) == ""


def test_a_backup_from_before_fingerprints_and_names_is_noticed_by_any_memory(
    cast, connected, prepared
):
    prepared(1)
    installation._write(installation._Memory("here", 7, timezone.now() - timedelta(days=1)))
    Installation.objects.all().delete()
    Fingerprint.objects.all().delete()
    Fingerprint.objects.create(value="")
    assert "restored from a backup" in installation.check_in(timezone.now())


def test_the_memory_of_one_database_outlives_the_first_look_at_another(cast, settings):
    """Two products in one folder: each writes the file that both read."""
    installation._write(installation._Memory("here", 7, timezone.now()))
    first = fingerprint()
    use_a_new_database()
    installation.check_in(timezone.now())
    kept = json.loads((settings.DATA_DIR / "installation.json").read_text())["databases"]
    assert kept.keys() == {first, fingerprint()}


def test_the_migration_gives_backups_from_before_it_the_fingerprint_of_what_they_are_a_copy_of(
    cast,
):
    migrate = importlib.import_module("delivery.migrations.0006_fingerprint").name_database

    def given() -> str:
        Fingerprint.objects.all().delete()
        with every_workspace():
            migrate(apps, None)
        return fingerprint()

    assert len(given()) == 32, "an empty one: its own"
    Installation.objects.create(pk=1, name="prod")
    assert given() == "prod"
    Installation.objects.all().delete()
    rows_of(cast.workspace)
    assert given() == "", "with runs and without a name: nobody knows which"
