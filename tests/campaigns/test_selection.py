"""Who a campaign's audience is, which of them a gate stops, and on which platforms they are."""

import pytest
from django.utils import timezone

from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.models import Consent, Contact, Endpoint
from tenants.scope import every_workspace

INDIA = {"field": "country", "op": "is", "value": "IN"}


@pytest.fixture
def people(cast):
    """asha has an iPhone and a browser, ravi a retired Android phone, meera lives elsewhere with
    one, kabir has a phone of an unknown make, isha none; another workspace has a HarmonyOS one."""

    def person(workspace, name, country, *devices):
        contact = Contact.objects.create(workspace=workspace, external_id=name, country=country)
        for platform, fields in devices:
            Endpoint.objects.create(
                workspace=workspace,
                contact=contact,
                value=f"{name} {platform}",
                platform=platform,
                **fields,
            )

    with every_workspace():
        here = cast.workspace
        person(here, "asha", "IN", ("ios", {}), ("chrome", {"channel": "web_push"}))
        person(here, "ravi", "IN", ("android", {"is_active": False}))
        person(here, "meera", "DE", ("android", {}))
        person(here, "kabir", "IN", ("", {}))
        person(here, "isha", "IN")
        person(cast.other_workspace, "asha", "IN", ("harmony", {}))
        yield here


def test_a_row_for_each_device_of_the_channel_and_one_for_who_has_none(people):
    rows = selection.recipients(people, "app_push", INDIA)
    found = set(rows.values_list("external_id", "reached__platform", "reason"))
    assert found == {
        ("asha", "ios", Reason.PENDING),
        ("ravi", "android", Reason.ENDPOINT_INACTIVE),
        ("kabir", "", Reason.PENDING),
        ("isha", None, Reason.NO_ENDPOINT),
    }
    assert selection.forecast(people, "app_push", INDIA) == {
        Reason.PENDING: 2,
        Reason.ENDPOINT_INACTIVE: 1,
        Reason.NO_ENDPOINT: 1,
    }


def test_named_contacts_are_judged_alone_and_in_this_workspace_alone(cast, people):
    asked = Contact.objects.filter(external_id__in=["asha", "isha"])  # one of them elsewhere
    Consent.objects.bulk_create(
        Consent(
            workspace=one.workspace,
            contact=one,
            channel="app_push",
            status="opted_out",
            source="test",
            at=timezone.now(),
        )
        for one in Contact.objects.all()
    )

    def judged(**options) -> set[tuple[str, str | None, int]]:
        numbers = list(asked.values_list("pk", flat=True))
        rows = selection.named(people, "app_push", numbers, **options)
        return set(rows.values_list("external_id", "reached__platform", "reason"))

    assert asked.count() == 3
    assert judged(is_transactional=False) == {
        ("asha", "ios", Reason.UNSUBSCRIBED),
        ("isha", None, Reason.UNSUBSCRIBED),
    }
    assert judged(is_transactional=True) == {
        ("asha", "ios", Reason.PENDING),
        ("isha", None, Reason.NO_ENDPOINT),
    }


def test_the_platforms_of_an_audience_are_those_of_the_devices_that_would_be_sent_to(people):
    assert selection.platforms(people, "app_push", INDIA) == {"ios"}
    assert selection.platforms(people, "app_push", {}) == {"ios", "android"}
    assert selection.platforms(people, "web_push", {}) == {"chrome"}


def test_the_platforms_of_a_workspace_are_those_of_its_active_devices(people):
    assert selection.known_platforms(people) == {"ios", "android", "chrome"}
    with every_workspace():
        Endpoint.objects.filter(value="meera android").update(is_active=False)
    assert selection.known_platforms(people) == {"ios", "chrome"}
