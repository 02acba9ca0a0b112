"""What people say by event: no and yes, about one channel or all, known or not known yet."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.contacts import consent, endpoints
from campaigns.models import Consent, Contact, Run, WaitingConsent
from delivery.models import Message
from reports import digest
from reports.models import Event
from tenants import identity
from tenants.scope import scope
from tests.reports.made import make_sent

pytestmark = pytest.mark.usefixtures("everywhere")


def says(event_id: str, kind: str, **fields: object) -> dict[str, object]:
    return {"event_id": event_id, "type": kind, **fields}


def ago(**units: int) -> str:
    return (timezone.now() - timedelta(**units)).isoformat()


def told() -> dict[tuple[str, str], str]:
    return {
        (external_id, channel): status
        for external_id, channel, status in Consent.objects.values_list(
            "contact__external_id", "channel", "status"
        )
    }


def waiting() -> dict[tuple[str, str], str]:
    return {(row.external_id, row.channel): row.status for row in WaitingConsent.objects.all()}


def test_who_unsubscribed_comes_back_by_the_reference_of_a_message(sdk, sent):
    sdk.post_and_digest(says("1", "unsubscribed", ref=sent.ref()))
    assert told() == {("user-0", "app_push"): "opted_out"}
    sdk.post_and_digest(says("2", "subscribed", ref=sent.ref()))
    row = Consent.objects.get()
    assert (row.status, row.source, row.proof) == ("opted_in", "event", "event 2")
    assert row.at == Event.objects.get(event_id="2").occurred_at


def test_an_older_yes_that_arrives_later_brings_nobody_back(sdk, sent):
    sdk.post_and_digest(says("1", "unsubscribed", ref=sent.ref(), occurred_at=ago(minutes=1)))
    sdk.post_and_digest(says("2", "subscribed", ref=sent.ref(), occurred_at=ago(hours=1)))
    assert told() == {("user-0", "app_push"): "opted_out"}


@pytest.mark.parametrize(
    ("sent_hours_ago", "said_hours_ago", "status"),
    [
        # a clock that is wrong: nobody opts out of a message before it was sent
        (3, 9_000, "opted_out"),
        (1, 9_000, "opted_out"),
        (4, 3, "opted_in"),  # a clock that may be right
    ],
)
def test_an_opt_out_of_a_message_by_a_clock_that_is_wrong_wins(
    sdk, sent, sent_hours_ago, said_hours_ago, status
):
    Message.objects.update(attempted_at=timezone.now() - timedelta(hours=sent_hours_ago))
    sdk.post_and_digest(says("1", "subscribed", ref=sent.ref(), occurred_at=ago(hours=2)))
    answer = sdk.post_and_digest(
        says("2", "unsubscribed", ref=sent.ref(), occurred_at=ago(hours=said_hours_ago))
    )
    assert told() == {("user-0", "app_push"): status}
    assert [one["code"] for one in answer.json()["ignored"]] == ["older_word"] * (
        status == "opted_in"
    )


def test_a_yes_by_a_clock_that_is_wrong_stays_old(sdk, sent):
    Message.objects.update(attempted_at=timezone.now() - timedelta(hours=3))
    sdk.post_and_digest(says("1", "unsubscribed", ref=sent.ref(), occurred_at=ago(hours=2)))
    sdk.post_and_digest(says("2", "subscribed", ref=sent.ref(), occurred_at=ago(hours=9_000)))
    assert told() == {("user-0", "app_push"): "opted_out"}


def test_of_two_words_of_one_batch_the_later_one_counts(sdk, sent):
    words = (("unsubscribed", 0), ("subscribed", 0), ("subscribed", 1), ("unsubscribed", 1))
    sdk.post_and_digest(
        *(says(f"{n}", kind, ref=sent.ref(whose)) for n, (kind, whose) in enumerate(words))
    )
    assert told() == {("user-0", "app_push"): "opted_in", ("user-1", "app_push"): "opted_out"}


def test_a_word_names_its_channel_or_all_and_else_means_that_of_its_message(cast, server, sent):
    Run.objects.filter(campaign=sent.campaign.pk).update(channel="web_push")
    server.post_and_digest(
        says("1", "unsubscribed", ref=sent.ref(0)), says("2", "unsubscribed", ref=sent.ref(1), channel="all"),
        says("3", "unsubscribed", ref=sent.ref(1), channel="sms"), says("4", "unsubscribed", external_user_id="user-2"),
    )  # fmt: skip
    assert set(told()) == {
        ("user-0", "web_push"),
        ("user-1", "all"),
        ("user-1", "sms"),
        ("user-2", "app_push"),
    }


@pytest.mark.parametrize(
    ("kind", "channel"), [("unsubscribed", "fax"), ("unsubscribed", "ALL"), ("opened", "all")]
)
def test_a_channel_that_cannot_be_meant_is_refused_by_name(sdk, sent, kind, channel):
    answer = sdk.post(says("1", kind, ref=sent.ref(), channel=channel))
    assert answer.status_code == 422
    assert "channel" in answer.json()["rejected"][0]["detail"]


# --- people who are not known yet -----------------------------------------------------------------
def register(workspace, name: str) -> None:
    with scope(workspace):
        endpoints.register(
            workspace, name, "app_push", "token", f"token-{name}", "android", timezone.now()
        )


def test_an_opt_out_of_somebody_unknown_waits_and_is_theirs_from_the_first_moment(cast, server):
    server.post_and_digest(says("1", "unsubscribed", external_user_id="new", channel="all"))
    assert waiting() == {("new", "all"): "opted_out"}
    assert not Contact.objects.exists(), "a word alone makes nobody"
    register(cast.workspace, "new")
    assert (told(), waiting()) == ({("new", "all"): "opted_out"}, {})
    row = Consent.objects.get()
    assert (row.source, row.proof, row.at) == ("event", "event 1", Event.objects.get().occurred_at)


def test_an_identity_hash_lets_the_word_of_somebody_unknown_wait_and_a_bare_key_does_not(cast, sdk):
    with scope(cast.workspace):
        secret = identity.make(cast.workspace, by=cast.owner, now=timezone.now())
    proof = identity.hash_of(secret, "new")
    sdk.post_and_digest(says("1", "unsubscribed", external_user_id="new", identity_hash=proof),
                        says("2", "unsubscribed", external_user_id="other"))  # fmt: skip
    assert waiting() == {("new", "app_push"): "opted_out"}


def test_of_words_that_wait_the_newest_stays_in_both_directions(cast, server):
    server.post_and_digest(says("1", "unsubscribed", external_user_id="a", occurred_at=ago(minutes=2)),
                           says("2", "unsubscribed", external_user_id="b", occurred_at=ago(minutes=1)))  # fmt: skip
    server.post_and_digest(says("3", "subscribed", external_user_id="a", occurred_at=ago(minutes=1)),
                           says("4", "subscribed", external_user_id="b", occurred_at=ago(minutes=2)))  # fmt: skip
    assert waiting() == {("a", "app_push"): "opted_in", ("b", "app_push"): "opted_out"}


def test_the_same_unknown_id_in_another_workspace_keeps_waiting(cast, server):
    server.post_and_digest(says("1", "unsubscribed", external_user_id="new"))
    register(cast.other_workspace, "new")
    assert (told(), waiting()) == ({}, {("new", "app_push"): "opted_out"})


def test_words_about_unknown_people_are_bounded_and_known_ones_still_change(
    cast, server, monkeypatch
):
    monkeypatch.setattr(consent, "WAITING_LIMIT", 2)
    server.post_and_digest(
        *(says(f"{n}", "unsubscribed", external_user_id=f"u{n}") for n in range(2))
    )
    server.post_and_digest(says("x", "unsubscribed", external_user_id="one too many"),
                           says("y", "subscribed", external_user_id="u0"))  # fmt: skip
    assert waiting() == {("u0", "app_push"): "opted_in", ("u1", "app_push"): "opted_out"}


def test_many_words_cost_few_queries(cast, server, django_assert_max_num_queries):
    people = make_sent(cast.workspace, 200)
    names = [contact.external_id for contact in people.contacts] + [f"new-{n}" for n in range(200)]
    server.post(
        *(says(f"{n}", "unsubscribed", external_user_id=name) for n, name in enumerate(names))
    )
    with django_assert_max_num_queries(32) as asked:
        digest.digest_due(timezone.now())
    of_people = [one["sql"] for one in asked if 'FROM "campaigns_contact"' in one["sql"]]
    assert of_people
    assert [sql for sql in of_people if " IN (" not in sql] == [], "all people were read"
    assert (len(told()), len(waiting())) == (200, 200)
