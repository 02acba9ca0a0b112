"""Who a campaign's audience is, which of them a gate stops, and on which platforms they are."""

import pytest

from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.models import Contact, Endpoint
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


def test_the_platforms_of_an_audience_are_those_of_the_devices_that_would_be_sent_to(people):
    assert selection.platforms(people, "app_push", INDIA) == {"ios"}
    assert selection.platforms(people, "app_push", {}) == {"ios", "android"}
    assert selection.platforms(people, "web_push", {}) == {"chrome"}


def test_the_platforms_of_a_workspace_are_those_of_its_active_devices(people):
    assert selection.known_platforms(people) == {"ios", "android", "chrome"}
    with every_workspace():
        Endpoint.objects.filter(value="meera android").update(is_active=False)
    assert selection.known_platforms(people) == {"ios", "chrome"}
