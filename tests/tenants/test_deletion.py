"""A workspace is deleted: closed at once, a week to undo, then nothing of it is left and nothing
else is touched."""

import re
from datetime import timedelta
from threading import Event, Thread
from time import sleep

import pytest
from django.apps import apps
from django.contrib.messages import get_messages
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, models, transaction
from django.utils import timezone

from campaigns import plan
from campaigns.models import Consent, Contact, Endpoint, EndpointMove, Run, WaitingConsent
from delivery.engine import pipeline, record
from delivery.models import Drill, Pace, Reach, Shard
from reports.models import Engagement, InboxBatch, Rollup, StoredBytes
from tenants import identity, keys, purge
from tenants.models import AuditEntry, Connection, User, Workspace
from tenants.scope import every_workspace, scope, tenant_models
from tenants.workspaces import (
    UNDO_DELETION,
    ask_deletion,
    create_workspace,
    purge_due,
    undo_deletion,
)
from tests.house.rows import rows_of
from tests.pages import YES
from tests.story import add_people, run_to_the_end, write_campaign


def rows_everywhere(workspace: Workspace) -> None:
    """Rows in every table, unless `counts` finds it empty: the console's examples, and what only
    machines write."""
    made = rows_of(workspace)
    run, contact, now = made[Run], made[Contact], timezone.now()
    with scope(workspace):
        Consent.objects.create(
            workspace=workspace,
            contact=contact,
            channel="app_push",
            status="opted_in",
            source="app",
        )
        device = Endpoint.objects.get(contact=contact)
        EndpointMove.objects.create(
            workspace=workspace, endpoint=device, from_contact="asha", to_contact="ravi", at=now
        )
        identity.make(workspace, by=workspace.owner, now=now)
        WaitingConsent.objects.create(
            workspace=workspace,
            external_id="?",
            channel="all",
            status="opted_out",
            source="event",
            at=now,
        )
        Shard.objects.create(workspace=workspace, run=run, first_id=1, last_id=2)
        Drill.objects.create(workspace=workspace, run=run, worker="here:1", asked_at=now)
        InboxBatch.objects.create(
            workspace=workspace, received_at=now, not_before=now, count=1, events=b"[]"
        )
        numbers = {
            "workspace": workspace,
            "campaign_id": run.campaign_id,
            "run_id": run.pk,
            "type": "opened",
        }
        Engagement.objects.create(**numbers, message_id=1, first_at=now)
        Rollup.objects.create(**numbers, quarter=now)
        StoredBytes.objects.create(workspace=workspace, day=now.date(), bytes=1)
        Reach.objects.create(workspace=workspace, connection=made[Connection], platform="ios")
        for whose in ({"connection": made[Connection]}, {"run": run}):
            Pace.objects.create(**whose, tokens=1, refilled_at=now, ramp_from=now)


def counts(workspace: Workspace) -> dict[models.Field, int]:
    """Rows of the workspace by each foreign key that leads to it: its own, and those of models
    of no tenant."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.concrete_fields:
            if field.related_model is Workspace:
                found[field] = {field.name: workspace}
            elif field.related_model in tenant_models() and model not in tenant_models():
                found[field] = {f"{field.name}__workspace": workspace}
    with every_workspace():
        return {
            field: field.model._base_manager.filter(**lookup).count()
            for field, lookup in found.items()
        }


def close(cast, *, days_ago: int = 0) -> None:
    with scope(cast.workspace):
        ask_deletion(cast.workspace, by=cast.owner, now=timezone.now() - timedelta(days=days_ago))


def ask(cast, name: str, by: str = "owner"):
    url = cast.url(f"tenants/workspace/{cast.workspace.pk}/delete_workspace/")
    return cast.client(by).post(url, {**YES, "typed": name})


def closed(cast) -> bool:
    return Workspace.objects.get(pk=cast.workspace.pk).deletion_due_at is not None


def test_an_owner_deletes_it_by_typing_its_name(cast):
    assert "Type “Biddano Tech” exactly." in ask(cast, "biddano").content.decode()
    assert not closed(cast)
    assert ask(cast, "Biddano Tech").headers["Location"] == "/workspaces/deleted/"
    assert closed(cast)
    with scope(cast.workspace):
        assert AuditEntry.objects.get(action="workspace deletion asked").actor == cast.owner


def test_of_two_owners_who_delete_it_at_once_the_second_is_told(cast, monkeypatch):
    def late(workspace, *, by, now):
        close(cast)
        return ask_deletion(workspace, by=by, now=now)

    monkeypatch.setattr("tenants.admin.workspaces.ask_deletion", late)
    answer = ask(cast, "Biddano Tech")
    assert answer.headers["Location"] == "/workspaces/deleted/"
    assert [str(m) for m in get_messages(answer.wsgi_request)] == [
        "This workspace is being deleted already."
    ]


def test_a_name_that_is_taken_gets_an_address_of_its_own(cast):
    founded = create_workspace("Biddano Tech", owner=cast.outsider)
    assert re.fullmatch(r"biddano-tech-[0-9a-f]{6}", founded.slug)
    with scope(founded):
        assert AuditEntry.objects.get().action == "workspace created"


def test_an_admin_may_not_delete_it(cast):
    assert ask(cast, "Biddano Tech", by="admin").status_code == 403
    assert not closed(cast)


def test_it_is_closed_at_once_for_everybody(cast):
    close(cast)
    for name in ("owner", "admin", "viewer"):
        assert cast.client(name).get(cast.url()).status_code == 404
    assert not cast.owner.has_perm(
        "tenants.view_content", Workspace.objects.get(pk=cast.workspace.pk)
    )
    assert list(cast.owner.workspaces()) == []


def test_an_owner_brings_it_back_and_nobody_else_can(cast):
    close(cast)
    form = {"workspace": cast.workspace.slug}
    for name in ("admin", "outsider"):
        answer = cast.client(name).post("/workspaces/deleted/", form, follow=True)
        assert "no deleted workspace" in answer.content.decode()
    assert closed(cast)
    client = cast.client("owner")
    assert "Biddano Tech" in client.get("/workspaces/deleted/").content.decode()
    assert client.post("/workspaces/deleted/", form).headers["Location"] == cast.url()
    assert client.get(cast.url()).status_code == 200
    with scope(cast.workspace):
        assert AuditEntry.objects.filter(action="workspace deletion undone").count() == 1


def test_after_the_week_it_cannot_be_undone(cast):
    close(cast, days_ago=8)
    with pytest.raises(ValidationError):
        undo_deletion(cast.workspace, by=cast.owner)
    assert closed(cast)


def test_what_sends_is_paused_and_what_is_planned_does_not_start(cast, connected):
    add_people(cast.workspace, 2)
    now = timezone.now()
    with scope(cast.workspace):
        sending = plan.schedule(write_campaign(cast.workspace), by=cast.owner, now=now)
        Run.objects.filter(pk=sending.pk).update(state=Run.State.RUNNING)
        planned = plan.schedule(write_campaign(cast.workspace), by=cast.owner, now=now)
    close(cast)
    pipeline.tick(now + timedelta(minutes=1))
    with scope(cast.workspace):
        assert Run.objects.get(pk=sending.pk).state == Run.State.PAUSED
        assert Run.objects.get(pk=planned.pk).state == Run.State.PLANNED
    undo_deletion(cast.workspace, by=cast.owner)
    pipeline.tick(now + timedelta(days=1))
    with scope(cast.workspace):
        assert Run.objects.get(pk=planned.pk).state == Run.State.MISSED


def planned_run(cast, **fields) -> Run:
    add_people(cast.workspace, 2)
    with scope(cast.workspace):
        return plan.schedule(
            write_campaign(cast.workspace, **fields), by=cast.owner, now=timezone.now()
        )


def state_of(run: Run) -> str:
    with every_workspace():
        return Run.objects.get(pk=run.pk).state


def test_a_run_that_the_tick_had_found_before_does_not_start(cast, connected):
    run = planned_run(cast)
    close(cast)
    with scope(cast.workspace):
        pipeline.launch(run, timezone.now())
    assert state_of(run) == Run.State.PLANNED


def test_a_button_that_was_pressed_before_comes_too_late(cast, connected):
    planned, paused = planned_run(cast), planned_run(cast)
    with scope(cast.workspace):
        Run.objects.filter(pk=paused.pk).update(state=Run.State.PAUSED, audience_size=2)
    close(cast)
    with scope(cast.workspace):
        assert not plan.resume(paused, by=cast.owner)
        assert not plan.send_right_away(
            planned, by=cast.owner, now=timezone.now() + timedelta(hours=1)
        )
        assert Run.objects.get(pk=planned.pk).intended_at == planned.intended_at
    assert state_of(paused) == Run.State.PAUSED


def test_a_run_that_fixes_its_audience_is_paused_there_and_its_series_goes_on(
    cast, connected, monkeypatch
):
    monkeypatch.setattr(pipeline, "CHUNK_CONTACTS", 1)
    now = timezone.now()
    series = {"schedule_type": "recurring", "scheduled_at": now, "recurrence_rule": "FREQ=DAILY"}
    run, fix = planned_run(cast, **series), record.fix_audience

    def fix_and_close(run: Run, chunk: object) -> None:
        fix(run, chunk)
        monkeypatch.setattr(record, "fix_audience", fix)
        close(cast)

    monkeypatch.setattr(record, "fix_audience", fix_and_close)
    with scope(cast.workspace):
        pipeline.launch(run, run.intended_at)
        following = Run.objects.exclude(pk=run.pk).get()
    pipeline.work(now)
    assert (state_of(run), state_of(following)) == (Run.State.PAUSED, Run.State.PLANNED)
    undo_deletion(cast.workspace, by=cast.owner)
    page = cast.client("owner").get(cast.url(f"campaigns/run/{run.pk}/progress/")).json()
    assert page["headline"] == "Paused before the audience was known: no message was sent"
    assert page["can"] == ["resume", "cancel", "schedule", "end-series", "rewrite"]
    with scope(cast.workspace):
        assert plan.resume(run, by=cast.owner)
        assert run.state == Run.State.PREPARING
        Run.objects.filter(pk=run.pk).update(lease_until=None)  # its worker's time has passed
    assert run_to_the_end(run).tally == {"accepted": 2}
    assert state_of(following) == Run.State.PLANNED


@pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="SQLite has one writer at a time, and no second in memory",
)
@pytest.mark.django_db(transaction=True)
def test_a_run_that_starts_at_the_same_moment_is_paused(cast, connected):
    run, started = planned_run(cast), Event()

    def start() -> None:
        with scope(cast.workspace), transaction.atomic():
            pipeline.launch(run, timezone.now())
            started.set()
            sleep(0.5)  # the deletion comes before this is committed
        connection.close()

    starting = Thread(target=start)
    starting.start()
    assert started.wait(10)
    close(cast)
    starting.join()
    assert state_of(run) == Run.State.PAUSED


def test_when_the_day_has_come_nothing_of_it_is_left_and_the_neighbour_is_untouched(
    cast, monkeypatch
):
    monkeypatch.setattr(purge, "CHUNK", 1)
    rows_everywhere(cast.workspace)
    rows_everywhere(cast.other_workspace)
    with scope(cast.workspace):
        key = keys.ApiKey.objects.select_related("workspace").get()
        keys.rotate(key, by=cast.owner, overlap=timedelta(hours=1), now=timezone.now())
    before, people = counts(cast.other_workspace), User.objects.count()
    assert all(before.values()), [field for field, number in before.items() if not number]
    close(cast)
    purge_due(timezone.now() + UNDO_DELETION - timedelta(minutes=1))
    assert Workspace.objects.filter(pk=cast.workspace.pk).exists()
    purge_due(timezone.now() + UNDO_DELETION)
    assert not Workspace.objects.filter(pk=cast.workspace.pk).exists()
    assert not any(counts(cast.workspace).values())
    assert (counts(cast.other_workspace), User.objects.count()) == (before, people)
    connection.check_constraints()


def test_a_workspace_that_cannot_be_purged_does_not_hold_up_the_next(cast, monkeypatch, caplog):
    def refuse(workspace: Workspace, until: object) -> bool:
        if workspace == cast.workspace:
            raise DatabaseError("no")
        return really(workspace, until)

    really = purge.purge
    monkeypatch.setattr(purge, "purge", refuse)
    close(cast, days_ago=9)
    with scope(cast.other_workspace):
        ask_deletion(
            cast.other_workspace, by=cast.other_owner, now=timezone.now() - timedelta(days=8)
        )
    purge_due(timezone.now())
    assert list(Workspace.objects.all()) == [cast.workspace]
    assert f"({cast.workspace.slug}) cannot be deleted" in caplog.text


def test_a_purge_goes_on_where_its_time_was_up(cast):
    rows_of(cast.workspace)
    close(cast, days_ago=8)
    with every_workspace():
        assert not purge.purge(cast.workspace, timezone.now())
    assert Workspace.objects.filter(pk=cast.workspace.pk).exists()
    purge_due(timezone.now())
    assert not Workspace.objects.filter(pk=cast.workspace.pk).exists()
