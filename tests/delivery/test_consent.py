"""The newest word decides, at the audience and once more before the send; of one channel and of
all."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.contacts import consent
from campaigns.contacts.consent import Word
from campaigns.models import ALL_CHANNELS, Contact, Run
from delivery.engine import leases
from delivery.engine.supply import FRESH
from delivery.engine.work import ShardWorker
from tenants.scope import every_workspace, scope
from tests.story import add_people, run_to_the_end

# {what was said, oldest first: (channel, yes)}: is app push stopped?
HISTORIES = {
    "nothing": ((), False),
    "no": ((("app_push", False),), True),
    "yes": ((("app_push", True),), False),
    "no to all": (((ALL_CHANNELS, False),), True),
    "no to another channel": ((("sms", False),), False),
    "no, then yes": ((("app_push", False), ("app_push", True)), False),
    "no to all, then yes": (((ALL_CHANNELS, False), ("app_push", True)), False),
    "no, then yes to all": ((("app_push", False), (ALL_CHANNELS, True)), False),
    "yes, then no to all": ((("app_push", True), (ALL_CHANNELS, False)), True),
    "yes to all, then no": (((ALL_CHANNELS, True), ("app_push", False)), True),
    "no to all, then yes to another channel": (((ALL_CHANNELS, False), ("sms", True)), True),
    "no to all, yes, no": (((ALL_CHANNELS, False), ("app_push", True), ("app_push", False)), True),
    "no, no to all, then yes": (
        (("app_push", False), (ALL_CHANNELS, False), ("app_push", True)),
        False,
    ),
}


def tell(workspace, histories):
    """Each of these people says what their history says, in the order of its times; the doors
    hear it backwards."""
    now = timezone.now()
    with scope(workspace):
        for person, said in histories.items():
            for age, (channel, is_yes) in enumerate(reversed(said)):
                word = Word(
                    channel, is_yes, "test", "", now - timedelta(minutes=age), contact_id=person.pk
                )
                consent.record(workspace, [word])


def stopped(workspace) -> set[str]:
    with scope(workspace):
        rows = selection.recipients(workspace, "app_push", {}).filter(reason=Reason.UNSUBSCRIBED)
        return set(rows.values_list("external_id", flat=True))


def histories(workspace):
    people = add_people(workspace, len(HISTORIES))
    told = {person: said for person, (said, _) in zip(people, HISTORIES.values(), strict=True)}
    right = {
        person.external_id
        for person, (_, out) in zip(people, HISTORIES.values(), strict=True)
        if out
    }
    return told, right


def test_the_audience_goes_by_the_newest_word_about_the_channel_or_about_all(cast):
    told, right = histories(cast.workspace)
    tell(cast.workspace, told)
    assert stopped(cast.workspace) == right
    with scope(cast.workspace):
        held = {
            person.external_id
            for person in told
            if (row := consent.holds(person.consents.all(), "app_push"))
            and row.status == "opted_out"
        }
        assert held == right, "the contact's page says what the audience does"


def test_the_last_look_before_the_send_goes_by_the_same_word(cast, prepared):
    run = prepared(len(HISTORIES))
    with scope(cast.workspace):
        people = list(Contact.objects.order_by("pk"))
    told = {person: said for person, (said, _) in zip(people, HISTORIES.values(), strict=True)}
    tell(cast.workspace, told)
    out = sum(out for _, out in HISTORIES.values())
    run = run_to_the_end(run)
    assert run.tally == {"accepted": len(HISTORIES) - out, "unsubscribed": out}


def test_who_says_no_while_their_message_waits_for_its_turn_does_not_get_it(cast, prepared):
    run, now = prepared(2), timezone.now()
    with every_workspace():
        lease = leases.claim(now)
    with scope(cast.workspace):
        run = Run.objects.select_related("workspace", "campaign", "revision", "connection").get(
            pk=run.pk
        )
        supply = ShardWorker(lease, run, now + timedelta(minutes=1)).supply
        supply.make_ready(2, now)
        first = Contact.objects.earliest("pk")
        consent.record(
            cast.workspace, [Word("app_push", False, "test", "", now, contact_id=first.pk)]
        )
        supply.make_ready(2, now + FRESH)
        assert (len(supply.ready), supply.skipped) == (2, [])
        supply.make_ready(2, now + FRESH + timedelta(milliseconds=1))
        assert (len(supply.ready), [one.reason for one in supply.skipped]) == (
            1,
            [Reason.UNSUBSCRIBED],
        )


def test_of_two_words_of_one_moment_the_no_counts(cast, prepared):
    run, now = prepared(2), timezone.now()
    with scope(cast.workspace):
        first, _ = Contact.objects.order_by("pk")
        words = [Word(channel, channel == "app_push", "test", "", now, contact_id=first.pk)
                 for channel in (ALL_CHANNELS, "app_push")]  # fmt: skip
        consent.record(cast.workspace, words)
        assert consent.holds(first.consents.all(), "app_push").status == "opted_out"
    assert stopped(cast.workspace) == {first.external_id}
    assert run_to_the_end(run).tally == {"accepted": 1, "unsubscribed": 1}


def test_a_word_that_was_missed_while_its_person_was_created_is_heard_at_the_launch(
    cast, connected, launched
):
    people = add_people(cast.workspace, 2)
    with scope(cast.workspace):
        consent._wait(
            cast.workspace,
            {
                (people[0].external_id, ALL_CHANNELS, ""): Word(
                    ALL_CHANNELS, False, "event", "", timezone.now()
                )
            },
        )
    assert run_to_the_end(launched()).tally == {"accepted": 1, "unsubscribed": 1}


@pytest.mark.parametrize("channel", ["app_push", "all"])
def test_an_older_word_changes_nothing_whatever_it_says(cast, channel):
    (person,), now = add_people(cast.workspace, 1), timezone.now()
    with scope(cast.workspace):
        for is_yes, age in ((False, 0), (True, 5)):
            consent.record(
                cast.workspace,
                [
                    Word(
                        channel,
                        is_yes,
                        f"{is_yes}",
                        "",
                        now - timedelta(minutes=age),
                        contact_id=person.pk,
                    )
                ],
            )
        assert person.consents.get().source == "False"
