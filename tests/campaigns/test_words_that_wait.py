"""Words about people who are not known yet: whose they are, who takes them, and what stays."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns.contacts import consent
from campaigns.contacts.consent import Word
from campaigns.models import Consent, Contact, WaitingConsent
from tenants.models import AuditEntry
from tenants.scope import every_workspace

NOW = timezone.now()


@pytest.fixture(autouse=True)
def _everywhere(cast):
    """As the digest and a launch work: the workspace is a condition of each query."""
    with every_workspace():
        yield


@pytest.fixture
def here(cast):
    return cast.workspace


@pytest.fixture
def there(cast):
    return cast.other_workspace


def word(name: str, minute: int, *, is_yes: bool = False, channel: str = "app_push") -> Word:
    """What `name` said `minute` minutes after NOW; its source is the minute."""
    return Word(channel, is_yes, f"{minute}", "", NOW + timedelta(minutes=minute), external_id=name)


def waiting(workspace) -> dict[str, str]:
    """{external id: when it was said}."""
    rows = WaitingConsent.objects.filter(workspace=workspace)
    return dict(rows.values_list("external_id", "source"))


def told(workspace) -> dict[str, str]:
    rows = Consent.objects.filter(workspace=workspace)
    return dict(rows.values_list("contact__external_id", "source"))


def known(workspace, *names: str) -> None:
    Contact.objects.bulk_create(Contact(workspace=workspace, external_id=name) for name in names)


def test_two_workspaces_keep_what_the_same_id_said_apart(here, there):
    consent.record(there, [word("asha", 1)])
    consent.record(here, [word("asha", 2)])
    consent.record(there, [word("ravi", 3)])
    assert (waiting(here), waiting(there)) == ({"asha": "2"}, {"asha": "1", "ravi": "3"})


def test_a_word_is_never_given_to_a_contact_of_another_workspace(here, there):
    known(there, "asha")
    consent.record(here, [word("asha", 1)])
    assert (waiting(here), told(there)) == ({"asha": "1"}, {})


def test_who_becomes_known_takes_their_own_words_and_the_others_go_on_waiting(here, there):
    consent.record(here, [word("asha", 1), word("ravi", 2)])
    consent.record(there, [word("asha", 3)])
    known(here, "asha")
    consent.adopt(here, ["asha"])
    assert (told(here), waiting(here)) == ({"asha": "1"}, {"ravi": "2"})
    assert (told(there), waiting(there)) == ({}, {"asha": "3"})


def test_a_launch_takes_the_words_of_all_who_are_known_here_by_now(here, there):
    consent.record(here, [word("asha", 1), word("ravi", 2), word("meera", 3)])
    known(here, "asha", "ravi")
    known(there, "meera")
    consent.adopt(here)
    assert (told(here), waiting(here)) == ({"asha": "1", "ravi": "2"}, {"meera": "3"})


def test_many_known_people_are_adopted_a_part_at_a_time(here, monkeypatch):
    monkeypatch.setattr(consent, "ADOPTED_AT_ONCE", 2)
    names = [f"user-{number}" for number in range(5)]
    consent.record(here, [word(name, 1) for name in names])
    known(here, *names)
    consent.adopt(here)
    assert (told(here), waiting(here)) == (dict.fromkeys(names, "1"), {})


def test_one_workspace_s_words_take_no_place_of_another_s(here, there, monkeypatch):
    monkeypatch.setattr(consent, "WAITING_LIMIT", 1)
    consent.record(there, [word("asha", 1)])
    assert (consent.is_full(here), consent.is_full(there)) == (False, True)
    consent.record(here, [word("ravi", 2)])
    asked = [("asha", "app_push", ""), ("ravi", "app_push", "")]
    assert consent.without_place(here, asked) == {("asha", "app_push", "")}
    assert consent.without_place(there, asked) == {("ravi", "app_push", "")}


def test_a_full_workspace_still_changes_a_word_that_waits(here, monkeypatch):
    monkeypatch.setattr(consent, "WAITING_LIMIT", 1)
    consent.record(here, [word("asha", 1)])
    consent.record(here, [word("asha", 2), word("ravi", 2), word("asha", 3, channel="sms")])
    assert waiting(here) == {"asha": "2"}


def test_an_older_word_and_one_about_another_channel_replace_nothing_that_waits(here):
    consent.record(here, [word("asha", 5)])
    consent.record(here, [word("asha", 1, is_yes=True)])
    consent.record(here, [word("asha", 6, channel="sms")])
    rows = WaitingConsent.objects.values_list("channel", "source", "status")
    assert set(rows) == {("app_push", "5", "opted_out"), ("sms", "6", "opted_out")}


def test_a_word_about_a_topic_says_nothing_about_the_channel(here):
    known(here, "asha", "ravi")
    asha, ravi = Contact.objects.filter(workspace=here).order_by("external_id")

    def say(who, minute, *, is_yes, topic=""):
        at = NOW + timedelta(minutes=minute)
        said = Word("app_push", is_yes, "", "", at, contact_id=who.pk, topic=topic)
        consent.record(here, [said])

    say(asha, 1, is_yes=False, topic="news")
    say(ravi, 1, is_yes=False)
    say(ravi, 2, is_yes=True, topic="news")
    stopped = Contact.objects.filter(consent.opted_out("app_push"))
    assert [one.external_id for one in stopped] == ["ravi"]
    assert consent.holds(asha.consents.all(), "app_push") is None
    assert consent.holds(ravi.consents.all(), "app_push").status == "opted_out"


def test_outdated_looks_only_at_the_words_of_this_workspace_and_of_this_person(here, there):
    known(here, "asha")
    asha = Contact.objects.get(workspace=here, external_id="asha")
    known(there, "asha")
    consent.record(there, [word("asha", 9), word("ravi", 9)])
    consent.record(here, [word("meera", 9)])
    fresh = [word("ravi", 1), Word("app_push", True, "", "", NOW, contact_id=asha.pk)]
    assert consent.outdated(here, fresh) == set()
    consent.record(here, [word("asha", 2), word("ravi", 2)])
    assert consent.outdated(here, fresh) == set(fresh)


def test_a_word_of_the_same_moment_is_not_outdated(here):
    consent.record(here, [word("ravi", 1)])
    same = word("ravi", 1, is_yes=True)
    assert consent.outdated(here, [same]) == set()
    consent.record(here, [same])
    assert WaitingConsent.objects.get().status == "opted_in"


def test_a_word_about_a_contact_that_is_gone_is_dropped(here):
    known(here, "asha")
    gone = Contact.objects.get(external_id="asha")
    number = gone.pk
    gone.delete()
    consent.record(here, [Word("app_push", False, "", "", NOW, contact_id=number)])
    assert (told(here), waiting(here)) == ({}, {})


def selects(queries) -> list[str]:
    """The SELECTs from people and what they said."""
    tables = ("contact", "consent", "waitingconsent")
    read = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    return [sql for sql in read if any(f'FROM "campaigns_{name}"' in sql for name in tables)]


def test_what_a_few_words_read_does_not_grow_with_the_workspace(here, monkeypatch):
    known(here, "asha", "ravi")
    asha = Contact.objects.get(external_id="asha")
    consent.record(here, [word("meera", 1), word("kabir", 1)])
    known(here, "meera")
    monkeypatch.setattr(consent, "is_full", lambda workspace: True)
    words = [Word("app_push", False, "", "", NOW, contact_id=asha.pk), word("kabir", 2)]
    with CaptureQueriesContext(connection) as queries:
        consent.outdated(here, words)
        consent.record(here, [*words, word("ravi", 2)])
        consent.adopt(here, ["meera"])
    assert told(here) == {"asha": "", "ravi": "2", "meera": "1"}
    read = selects(queries)
    assert len(read) > 8
    assert [sql for sql in read if " IN (" not in sql] == []


def test_a_member_s_word_locks_its_person_before_what_stands_is_read(cast, here):
    known(here, "asha")
    asha = Contact.objects.get(external_id="asha")
    with CaptureQueriesContext(connection) as queries:
        consent.say(asha, "app_push", is_yes=False, by=cast.owner, now=NOW)
    assert told(here) == {"asha": "console"}
    assert AuditEntry.objects.get(action="consent changed").target == "asha"
    first = selects(queries)[0]
    assert 'FROM "campaigns_contact"' in first
    assert connection.vendor == "sqlite" or first.endswith("FOR NO KEY UPDATE")


def test_adopting_locks_the_contacts_before_the_words_that_wait(here):
    """As `record` does: in another order two workers would wait for each other."""
    consent.record(here, [word("asha", 1)])
    known(here, "asha")
    with CaptureQueriesContext(connection) as queries:
        consent.adopt(here)
    tables = [sql.split(' FROM "campaigns_')[1].split('"')[0] for sql in selects(queries)]
    assert tables[:4] == ["waitingconsent", "contact", "contact", "waitingconsent"]
