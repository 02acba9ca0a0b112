"""Events become numbers: each event id once, each recipient once, exactly, whatever happens on
the way."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from campaigns.models import Consent, Contact, Endpoint
from delivery.models import Message
from pushpilot.lib import wake
from reports import digest, intake, store
from reports.models import Engagement, Event, EventType, InboxBatch, Rollup
from reports.verify import verify_rollups
from tenants.keys import EVENTS_WRITE, KnownKey
from tenants.models import ApiKey
from tenants.scope import scope
from tests.reports.conftest import make_sdk
from tests.reports.made import make_sent

pytestmark = pytest.mark.usefixtures("everywhere")


def event(event_id: str, kind: str = "opened", **fields: object) -> dict[str, object]:
    return {"event_id": event_id, "type": kind, **fields}


def totals(workspace) -> dict[str, tuple[int, int]]:
    rows = (
        Rollup.objects.filter(workspace=workspace)
        .values("type")
        .annotate(e=Sum("events"), p=Sum("people"))
    )
    return {row["type"]: (row["e"], row["p"]) for row in rows}


def _key(workspace) -> KnownKey:
    return KnownKey(None, workspace.pk, "write", "live", (EVENTS_WRITE,), None)  # type: ignore[arg-type]


def put(workspace, *events: dict[str, object], received_at: datetime | None = None) -> InboxBatch:
    """A stored batch, as the door leaves it."""
    import msgspec

    now, key = received_at or timezone.now(), _key(workspace)
    voucher = intake._Voucher(key, now)
    accepted = [
        intake._judge(msgspec.Raw(msgspec.json.encode(item)), None, now, voucher)[0]
        for item in events
    ]
    intake._store(accepted, key, now)
    return InboxBatch.objects.latest("id")


def redo(batch: InboxBatch) -> InboxBatch:
    """The same batch stored again, as a client that never heard the answer would."""
    batch.pk, batch.attempts, batch.not_before = None, 0, batch.received_at
    batch.save(force_insert=True)
    return batch


def now_digest() -> int:
    return digest.digest_due(timezone.now())


# --- once -----------------------------------------------------------------------------------------


def test_an_event_id_counts_once_in_one_request_and_across_requests(cast, sdk, sent):
    answer = sdk.post_and_digest(
        event("a", ref=sent.ref()), event("a", ref=sent.ref()), event("b", ref=sent.ref(1))
    )
    assert answer.json()["accepted"] == 3
    sdk.post_and_digest(event("a", ref=sent.ref()), event("a", "clicked", ref=sent.ref()))
    sdk.post(event("b", ref=sent.ref(1)))
    sdk.post(event("b", ref=sent.ref(1)))
    now_digest()
    assert totals(cast.workspace) == {"opened": (2, 2)}
    assert Event.objects.count() == 2
    assert verify_rollups(cast.workspace) == []


def test_of_events_with_one_id_the_one_that_came_first_is_kept(cast, sdk, sent):
    sdk.post(event("a", ref=sent.ref()), event("a", "clicked", ref=sent.ref()))
    sdk.post_and_digest(event("a", "delivered", ref=sent.ref()))
    assert Event.objects.get().type == "opened"


def test_the_same_event_id_in_another_workspace_is_another_event(cast, sdk, other_sdk):
    sdk.post(event("a"))
    other_sdk.post(event("a"))
    now_digest()
    assert totals(cast.workspace) == totals(cast.other_workspace) == {"opened": (1, 0)}


def test_a_recipient_counts_once_per_type_and_their_events_each(cast, sdk, sent):
    sdk.post_and_digest(*(event(f"o{i}", ref=sent.ref(i % 2)) for i in range(5)))
    sdk.post_and_digest(event("o9", ref=sent.ref(0)), event("c1", "clicked", ref=sent.ref(0)))
    assert totals(cast.workspace) == {"opened": (6, 2), "clicked": (1, 1)}
    assert Engagement.objects.count() == 3


def test_a_recipients_first_is_the_earliest_of_what_came_together(cast, sdk, sent):
    times = ("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z")
    sdk.post_and_digest(*(event(at, ref=sent.ref(), occurred_at=at) for at in times))
    assert Engagement.objects.get().first_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert list(Rollup.objects.order_by("quarter").values_list("events", "people")) == [
        (1, 1),
        (1, 0),
        (1, 0),
    ]


def test_nothing_is_invented_an_open_is_no_delivery(cast, sdk, sent):
    sdk.post_and_digest(event("a", ref=sent.ref()))
    assert set(totals(cast.workspace)) == {"opened"}


# --- whose ----------------------------------------------------------------------------------------


def test_a_reference_names_campaign_run_message_and_contact(cast, sdk, sent):
    sdk.post_and_digest(event("a", ref=sent.ref(2)))
    found = Event.objects.get()
    assert (found.campaign_id, found.run_id) == (sent.campaign.pk, sent.run.pk)
    assert (found.message_id, found.contact_id) == (sent.messages[2].pk, sent.contacts[2].pk)


@pytest.mark.parametrize("forge", ["other workspace", "changed", "rubbish"])
def test_a_reference_that_is_not_ours_is_ignored_and_counted_as_unattributed(
    cast, sdk, sent, forge
):
    ref = {
        "other workspace": make_sent(cast.other_workspace).ref(),
        "changed": sent.ref().replace(f".{sent.run.pk}.", f".{sent.run.pk + 1}."),
        "rubbish": "1.2.3.4.💥",
    }[forge]
    sdk.post_and_digest(event("a", ref=ref))
    assert Event.objects.get().campaign_id is None
    assert list(Rollup.objects.values_list("workspace", "campaign_id", "events")) == [
        (cast.workspace.pk, 0, 1)
    ]


def test_an_event_without_reference_finds_its_contact_by_the_name_the_sender_uses(cast, sdk, sent):
    sdk.post_and_digest(
        event("a", "custom", name="bought", external_user_id="user-1"),
        event("b", external_user_id="?"),
    )
    assert dict(Event.objects.values_list("event_id", "contact_id")) == {
        "a": sent.contacts[1].pk,
        "b": None,
    }


# --- when -----------------------------------------------------------------------------------------


def test_a_wrong_clock_is_corrected_by_the_time_of_sending(sdk):
    before = timezone.now()
    sdk.post(
        event("a", occurred_at="1970-01-01T00:00:00Z"), event("b", occurred_at="1970-01-01T01:00:00+00:00"),
        sent_at="1970-01-01T01:00:00Z",
    )  # fmt: skip
    now_digest()
    at = dict(Event.objects.values_list("event_id", "occurred_at"))
    assert abs(at["a"] - (before - timedelta(hours=1))) < timedelta(seconds=10)
    assert abs(at["b"] - before) < timedelta(seconds=10)


def test_nothing_happens_in_the_future(sdk):
    sdk.post_and_digest(
        event("a", occurred_at="2099-01-01T00:00:00Z"),
        event("b", occurred_at="9999-12-31T23:59:59-12:00"),
    )
    assert all(at <= timezone.now() for at in Event.objects.values_list("occurred_at", flat=True))
    assert Event.objects.count() == 2


def test_a_quarter_of_an_hour_begins_where_indian_and_nepali_days_do():
    at = datetime(2026, 11, 21, 18, 44, 59, 999_999, UTC)
    assert digest.quarter_of(at) == datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
    assert digest.quarter_of(datetime(2026, 11, 21, 18, 45, tzinfo=UTC)) == datetime(
        2026, 11, 21, 18, 45, tzinfo=UTC
    )


# --- effects --------------------------------------------------------------------------------------


def test_unsubscribing_writes_the_contacts_consent_with_its_proof(sdk, sent):
    sdk.post_and_digest(event("u-1", "unsubscribed", ref=sent.ref(1)))
    consent = Consent.objects.get()
    assert (consent.contact_id, consent.channel, consent.status) == (
        sent.contacts[1].pk,
        "app_push",
        "opted_out",
    )
    assert (consent.source, consent.proof) == ("event", "event u-1")


def test_unsubscribing_by_the_customers_name_for_the_contact_works_too(cast, sent):
    server = make_sdk(cast.workspace, kind=ApiKey.Kind.SECRET, scopes=[EVENTS_WRITE])
    server.post_and_digest(
        event("u-1", "unsubscribed", external_user_id="user-2"), event("u-2", "unsubscribed")
    )
    assert Consent.objects.get().contact_id == sent.contacts[2].pk


def test_a_consent_that_is_newer_than_the_event_stays(cast, sdk, sent):
    fresh = Consent.objects.create(
        workspace=cast.workspace,
        contact=sent.contacts[0],
        channel="app_push",
        status="opted_in",
        source="import",
    )
    sdk.post_and_digest(
        event("u", "unsubscribed", ref=sent.ref(0), occurred_at="2026-01-01T00:00:00Z")
    )
    fresh.refresh_from_db()
    assert fresh.status == "opted_in"
    sdk.post_and_digest(event("u2", "unsubscribed", ref=sent.ref(0)))
    fresh.refresh_from_db()
    assert fresh.status == "opted_out"


def test_an_unsubscription_of_a_contact_that_is_gone_is_kept_as_an_event(sdk, sent):
    Contact.objects.filter(pk=sent.contacts[0].pk).delete()
    sdk.post_and_digest(event("u", "unsubscribed", ref=sent.ref(0)))
    assert Event.objects.count() == 1
    assert not Consent.objects.exists()


def test_opening_moves_the_device_s_last_seen_forward_and_never_back(sdk, sent):
    device = Endpoint.objects.create(
        workspace=sent.run.workspace, contact=sent.contacts[0], value="sbx_ok_1", platform="ios"
    )
    Message.objects.filter(pk=sent.messages[0].pk).update(endpoint=device)
    for day in (2, 9, 5):
        sdk.post_and_digest(
            event(f"d{day}", ref=sent.ref(0), occurred_at=f"2026-03-{day:02}T00:00:00Z")
        )
    device.refresh_from_db()
    assert device.last_seen_at == datetime(2026, 3, 9, tzinfo=UTC)


def test_opening_moves_last_seen_forward_and_never_back(sdk, sent):
    sdk.post_and_digest(event("a", ref=sent.ref(0), occurred_at="2026-03-01T00:00:00Z"),
                        event("b", "delivered", ref=sent.ref(0), occurred_at="2026-02-01T00:00:00Z"),
                        event("c", "failed", ref=sent.ref(1)))  # fmt: skip
    sdk.post_and_digest(event("d", ref=sent.ref(0), occurred_at="2026-01-01T00:00:00Z"))
    seen = dict(Contact.objects.values_list("pk", "last_seen_at"))
    assert seen[sent.contacts[0].pk] == datetime(2026, 3, 1, tzinfo=UTC)
    assert seen[sent.contacts[1].pk] is None


def test_the_key_remembers_when_it_was_last_used(sdk):
    sdk.post_and_digest(event("a"))
    assert ApiKey.objects.get(pk=sdk.key.pk).last_used_at is not None


# --- trouble --------------------------------------------------------------------------------------


def test_a_damaged_batch_is_tried_five_times_then_set_aside_and_stops_no_other(
    cast, caplog, monkeypatch
):
    rung: list[object] = []
    monkeypatch.setattr(digest.wake, "ring", lambda name, at=None: rung.append(at) if at else None)
    broken = put(cast.workspace, event("x"))
    InboxBatch.objects.filter(pk=broken.pk).update(events=b"{rubbish")
    put(cast.workspace, event("a"))
    put(cast.workspace, event("b"))
    assert now_digest() == 2
    assert set(Event.objects.values_list("event_id", flat=True)) == {"a", "b"}
    for tries in range(2, 6):
        InboxBatch.objects.update(not_before=timezone.now())
        put(cast.workspace, event(f"c{tries}"))
        assert now_digest() == 1
    InboxBatch.objects.update(not_before=timezone.now())
    assert now_digest() == 0
    assert len(rung) == InboxBatch.MAX_ATTEMPTS - 1, "nobody is woken for what is set aside"
    broken.refresh_from_db()
    assert broken.attempts == InboxBatch.MAX_ATTEMPTS
    assert "Expected `array`" in broken.last_error


def test_a_failed_batch_waits_longer_each_time(cast):
    broken = put(cast.workspace, event("x"))
    InboxBatch.objects.update(events=b"")
    waits = []
    for _ in range(3):
        InboxBatch.objects.update(not_before=timezone.now())
        now_digest()
        broken.refresh_from_db()
        waits.append((broken.not_before - timezone.now()).total_seconds())
    assert waits == sorted(waits)
    assert waits[0] > 5


def test_a_digest_that_dies_half_way_leaves_no_trace_and_is_done_again(cast, sent, monkeypatch):
    put(cast.workspace, event("a", ref=sent.ref()), event("u", "unsubscribed", ref=sent.ref()))

    class Killed(BaseException):
        pass

    def die(*args):
        raise Killed

    for step in ("insert_engagements", "add_to_rollups", "move_last_seen"):
        with monkeypatch.context() as patched:
            patched.setattr(store, step, die)
            with pytest.raises(Killed):
                now_digest()
        assert not Event.objects.exists()
        assert not Rollup.objects.exists()
        assert not Consent.objects.exists()
        assert now_digest() == 0, "the dead worker's lease holds the batch for a while"
        InboxBatch.objects.update(not_before=timezone.now())
    assert now_digest() == 1
    assert totals(cast.workspace) == {"opened": (1, 1), "unsubscribed": (1, 1)}
    assert verify_rollups(cast.workspace) == []


def test_what_is_left_after_the_slice_rings_the_bell_again(cast, monkeypatch):
    rung = []
    monkeypatch.setattr(wake, "ring", lambda bell, **_: rung.append(bell))
    monkeypatch.setattr(digest, "SLICE", timedelta(0))
    put(cast.workspace, event("a"))
    rung.clear()
    assert now_digest() == 0
    assert rung == ["digest"]
    monkeypatch.setattr(digest, "SLICE", timedelta(seconds=20))
    rung.clear()
    assert now_digest() == 1
    assert rung == []


def test_batches_of_many_requests_share_few_statements(cast, sent, django_assert_max_num_queries):
    for i in range(50):
        put(cast.workspace, event(f"m{i}", ref=sent.ref(i % 3)))
    with django_assert_max_num_queries(25):
        assert now_digest() == 50


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_workers_that_digest_at_once_count_everything_once(cast, sent):
    for i in range(60):
        put(
            cast.workspace, *(event(f"m{(i * 7 + j) % 90}", ref=sent.ref(j % 3)) for j in range(10))
        )

    def work(_: int) -> int:
        try:
            return now_digest()
        finally:
            connection.close()

    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(4) as pool:
        patched.setattr(digest, "GROUP", 3)
        assert sum(pool.map(work, range(4))) == 60
    assert Event.objects.count() == 90
    assert totals(cast.workspace) == {"opened": (90, 3)}
    assert verify_rollups(cast.workspace) == []


@pytest.mark.parametrize("cap", [6, 8])
def test_a_transaction_takes_no_more_events_than_its_cap(cast, monkeypatch, cap):
    sizes = []
    real = digest._digest
    monkeypatch.setattr(
        digest, "_digest", lambda w, batches: sizes.append(len(batches)) or real(w, batches)
    )
    monkeypatch.setattr(digest, "GROUP_EVENTS", cap)
    for i in range(5):
        put(cast.workspace, *(event(f"{i}-{j}") for j in range(3)))
    assert now_digest() == 5
    assert sizes == [2, 2, 1]
    assert Event.objects.count() == 15


# --- exact ----------------------------------------------------------------------------------------


def test_verify_finds_a_number_that_was_tampered_with(cast, sdk, sent):
    sdk.post_and_digest(event("a", ref=sent.ref()), event("b"))
    assert verify_rollups(cast.workspace) == []
    Rollup.objects.filter(campaign_id=sent.campaign.pk).update(events=3, people=2)
    found = verify_rollups(cast.workspace)
    assert [(item.expected, item.found) for item in found] == [(1, 3), (1, 2)]
    with pytest.raises(CommandError, match="2 numbers"):
        call_command("verify_rollups", cast.workspace.slug, stdout=StringIO())
    call_command("verify_rollups", cast.other_workspace.slug, stdout=StringIO())


def test_verify_finds_a_first_that_is_missing_and_a_rollup_without_events(cast, sdk, sent):
    sdk.post_and_digest(event("a", ref=sent.ref()))
    Engagement.objects.all().delete()
    assert "first opened of message" in str(verify_rollups(cast.workspace)[-1])
    Event.objects.all().delete()
    assert any("events opened" in str(item) for item in verify_rollups(cast.workspace))


ACTION = st.tuples(
    st.integers(0, 12),  # event id: few, so that many repeat
    st.sampled_from(EventType.values),
    st.sampled_from([0, 1, 2, None]),  # which message, or none
    st.integers(0, 5000),  # minutes ago
)


@hypothesis_settings(max_examples=25)
@given(
    batches=st.lists(st.lists(ACTION, min_size=1, max_size=8), min_size=1, max_size=6),
    seed=st.integers(0, 999),
)
def test_rollups_are_exact_after_any_interleaving_of_batches_repeats_and_digests(
    cast, sent, batches, seed
):
    chance = random.Random(seed)
    now = timezone.now()
    for actions in batches:
        workspace = chance.choice([cast.workspace, cast.other_workspace])
        stored = put(workspace, *(
            event(f"m{number}", kind, occurred_at=(now - timedelta(minutes=ago)).isoformat(),
                  **({} if index is None else {"ref": sent.ref(index)}))
            for number, kind, index, ago in actions
        ))  # fmt: skip
        if chance.random() < 0.4:
            redo(stored)
        if chance.random() < 0.4:
            now_digest()
    now_digest()
    assert not InboxBatch.objects.exists()
    for workspace in (cast.workspace, cast.other_workspace):
        assert verify_rollups(workspace) == []
        with scope(workspace):
            assert (Rollup.objects.aggregate(n=Sum("events"))["n"] or 0) == Event.objects.count()
            assert (
                Rollup.objects.aggregate(n=Sum("people"))["n"] or 0
            ) == Engagement.objects.count()


@pytest.mark.parametrize("written", ["asha ", "\u200basha", "\u00a0asha"])
def test_an_event_finds_its_person_whatever_the_spelling_of_the_id(cast, sdk, written):
    with scope(cast.workspace):
        person = Contact.objects.create(workspace=cast.workspace, external_id="asha")
    sdk.post_and_digest({"event_id": "m1", "type": "opened", "external_user_id": written})
    with scope(cast.workspace):
        assert Event.objects.get().contact_id == person.pk
