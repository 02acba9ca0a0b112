"""Figures across workspaces: what ended, what is under way, and nothing twice."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from campaigns.models import Run
from delivery.models import Shard
from reports import across
from tenants.scope import every_workspace, scope
from tests.house.rows import rows_of


def test_messages_of_ended_runs_and_of_those_under_way_are_counted_once(cast):
    now = timezone.now()
    rows_of(cast.workspace)
    rows_of(cast.other_workspace)
    with scope(cast.other_workspace):
        Run.objects.update(state=Run.State.RUNNING, finished_at=None, tally={}, audience_size=9)
        run = Run.objects.get()
        for first_id, tally in ((0, {"accepted": 4, "pending": 2}), (6, {"accepted": 3})):
            Shard.objects.create(
                workspace=cast.other_workspace,
                run=run,
                first_id=first_id,
                last_id=first_id + 5,
                tally=tally,
            )
    expected = {cast.workspace.pk: 1, cast.other_workspace.pk: 7}
    assert across.messages_since(now - timedelta(days=1)) == expected
    assert across.messages_since(now - timedelta(days=1), [cast.workspace.pk]) == {
        cast.workspace.pk: 1
    }
    assert across.messages_since(now + timedelta(days=1)).total() == 0
    assert across.sending_workspaces(now - timedelta(days=1)) == 2
    with scope(cast.other_workspace):
        # Its account is written down now; the shards are still there.
        Run.objects.update(
            state=Run.State.COMPLETED, finished_at=now, tally={"accepted": 7, "rejected": 2}
        )
    assert across.messages_since(now - timedelta(days=1)) == expected


def test_the_figures_of_a_page_of_workspaces_are_those_of_each(cast):
    now, ids = timezone.now(), [cast.workspace.pk, cast.other_workspace.pk]
    rows_of(cast.workspace)
    with every_workspace():
        found = {figure.title: dict(figure.count(ids, now)) for figure in across.FIGURES}
    assert found == {
        "Contacts": {cast.workspace.pk: 1},
        "Messages, 30 days": {cast.workspace.pk: 1},
        "Campaigns": {cast.workspace.pk: 1},
        "Events, 30 days": {},
    }
