"""Who may change consent and profile data: proof does, a public key's word does not."""

from __future__ import annotations

import pytest
from django.utils import timezone

from campaigns.models import Consent, Contact, Run
from reports.models import Event
from tenants import identity, keys
from tenants.models import ApiKey, Connection
from tenants.scope import scope
from tests.reports.conftest import make_sdk
from tests.reports.made import make_sent

pytestmark = pytest.mark.usefixtures("everywhere")


def word(kind: str = "unsubscribed", **fields: object) -> dict[str, object]:
    return {"event_id": f"{kind} {sorted(fields.items())}"[:100], "type": kind, **fields}


def through(sent, provider: str):
    """The run went through a connection of this provider."""
    workspace = sent.run.workspace
    account = Connection.objects.create(
        workspace=workspace, name=provider, provider=provider, is_active=False
    )
    Run.objects.filter(pk=sent.run.pk).update(connection=account)
    return sent


def heard() -> tuple[set[str], set[str]]:
    """Who opted out, and who was seen."""
    out = Consent.objects.values_list("contact__external_id", flat=True)
    return set(out), set(
        Contact.objects.exclude(last_seen_at=None).values_list("external_id", flat=True)
    )


SEEN_AND_OUT = [word(external_user_id="user-1"), word("opened", external_user_id="user-2")]


def test_a_public_write_key_opts_nobody_out_and_marks_nobody_seen_by_a_guessed_id(sdk, sent):
    answer = sdk.post_and_digest(*SEEN_AND_OUT)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert heard() == (set(), set())
    assert set(Event.objects.values_list("type", "contact_id")) == {
        ("unsubscribed", sent.contacts[1].pk), ("opened", sent.contacts[2].pk),
    }, "its word is kept as an event"  # fmt: skip


def test_a_secret_key_may_speak_for_anybody_of_its_workspace(server, sent):
    server.post_and_digest(*SEEN_AND_OUT)
    assert heard() == ({"user-1"}, {"user-2"})


def test_a_write_key_may_speak_for_the_person_whose_id_the_customers_server_signed(
    sdk, sent, secret
):
    proof = identity.hash_of(secret, "user-1")
    sdk.post_and_digest(
        word(external_user_id="user-1", identity_hash=proof), word("opened", external_user_id="user-1",
             identity_hash=proof.upper()),
    )  # fmt: skip
    assert heard() == ({"user-1"}, {"user-1"})


@pytest.mark.parametrize(
    "forged", ["", "0" * 64, "ü" * 64, "somebody else's", "another workspace's"]
)
def test_an_identity_hash_that_does_not_fit_changes_nothing(cast, sdk, sent, secret, forged):
    with scope(cast.other_workspace):
        theirs = identity.make(cast.other_workspace, by=cast.other_owner, now=timezone.now())
    proof = {
        "somebody else's": identity.hash_of(secret, "user-0"), "another workspace's": identity.hash_of(theirs, "user-1")
    }.get(forged, forged)  # fmt: skip
    answer = sdk.post_and_digest(word(external_user_id="user-1", identity_hash=proof))
    assert answer.status_code == 202
    assert heard() == (set(), set())


def test_a_reference_counts_for_its_own_person_whoever_is_named_beside_it(sdk, sent):
    sdk.post_and_digest(word(ref=sent.ref(0), external_user_id="user-1"),
                        word("opened", ref=sent.ref(0), external_user_id="user-1"))  # fmt: skip
    assert heard() == ({"user-0"}, {"user-0"})


@pytest.mark.parametrize("of", ["a topic", "a deleted contact", "a deleted run"])
def test_a_reference_of_nobody_lends_its_proof_to_no_name(cast, sdk, sent, of):
    ref = sent.ref(0)
    if of == "a topic":
        type(sent.messages[0]).objects.filter(pk=sent.messages[0].pk).update(contact=None)
    elif of == "a deleted contact":
        sent.contacts[0].delete()
    else:
        sent.run.delete()
    sdk.post_and_digest(word(ref=ref, external_user_id="user-1"),
                        word("opened", ref=ref, external_user_id="user-2"))  # fmt: skip
    assert heard() == (set(), set())


@pytest.mark.parametrize("kind", ApiKey.Kind.values)
def test_a_test_key_touches_people_of_the_sandbox_alone_and_falsifies_no_live_figure(
    cast, kind, secret
):
    live, sandboxed = (
        through(make_sent(cast.workspace), "fcm"),
        through(make_sent(cast.workspace), "fcm_sandbox"),
    )
    testing = make_sdk(cast.workspace, mode="test", kind=kind, scopes=[keys.EVENTS_WRITE])
    proof = identity.hash_of(secret, "user-1")
    testing.post_and_digest(
        word(ref=live.ref(0)), word("opened", ref=live.ref(0)), word(external_user_id="user-1", identity_hash=proof),
        word(external_user_id="user-2"),
        word("clicked", ref=sandboxed.ref(1), external_user_id="user-2", identity_hash=proof),
        word(ref=sandboxed.ref(1)),
    )  # fmt: skip
    assert heard() == ({"user-4"}, {"user-4"})
    assert set(Event.objects.values_list("run_id", flat=True)) == {sandboxed.run.pk}


# --- the secret behind the hash -------------------------------------------------------------------
def test_after_a_rotation_the_old_secret_counts_until_its_hour_and_no_longer(
    cast, sdk, sent, secret, monkeypatch
):
    from datetime import timedelta

    now = timezone.now()
    with scope(cast.workspace):
        fresh = identity.make(cast.workspace, by=cast.owner, now=now, overlap=timedelta(hours=1))
    sdk.post_and_digest(word(external_user_id="user-0", identity_hash=identity.hash_of(secret, "user-0")),
                        word(external_user_id="user-1", identity_hash=identity.hash_of(fresh, "user-1")))  # fmt: skip
    assert heard()[0] == {"user-0", "user-1"}
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(hours=2))
    sdk.post_and_digest(
        word(external_user_id="user-2", identity_hash=identity.hash_of(secret, "user-2"))
    )
    assert heard()[0] == {"user-0", "user-1"}


def test_events_without_a_hash_do_not_cost_a_look_at_the_secret(sdk, sent, secret, monkeypatch):
    monkeypatch.setattr(identity, "secrets_of", None)
    assert (
        sdk.post(word(external_user_id="user-1"), word("opened", ref=sent.ref())).status_code == 202
    )


def test_the_hash_of_another_spelling_of_an_id_proves_nothing(sdk, sent, secret):
    """Invisible characters fold away here, and may be another account in the customer's system."""
    odd = "user\u200b-1"
    sdk.post_and_digest(word(external_user_id=odd, identity_hash=identity.hash_of(secret, odd)))
    assert heard() == (set(), set())
