"""What a run retired is revived as a whole, and a device list revives."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from campaigns.audience.reasons import Reason
from campaigns.contacts import endpoints
from campaigns.models import Endpoint, Run
from delivery import decisions
from delivery.engine.breaker import HANDFUL
from delivery.engine.compose import Recipient
from delivery.engine.outcomes import OutcomeReader
from delivery.models import Reach
from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.provider import Fcm
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.delivery.run_pages import press, progress
from tests.story import add_people, run_to_the_end


# --- what a run retired is revived as a whole -----------------------------------------------------
@pytest.fixture
def retired(cast, connected, launched):
    """A run that retired six devices: of three it was right, if nobody says otherwise."""
    add_people(cast.workspace, 6, tokens=[f"sbx_unregistered_{n}" for n in range(6)])
    add_people(cast.workspace, 2)
    run = run_to_the_end(launched())
    assert run.retired == 6
    return run


def test_what_a_run_retired_is_revived_but_what_happened_since_stays(cast, retired):
    with scope(cast.workspace):
        gone = list(Endpoint.objects.filter(is_active=False).order_by("pk"))
        endpoints.register(
            cast.workspace,
            gone[0].contact.external_id,
            "app_push",
            "token",
            gone[0].value,
            "ios",
            now(),
        )
        endpoints.register(
            cast.workspace,
            gone[1].contact.external_id,
            "app_push",
            "token",
            gone[1].value,
            "ios",
            now(),
        )
        endpoints.unregister(cast.workspace, ["app_push"], [gone[1].value], now())
        # Seen since, and found gone by a later run.
        later = now() + timedelta(seconds=5)
        Endpoint.objects.filter(pk=gone[2].pk).update(last_seen_at=later, retired_at=later)
    assert progress(cast, retired)["counts"]["retired"] == 6
    press(cast, retired, "revive")
    with scope(cast.workspace):
        left = dict(Endpoint.objects.filter(is_active=False).values_list("pk", "retired_reason"))
        assert left == {gone[1].pk: endpoints.REMOVED_REASON, gone[2].pk: "UNREGISTERED"}
        entry = AuditEntry.objects.get(action="devices revived")
        assert (entry.detail["count"], entry.detail["retired_for"]) == (3, {"UNREGISTERED": 3})
        assert Run.objects.get(pk=retired.pk).retired == 0
        with pytest.raises(decisions.NotNow):
            decisions.revive(retired, by=cast.owner)
    assert "revive" not in progress(cast, retired)["can"]


def test_reviving_one_run_leaves_alone_what_a_later_run_retired(cast, connected, retired, launched):
    with scope(cast.workspace):
        decisions.revive(retired, by=cast.owner)
    second = run_to_the_end(launched(name="Second"))
    assert second.retired == 6
    with scope(cast.workspace):
        Run.objects.filter(pk=retired.pk).update(retired=6, finished_at=now() - timedelta(hours=1))
        with pytest.raises(decisions.NotNow):
            decisions.revive(retired, by=cast.owner)
        assert decisions.revive(second, by=cast.owner) == 6


# --- a device list overrules what may have been our own fault -------------------------------------
@pytest.mark.parametrize(
    ("reason", "seen_days_ago", "change"),
    [
        # when it was seen says nothing about whose it is
        (endpoints.MISMATCH_REASON, 30, "returned"),
        (endpoints.MISMATCH_REASON, 80, "outdated"),  # we know a later sighting
        (endpoints.STALE_REASON, 30, "returned"),  # it was not silent for 270 days
        ("UNREGISTERED", 30, "outdated"),
        ("UNREGISTERED", 1, "returned"),
        (endpoints.REMOVED_REASON, 30, "outdated"),
    ],
)
def test_a_device_list_that_says_seen_revives_by_what_it_was_retired_for(
    cast, reason, seen_days_ago, change
):
    add_people(cast.workspace, 1)
    with scope(cast.workspace):
        Endpoint.objects.update(
            is_active=False,
            retired_reason=reason,
            retired_at=now() - timedelta(days=2),
            last_seen_at=now() - timedelta(days=60),
        )
        device = Endpoint.objects.select_related("contact").get()
        seen = endpoints.Registration(
            device.contact.external_id,
            device.channel,
            device.kind,
            device.value,
            "",
            now() - timedelta(seen_days_ago),
        )
        assert endpoints.register_all(cast.workspace, [seen], now()) == {change: 1}
        assert Endpoint.objects.get().is_active is (change == "returned")


def test_refusals_with_a_success_between_them_are_not_in_a_row():
    """One app of several may lack its key: its few devices hold the platform for nobody."""
    reader = OutcomeReader(Run(waived=[]), Fcm(), {"ios": Reach(platform="ios", proven_at=now())})
    recipient = Recipient(1, 1, "token", "t", 0, {}, 0, "ios")
    refused, taken = (
        Outcome(1, verdict, "THIRD_PARTY_AUTH_ERROR")
        for verdict in (Verdict.PLATFORM_BROKEN, Verdict.ACCEPTED)
    )
    answers = [*[refused] * (HANDFUL - 1), taken] * 2 + [refused] * HANDFUL
    reasons = [reader.read(recipient, answer, now(), "").reason for answer in answers]
    assert [Reason(reason) for reason in reasons if reason != Reason.ACCEPTED] == [
        *[Reason.REJECTED] * 3 * (HANDFUL - 1),
        Reason.DEFERRED,
    ]
