"""`ignored` in the answer of /events: it says what the digest will not do, for every kind of
event, key and proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns.contacts import consent
from campaigns.models import Consent, Contact, Run, WaitingConsent
from delivery.models import Message
from reports import effects
from reports.models import Engagement, Event, InboxBatch
from tenants import identity, keys
from tenants.models import ApiKey, Connection
from tests.reports.conftest import Sdk, make_sdk
from tests.reports.made import Sent, make_sent

pytestmark = pytest.mark.usefixtures("everywhere")

WORDS = ("subscribed", "unsubscribed")
SIGNS = ("delivered", "opened", "clicked", "converted")
TYPES = (*WORDS, *SIGNS, "failed", "custom")
REFS = ("none", "good", "unknown", "foreign", "gone", "topic", "contact gone")
HASHES = ("none", "wrong", "right")
PEOPLE = ("nobody", "known", "unknown")
COMBINATIONS = list(product(TYPES, REFS, HASHES, PEOPLE))


@dataclass
class World:
    """For each combination a message and a person of its own, so that each effect has one cause."""

    secret: str
    sends: dict[str, Sent]
    gone_refs: list[str]

    def event(self, number: int) -> dict[str, Any]:
        kind, ref, proof, person = COMBINATIONS[number]
        event: dict[str, Any] = {"event_id": f"e{number}", "type": kind}
        if ref == "unknown":
            event["ref"] = "<data.pp_ref of the push>"
        elif ref == "gone":
            event["ref"] = self.gone_refs[number]
        elif ref != "none":
            event["ref"] = self.sends[ref].ref(number)
        if person != "nobody":
            event["external_user_id"] = f"{person}-{number}"
        if proof == "wrong":
            event["identity_hash"] = "0" * 64
        elif proof == "right":
            event["identity_hash"] = identity.hash_of(
                self.secret, event.get("external_user_id", "")
            )
        return event


@pytest.fixture
def world(cast, secret) -> World:
    count = len(COMBINATIONS)
    theirs = make_sent(cast.other_workspace, count)
    sends = {
        name: make_sent(cast.workspace, count) for name in ("good", "gone", "topic", "contact gone")
    }
    sends["foreign"] = theirs
    sandbox = Connection.objects.create(
        workspace=cast.workspace, name="Sandbox", provider="fcm_sandbox", is_active=False
    )
    Run.objects.filter(workspace=cast.workspace).update(connection=sandbox)
    gone_refs = [sends["gone"].ref(number) for number in range(count)]
    sends["gone"].run.delete()
    Run.objects.filter(pk=sends["topic"].run.pk).update(target_kind="topic")
    # One message of a topic goes to nobody in particular; a run has one of them in life.
    first, *others = (message.pk for message in sends["topic"].messages)
    Message.objects.filter(pk__in=others).delete()
    Message.objects.filter(pk=first).update(contact=None)
    sends["topic"].messages = [sends["topic"].messages[0]] * count
    Contact.objects.filter(pk__in=[one.pk for one in sends["contact gone"].contacts])._raw_delete(
        "default"
    )
    Contact.objects.bulk_create(
        Contact(workspace=cast.workspace, external_id=f"known-{number}")
        for number, (_, _, _, person) in enumerate(COMBINATIONS)
        if person == "known"
    )
    return World(secret, sends, gone_refs)


@dataclass
class Changes:
    """What the digest has written, by the number of the combination."""

    heard: set[int]
    counted: set[int]
    seen: set[int]
    placed: set[int]  # events that stand at a message's campaign

    @classmethod
    def read(cls, world: World) -> Changes:
        proofs = [
            *Consent.objects.values_list("proof", flat=True),
            *WaitingConsent.objects.values_list("proof", flat=True),
        ]
        firsts = set(Engagement.objects.values_list("message_id", "type"))
        seen = set(Contact.objects.exclude(last_seen_at=None).values_list("external_id", flat=True))
        events = dict(Event.objects.values_list("event_id", "message_id"))
        people = {
            name: [one.external_id for one in sent.contacts] for name, sent in world.sends.items()
        }
        changes = cls({int(proof.removeprefix("event e")) for proof in proofs}, set(), set(), set())
        for number, (kind, ref, _, person) in enumerate(COMBINATIONS):
            message = events.get(f"e{number}")
            if message is not None:
                changes.placed.add(number)
                changes.counted |= {number} if (message, kind) in firsts else set()
            own = {f"{person}-{number}"} | ({people[ref][number]} if ref == "good" else set())
            changes.seen |= {number} if own & seen else set()
        return changes


def post_all(sdk: Sdk, world: World) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """(number, its entry in `ignored` or None) of every event that was accepted; all are
    digested."""
    for start in range(0, len(COMBINATIONS), 500):
        numbers = range(start, min(start + 500, len(COMBINATIONS)))
        answer = sdk.post_and_digest(*(world.event(number) for number in numbers)).json()
        ignored = {one["index"]: one for one in answer.get("ignored", [])}
        refused = {one["index"] for one in answer["rejected"]}
        for index, number in enumerate(numbers):
            if index not in refused:
                yield number, ignored.get(index)


@pytest.mark.parametrize(("kind", "mode"), list(product(ApiKey.Kind.values, ApiKey.Mode.values)))
def test_the_answer_says_for_every_combination_what_the_digest_then_did(cast, world, kind, mode):
    sdk = make_sdk(cast.workspace, kind=kind, mode=mode, scopes=[keys.EVENTS_WRITE])
    said = dict(post_all(sdk, world))
    changes = Changes.read(world)
    faults = []
    for number, entry in said.items():
        event, ref, *_ = COMBINATIONS[number]
        is_ignored = entry is not None and entry["part"] == "event"
        if event in WORDS:
            is_changed = number in changes.heard
        elif event in SIGNS:
            is_changed = number in changes.counted | changes.seen
        else:
            is_changed = event == "custom" or number in changes.counted
        if is_ignored is is_changed:
            faults.append((COMBINATIONS[number], entry))
        has_lost_its_ref = ref != "none" and number not in changes.placed
        is_told = entry is not None and entry["code"] in ("ref_unknown", "ref_foreign", "ref_gone")
        if has_lost_its_ref is not is_told:
            faults.append((COMBINATIONS[number], entry, "its ref"))
    assert not faults, f"{len(faults)} of {len(said)}: {faults[:10]}"
    assert len(said) == len(COMBINATIONS) if mode == "live" else len(said) > 100
    assert changes.heard
    assert changes.counted


# --- one by one -----------------------------------------------------------------------------------
def codes(answer) -> list[tuple[int, str, str]]:
    return [(one["index"], one["code"], one["part"]) for one in answer.json()["ignored"]]


def word(number: int, kind: str = "unsubscribed", **fields: Any) -> dict[str, Any]:
    return {"event_id": f"m{number}", "type": kind, **fields}


def test_a_wrong_identity_hash_is_told_from_a_missing_one(cast, sdk, secret):
    make_sent(cast.workspace)
    wrong = {"external_user_id": "user-1", "identity_hash": "0" * 64}
    right = {"external_user_id": "user-1", "identity_hash": identity.hash_of(secret, "user-1")}
    answer = sdk.post(
        word(0, **wrong),
        word(1, "opened", **wrong),
        word(2, **right),
        word(3, "opened", **right),
        word(4, external_user_id="user-1"),
        word(5, "opened", external_user_id="user-1"),
    )
    assert codes(answer) == [
        (0, "identity_hash_wrong", "event"),
        (1, "identity_hash_wrong", "event"),
        (4, "no_proof", "event"),
        (5, "ref_missing", "event"),
    ]


def test_a_vouched_event_with_a_bad_reference_counts_for_its_person_and_says_that_the_reference_did_not(
    cast, server
):
    make_sent(cast.workspace)
    foreign = make_sent(cast.other_workspace).ref()
    answer = server.post_and_digest(
        word(0, ref="pasted", external_user_id="user-1"),
        word(1, "opened", ref=foreign, external_user_id="user-2"),
    )
    assert codes(answer) == [(0, "ref_unknown", "ref"), (1, "ref_foreign", "ref")]
    assert list(Consent.objects.values_list("contact__external_id", flat=True)) == ["user-1"]
    assert list(
        Contact.objects.exclude(last_seen_at=None).values_list("external_id", flat=True)
    ) == ["user-2"]


def test_an_opening_by_somebody_whom_nobody_knows_says_so(server):
    assert codes(
        server.post(word(0, "opened", external_user_id="new"), word(1, external_user_id="new"))
    ) == [(0, "person_unknown", "event")]


def test_a_word_that_finds_no_place_to_wait_says_so_and_its_neighbours_still_wait(
    cast, server, monkeypatch
):
    monkeypatch.setattr(consent, "WAITING_LIMIT", 2)
    server.post_and_digest(word(0, external_user_id="a"), word(1, external_user_id="b"))
    answer = server.post_and_digest(
        word(2, external_user_id="c"),
        word(3, "subscribed", external_user_id="a"),
        word(4, external_user_id="a", channel="all"),
    )
    assert codes(answer) == [(0, "waiting_full", "event"), (2, "waiting_full", "event")]
    waiting = set(WaitingConsent.objects.values_list("external_id", "channel", "status"))
    assert waiting == {("a", "app_push", "opted_in"), ("b", "app_push", "opted_out")}


@pytest.mark.parametrize("person", ["user-1", "unknown"])
@pytest.mark.parametrize("kind", WORDS)
def test_a_word_that_is_older_than_a_known_one_of_its_channel_or_of_all_says_so(
    cast, server, person, kind
):
    make_sent(cast.workspace)
    at = {days: (timezone.now() - timedelta(days=days)).isoformat() for days in range(5)}

    def said(number: int, days: int, channel: str, who: str = person) -> dict[str, Any]:
        return word(number, kind, external_user_id=who, channel=channel, occurred_at=at[days])

    server.post_and_digest(said(1, 2, "app_push"), said(2, 3, "all"))
    answer = server.post(
        said(10, 3, "app_push"),
        said(11, 4, "all"),
        said(12, 4, "sms"),  # older than the word about all channels
        said(13, 2, "sms"),
        said(14, 2, "all"),
        said(15, 2, "app_push"),  # of the same moment
        said(16, 4, "app_push", "user-2"),
        word(17, kind, external_user_id=person, channel="email"),
    )
    assert codes(answer) == [(index, "older_word", "event") for index in (0, 1, 2)]


def test_a_word_that_another_one_of_its_batch_makes_old_says_so(cast, server):
    make_sent(cast.workspace)
    old = (timezone.now() - timedelta(days=1)).isoformat()
    answer = server.post_and_digest(
        word(1, "subscribed", external_user_id="user-1"),
        word(2, external_user_id="user-1", occurred_at=old),
    )
    assert codes(answer) == [(1, "older_word", "event")]
    assert Consent.objects.get().status == "opted_in"


def test_a_word_about_a_message_whose_contact_was_deleted_says_so(cast, sdk):
    sent = make_sent(cast.workspace)
    ref = sent.ref(0)
    sent.contacts[0].delete()
    answer = sdk.post_and_digest(word(0, ref=ref), word(1, "opened", ref=ref))
    assert codes(answer) == [(0, "contact_gone", "event")]
    assert not Consent.objects.exists()
    assert set(Engagement.objects.values_list("type", flat=True)) == {"opened", "unsubscribed"}


def test_events_without_reference_and_proof_cost_no_look_up_and_words_with_proof_few(
    cast, sdk, server
):
    sent = make_sent(cast.workspace)

    def cost(one: Sdk, number: int, kind: str, **fields: Any) -> int:
        one.post(word(number, kind, **fields))  # its key is known from here on
        with CaptureQueriesContext(connection) as queries:
            one.post(*(word(1000 * number + n, kind, **fields) for n in range(50)))
        return len(queries)

    least = cost(sdk, 1, "custom", external_user_id="user-1")
    assert cost(sdk, 3, "opened", external_user_id="user-1") == least
    assert cost(sdk, 4, "opened", ref=sent.ref()) == least + 1
    assert cost(sdk, 5, "opened", ref="unknown", external_user_id="user-1") == least + 1
    assert cost(sdk, 6, "unsubscribed", ref=sent.ref(), channel="all") == least + 2
    assert cost(sdk, 7, "unsubscribed", ref=sent.ref()) == least + 3
    least = cost(server, 8, "custom", external_user_id="user-1")
    assert cost(server, 9, "unsubscribed", external_user_id="user-1") == least + 2
    assert cost(server, 10, "unsubscribed", external_user_id="nobody") == least + 3


def test_events_that_cannot_be_looked_up_are_not_stored_as_the_answer_says(cast, sdk, monkeypatch):
    sent = make_sent(cast.workspace)

    def broken(*args):
        raise OperationalError("the database is away")

    monkeypatch.setattr(effects, "without_effect", broken)
    answer = sdk.post({"event_id": "m", "type": "opened", "ref": sent.ref(0)})
    assert (answer.status_code, answer.json()["code"]) == (503, "not_stored")
    assert not InboxBatch.objects.exists()
