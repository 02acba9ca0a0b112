"""Words about people who are not known yet: whose they are, who takes them, and what stays."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.contacts import consent
from campaigns.contacts.consent import Word
from campaigns.models import Consent, Contact, WaitingConsent
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
