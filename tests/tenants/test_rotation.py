"""`manage.py rotate_secrets`: every secret under the first key, nothing lost, nothing told."""

from __future__ import annotations

import threading
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db import connection as database

from tenants import audit, rotation, secrets
from tenants.models import AuditEntry, Connection, Workspace
from tenants.scope import every_workspace, scope

OLD, NEW, STRANGE = (
    f"{name}-key-of-at-least-thirty-two-characters" for name in ("old", "new", "strange")
)
SECRET = '{"private_key": "the old horse"}'


def connection_in(workspace: Workspace, key: str, settings) -> Connection:
    """A connection whose credentials the key encrypted."""
    settings.ENCRYPTION_KEYS = [key]
    # a process keeps the keys that it started with
    Connection._meta.get_field("sealed").__dict__.pop("f", None)
    with scope(workspace):
        made = Connection(workspace=workspace, name="Live", provider="fcm", is_active=False)
        made.credentials = SECRET
        made.save()
    return made


@pytest.fixture
def stored(cast, settings):
    """A connection in each of two workspaces and a recovery seed, all under the old key; the new
    one is first now."""
    made = [
        connection_in(workspace, OLD, settings)
        for workspace in (cast.workspace, cast.other_workspace)
    ]
    Authenticator.objects.create(
        user=cast.owner, type="recovery_codes", data={"seed": secrets.encrypt("seed")}
    )
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    yield made
    Connection._meta.get_field("sealed").__dict__.pop("f", None)


def rotated(*arguments: str) -> tuple[str, str, str]:
    """(output, errors, why it failed)"""
    out, err = StringIO(), StringIO()
    try:
        call_command("rotate_secrets", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), err.getvalue(), str(error)
    return out.getvalue(), err.getvalue(), ""


def raw() -> dict[int, str]:
    with every_workspace(), database.cursor() as cursor:
        cursor.execute("SELECT id, sealed FROM tenants_connection")
        return dict(cursor.fetchall())


def entries() -> list[tuple[int, dict]]:
    with every_workspace():
        found = AuditEntry.objects.filter(action="secrets rotated").order_by("id")
        return [(entry.workspace_id, entry.detail) for entry in found]


def test_afterwards_the_new_key_alone_reads_everything(stored, cast, settings):
    assert rotated() == ("Under the first key: 0 already, 3 moved.\n", "", "")
    settings.ENCRYPTION_KEYS = [NEW]
    with every_workspace():
        assert [row.credentials for row in Connection.objects.order_by("pk")] == [SECRET, SECRET]
    assert secrets.decrypt(Authenticator.objects.get().data["seed"]) == "seed"
    assert rotated("--check") == ("Under the first key: 3 already, 0 to move.\n", "", "")


def test_each_workspace_s_trail_says_it_once_and_tells_no_secret(stored, cast):
    rotated()
    rotated()
    assert entries() == [
        (cast.workspace.pk, {"secrets": 1}),
        (cast.other_workspace.pk, {"secrets": 1}),
    ]


def test_workers_keep_their_open_senders(stored):
    """They go by `updated_at` (delivery.connections.sender_for)."""
    rotated()
    with every_workspace():
        assert [row.updated_at for row in Connection.objects.order_by("pk")] == [
            row.updated_at for row in stored
        ]


def test_the_check_counts_and_writes_nothing(stored):
    before = raw()
    out, _, failure = rotated("--check")
    assert out == "Under the first key: 0 already, 3 to move.\n"
    assert failure == "Run manage.py rotate_secrets before you remove a key from ENCRYPTION_KEYS."
    assert raw() == before
    assert entries() == []


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_what_no_key_fits_is_named_and_fails_the_command_after_the_rest(
    stored, cast, settings, arguments
):
    lost = connection_in(cast.workspace, STRANGE, settings)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    before = raw()[lost.pk]
    out, errors, failure = rotated(*arguments)
    assert out.startswith("Under the first key: 0 already, 3 ")
    assert errors == (
        f"workspace {cast.workspace.pk}, connection {lost.pk}: sealed cannot be decrypted.\n"
    )
    assert failure.startswith("No key fits 1 secret. Put the key that encrypted them back")
    assert raw()[lost.pk] == before


def test_an_interrupted_rotation_goes_on_where_it_stopped(stored, cast, monkeypatch):
    before, record = raw(), audit.record

    def once(workspace, *args, **kwargs):
        monkeypatch.setattr(audit, "record", interrupted)
        return record(workspace, *args, **kwargs)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "record", once)
    with pytest.raises(KeyboardInterrupt):
        rotation.rotate()
    assert [raw()[row.pk] != before[row.pk] for row in stored] == [True, False]
    monkeypatch.setattr(audit, "record", record)
    assert rotated()[0] == "Under the first key: 1 already, 2 moved.\n"
    assert len(entries()) == 2


@pytest.mark.skipif(
    database.vendor != "postgresql",
    reason="SQLite has one writer at a time, and no second in memory",
)
@pytest.mark.django_db(transaction=True)
def test_credentials_that_are_entered_meanwhile_are_not_lost(stored, monkeypatch):
    fresh, threads = secrets.Rotation.fresh, []

    def enter() -> None:
        with every_workspace():
            row = Connection.objects.get(pk=stored[0].pk)
            row.credentials = "entered meanwhile"
            row.save(update_fields=["sealed"])
        database.close()

    def slowly(self, token, where):
        if not threads:
            threads.append(threading.Thread(target=enter))
            threads[0].start()
            threads[0].join(0.5)
        return fresh(self, token, where)

    monkeypatch.setattr(secrets.Rotation, "fresh", slowly)
    rotation.rotate()
    threads[0].join()
    with every_workspace():
        assert Connection.objects.get(pk=stored[0].pk).credentials == "entered meanwhile"
