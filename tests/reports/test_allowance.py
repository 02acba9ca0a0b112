"""What public keys may store for a workspace in a day."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.messages import get_messages
from django.utils import timezone

from pushpilot.lib import display
from pushpilot.lib.health import Status
from reports import allowance, health
from reports.allowance import Allowance, limit_bytes
from reports.models import InboxBatch, StoredBytes
from tenants.models import Workspace
from tenants.scope import every_workspace, scope
from tests.pages import text
from tests.reports.conftest import make_sdk

MB = 1_000_000
NOW = datetime(2026, 11, 30, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def one_megabyte(settings):
    settings.EVENT_MB_PER_DAY = 1


def flood(sdk, number: int):
    """About 200 KB of events."""
    events = [
        {
            "event_id": f"{number}-{one}",
            "type": "custom",
            "metadata": {str(part): "x" * 8_000 for part in range(3)},
        }
        for one in range(8)
    ]
    return sdk.post(*events)


def stored_bytes() -> int:
    with every_workspace():
        return sum(len(bytes(row.events)) for row in InboxBatch.objects.all())


def use(workspace: Workspace, share: float, now: datetime | None = None) -> None:
    with scope(workspace):
        day = allowance.day_of(now or timezone.now())
        StoredBytes.objects.update_or_create(
            workspace=workspace,
            day=day,
            defaults={"bytes": int(limit_bytes(workspace.plan) * share)},
        )


def test_what_public_keys_store_in_a_day_ends_at_the_allowance(sdk):
    answers = [flood(sdk, number) for number in range(8)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 3
    assert answers[-1].json()["code"] == "storage_full"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 86_400
    assert answers[-1].headers["Access-Control-Allow-Origin"] == "*"
    assert MB // 2 < stored_bytes() <= MB


def test_several_processes_store_no_more_than_the_allowance(cast):
    processes, taken = [Allowance() for _ in range(4)], 0
    for turn in range(2_000):
        try:
            processes[turn % 4].take(cast.workspace.pk, 1_000, NOW)
        except allowance.Problem:
            continue
        taken += 1_000
    assert 0.97 * MB < taken <= MB
    with scope(cast.workspace):
        assert StoredBytes.objects.get().bytes <= MB


def test_the_counter_is_a_row_that_few_requests_touch(sdk, django_assert_max_num_queries):
    sdk.post({"event_id": "first", "type": "opened"})
    with django_assert_max_num_queries(3):
        sdk.post({"event_id": "second", "type": "opened"})
    with every_workspace():
        assert StoredBytes.objects.get().bytes > 0


def test_the_next_day_starts_anew(cast):
    mine = Allowance()
    use(cast.workspace, 1, NOW)
    with pytest.raises(allowance.Problem):
        mine.take(cast.workspace.pk, 1_000, NOW)
    mine.forget()
    mine.take(cast.workspace.pk, 1_000, NOW.replace(month=12, day=1))


def test_a_full_day_is_remembered_and_not_asked_about_by_each_request(
    cast, django_assert_num_queries
):
    mine = Allowance()
    use(cast.workspace, 1, NOW)
    with pytest.raises(allowance.Problem):
        mine.take(cast.workspace.pk, 1_000, NOW)
    with django_assert_num_queries(0), pytest.raises(allowance.Problem):
        mine.take(cast.workspace.pk, 1_000, NOW)


def test_one_workspace_s_flood_is_not_booked_on_another_nor_on_secret_keys(cast, sdk):
    use(cast.workspace, 1)
    assert flood(sdk, 1).status_code == 429
    assert flood(make_sdk(cast.other_workspace), 1).status_code == 202
    secret = make_sdk(cast.workspace, kind="secret", scopes=["events:write"])
    assert flood(secret, 1).status_code == 202


def test_larger_plans_may_store_more():
    assert [limit_bytes(plan) // MB for plan in ("free", "pro", "enterprise")] == [1, 5, 25]


@pytest.mark.parametrize(
    ("share", "warned"), [(0, False), (0.79, False), (0.8, True), (0.93, True), (1, True)]
)
def test_the_console_and_the_operators_are_warned_from_eighty_per_cent_on(cast, share, warned):
    use(cast.workspace, share)
    with scope(cast.workspace):
        assert allowance.percent_used(cast.workspace, timezone.now()) == int(share * 100)
    owner = cast.client("owner")
    assert ("data-storage" in text(owner.get(cast.url()))) is warned
    told = [str(one) for one in get_messages(owner.get(cast.url("tenants/apikey/")).wsgi_request)]
    assert any(display.percent(int(share * 100)) in one for one in told) is warned
    found = health.storage(timezone.now())
    assert found.status == (Status.WARNING if warned else Status.OK)
    assert (cast.workspace.name in found.says) is warned


def test_after_a_lower_limit_the_operators_read_the_same_share_as_the_console(cast):
    use(cast.workspace, 2.5)
    with scope(cast.workspace):
        assert allowance.percent_used(cast.workspace, timezone.now()) == 100
    assert f"{cast.workspace.name} (100 %)" in health.storage(timezone.now()).says
