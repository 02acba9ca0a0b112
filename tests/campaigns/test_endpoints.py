"""Device health: counted by age, platform and reason; what was silent for 270 days retired in
one step."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.messages import get_messages
from django.utils import timezone

from campaigns.admin.contact.devices import sentence
from campaigns.channels.push.channel import Push
from campaigns.contacts import endpoints
from campaigns.contacts.endpoints import QUIET
from campaigns.models import Contact, Endpoint
from tenants.models import AuditEntry
from tenants.scope import scope

NOW = timezone.now()
STALE = Push.stale_after


@pytest.fixture
def devices(cast):
    """Of each age two, one of them with notifications off; a browser; two retired ones; one of
    another workspace."""
    ages = {
        "fresh": timedelta(days=2),
        "quiet": QUIET + timedelta(hours=1),
        "stale": STALE + timedelta(hours=1),
    }
    for workspace in (cast.workspace, cast.other_workspace):
        with scope(workspace):
            owner = Contact.objects.create(workspace=workspace, external_id="asha")

            def add(value, owner=owner, workspace=workspace, **fields):
                fields = {"platform": "android", "last_seen_at": NOW, **fields}
                return Endpoint.objects.create(
                    workspace=workspace, contact=owner, value=value, **fields
                )

            for name, age in ages.items():
                add(f"{name}-on", last_seen_at=NOW - age)
                if workspace == cast.workspace:
                    add(f"{name}-off", last_seen_at=NOW - age, opted_in=False)
    with scope(cast.workspace):
        owner = Contact.objects.get(external_id="asha")
        for value, fields in {
            "browser": {"platform": "web", "channel": "web_push", "last_seen_at": NOW},
            "never-seen": {"platform": "android", "created_at": NOW - STALE - timedelta(days=1)},
            "just-made": {"platform": "android"},
            "gone-1": {"platform": "android", "is_active": False, "retired_reason": "UNREGISTERED"},
            "gone-2": {
                "platform": "android",
                "is_active": False,
                "retired_reason": "",
                "last_seen_at": NOW - STALE,
            },
        }.items():
            Endpoint.objects.create(workspace=cast.workspace, contact=owner, value=value, **fields)
    return cast


def test_health_counts_each_device_once_by_age_platform_and_reason(devices):
    with scope(devices.workspace):
        android, web = endpoints.health(devices.workspace, NOW)
        assert (
            sum(one.active + one.retired.total() for one in (android, web))
            == Endpoint.objects.count()
        )
    assert (android.fresh, android.quiet, android.stale, android.opted_out) == (3, 2, 3, 3)
    assert dict(android.retired) == {"UNREGISTERED": 1, "": 1}
    assert (web.channel, web.platform, web.active) == ("web_push", "web", 1)


def test_retiring_the_stale_touches_nothing_else_and_is_audited(devices):
    before = _states(devices.other_workspace)
    with scope(devices.workspace):
        assert endpoints.retire_stale(devices.workspace, by=devices.member, now=NOW) == 3
        retired = Endpoint.objects.filter(retired_reason=endpoints.STALE_REASON)
        assert set(retired.values_list("value", flat=True)) == {
            "stale-on",
            "stale-off",
            "never-seen",
        }
        assert set(retired.values_list("is_active", "retired_at")) == {(False, NOW)}
        assert Endpoint.objects.filter(is_active=True).count() == 6
        entry = AuditEntry.objects.get(action="devices retired")
        assert (entry.actor, entry.detail["devices"], entry.detail["reason"]) == (
            devices.member,
            3,
            "STALE_270_DAYS",
        )
        assert endpoints.retire_stale(devices.workspace, by=devices.member, now=NOW) == 0
        assert AuditEntry.objects.filter(action="devices retired").count() == 1, (
            "nothing done, nothing said"
        )
    assert _states(devices.other_workspace) == before


def test_a_great_many_are_retired_in_parts_and_the_page_says_that_there_are_more(
    devices, monkeypatch
):
    monkeypatch.setattr(endpoints, "CHUNK", 1)
    with scope(devices.workspace):
        # the time is up after the second part
        clock = iter([NOW, NOW, NOW, NOW + endpoints.RETIRING])
        with monkeypatch.context() as patch:
            patch.setattr(endpoints, "timezone", SimpleNamespace(now=lambda: next(clock)))
            assert endpoints.retire_stale(devices.workspace, by=devices.member, now=NOW) == 2
        assert AuditEntry.objects.get(action="devices retired").detail["devices"] == 2
    monkeypatch.setattr(endpoints, "retire_stale", lambda *args, **options: 2)
    answer = devices.client("member").post(devices.url("campaigns/contact/devices/retire/"))
    (told,) = get_messages(answer.wsgi_request)
    assert (told.level_tag, str(told).partition(" ")[0]) == ("warning", "2")


def _states(workspace):
    with scope(workspace):
        return list(
            Endpoint.objects.order_by("pk").values_list("value", "is_active", "retired_reason")
        )


def test_registering_undoes_it(devices):
    with scope(devices.workspace):
        endpoints.retire_stale(devices.workspace, by=devices.owner, now=NOW)
        later = NOW + timedelta(minutes=1)
        change = endpoints.register(
            devices.workspace, "asha", "app_push", "token", "stale-on", "android", later
        )
        back = Endpoint.objects.get(value="stale-on")
    assert change == "returned"
    assert (back.is_active, back.retired_at, back.retired_reason, back.last_seen_at) == (
        True,
        None,
        "",
        later,
    )


# --- the page -------------------------------------------------------------------------------------
def test_the_page_says_what_the_figures_mean_and_asks_with_the_count(devices):
    page = devices.client("member").get(devices.url("campaigns/contact/devices/")).content.decode()
    for words in (
        "5 of 9 devices in use (55.6 %)",
        "Retire 3 devices?",
        "App removed or token expired",
        "Web push",
    ):
        assert words in page, words
    viewer = (
        devices.client("viewer").get(devices.url("campaigns/contact/devices/")).content.decode()
    )
    assert "Retire 3 devices?" not in viewer
    assert "Your role may not retire devices" in viewer


def test_one_silent_device_is_spoken_of_as_one():
    said = sentence(endpoints.Health("", "", fresh=4_266, quiet=1))
    assert said.startswith("1 of 4,267 devices in use (< 0.1 %) has been silent for 30 days.")
    assert "(20.0 %) have been silent" in sentence(endpoints.Health("", "", fresh=8, quiet=2))


def test_the_button_retires_them_and_says_how_many(devices):
    url = devices.url("campaigns/contact/devices/retire/")
    assert devices.client("viewer").post(url).status_code == 403
    assert devices.client("member").get(url).status_code == 405
    answer = devices.client("member").post(url)
    (told,) = get_messages(answer.wsgi_request)
    assert (told.level_tag, str(told).partition(" ")[0]) == ("success", "3")
    (told,) = get_messages(devices.client("member").post(url).wsgi_request)
    assert told.level_tag == "info"


def test_an_empty_workspace_is_told_how_devices_come(cast):
    page = cast.client("viewer").get(cast.url("campaigns/contact/devices/")).content.decode()
    assert "No devices yet" in page
    assert "POST /api/v1/devices" in page


def test_the_page_counts_a_thousand_devices_with_as_many_queries_as_ten(
    devices, django_assert_max_num_queries
):
    client = devices.client("viewer")
    with django_assert_max_num_queries(8):
        client.get(devices.url("campaigns/contact/devices/"))
