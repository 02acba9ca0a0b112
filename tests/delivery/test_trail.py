"""Every decision about a send is in the audit trail, once, with who made it."""

from __future__ import annotations

import json

import pytest

from campaigns import plan
from campaigns.models import Run
from delivery.providers.base import CheckResult
from delivery.providers.fcm import sdk
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.story import add_people


def press(cast, run: Run, verb: str) -> None:
    assert (
        cast.client("member").post(cast.url(f"campaigns/run/{run.pk}/{verb}/")).status_code == 302
    )


def decisions(cast) -> list[tuple[str, str]]:
    """(what, by whom) of the entries about the campaign, the oldest first; each names a run."""
    with scope(cast.workspace):
        entries = list(AuditEntry.objects.filter(target="Weekend").order_by("id"))
    assert all(entry.detail["run"] for entry in entries)
    return [(entry.action, entry.actor_label) for entry in entries]


def test_a_send_that_is_undone_then_hurried_stopped_and_ended_leaves_each_step(
    cast, prepared, launched
):
    add_people(cast.workspace, 1)
    undone = launched()
    press(cast, undone, "undo")
    press(cast, undone, "undo")
    run = prepared(3)
    for verb in ("pause", "pause", "resume"):
        press(cast, run, verb)
    with scope(cast.workspace):
        run.refresh_from_db()
        plan.pause_for_cause(run, "SENDER_ID_MISMATCH: another project's token")
    for verb in ("resume", "cancel", "cancel"):
        press(cast, run, verb)
    press(cast, launched(), "send-now")
    assert decisions(cast) == [
        ("campaign scheduled", "Owner Rao"),
        ("campaign send undone", "Member Rao"),
        ("campaign scheduled", "Owner Rao"),
        ("campaign paused", "Member Rao"),
        ("campaign resumed", "Member Rao"),
        ("campaign paused", "PushPilot"),
        ("campaign resumed", "Member Rao"),
        ("campaign cancelled", "Member Rao"),
        ("campaign scheduled", "Owner Rao"),
        ("campaign sent right away", "Member Rao"),
    ]


def test_new_credentials_are_in_the_trail_without_the_secret(cast, connected, monkeypatch):
    monkeypatch.setattr(sdk, "check", lambda account: CheckResult(True, "Connected to Google."))
    with scope(cast.workspace):
        key = json.loads(connected.credentials)
    connected.provider = "fcm"
    with scope(cast.workspace):
        connected.save()
    key |= {"project_id": "another-app", "token_uri": "https://oauth2.googleapis.com/token"}
    form = {"name": connected.name, "per_second": connected.per_second, "key_text": json.dumps(key)}
    cast.client("owner").post(cast.url(f"tenants/connection/{connected.pk}/change/"), form)
    with scope(cast.workspace):
        entry = AuditEntry.objects.get(action="connection credentials replaced")
    assert entry.changes["project_id"][1] == "another-app"
    assert "PRIVATE KEY" not in str(entry.changes)


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "undo", "send-now"])
def test_a_decision_that_came_too_late_is_none(cast, prepared, verb):
    run = prepared(1)
    with scope(cast.workspace):
        Run.objects.filter(pk=run.pk).update(state=Run.State.COMPLETED)
    before = decisions(cast)
    press(cast, run, verb)
    assert decisions(cast) == before
