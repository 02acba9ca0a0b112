"""Contacts in the console: found, shown, never changed, their tokens never spelt out."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.models import Consent, Contact, Endpoint
from tenants.models import AuditEntry
from tenants.scope import scope


def test_contacts_are_listed_and_found_by_the_beginning_of_their_id(company):
    client = company.client("viewer")
    page = client.get(company.url("campaigns/contact/"))
    assert len(page.context["cl"].result_list) == 10
    assert "No device" in page.content.decode()
    for term, found in (("user-3", ["user-3"]), ("ser-3", []), ("user", 10)):
        rows = client.get(company.url(f"campaigns/contact/?q={term}")).context["cl"].result_list
        assert (
            len(rows) == found
            if isinstance(found, int)
            else [row.external_id for row in rows] == found
        )


def test_a_contact_s_page_shows_devices_consents_and_attributes_and_hides_the_token(company):
    with scope(company.workspace):
        contact = Contact.objects.get(external_id="user-7")
        Endpoint.objects.filter(contact=contact).update(
            is_active=False, retired_reason="UNREGISTERED"
        )
    page = (
        company.client("viewer")
        .get(company.url(f"campaigns/contact/{contact.pk}/change/"))
        .content.decode()
    )
    retired = "Retired: App removed or token expired"
    for words in ("Name7", "user-7", retired, "Opted out", "app settings", "orders", "Pune"):
        assert words in page, words
    assert "token-of-user-7" not in page


def test_a_contact_was_last_seen_when_the_app_reported_it_or_a_device_registered(company):
    """Devices that were registered before a registration counted as a sign of life are counted
    too."""
    now = timezone.now()
    with scope(company.workspace):
        device = Endpoint.objects.get(value="token-of-user-3")
        Endpoint.objects.filter(pk=device.pk).update(last_seen_at=now - timedelta(days=3))
        Contact.objects.filter(external_id="user-4").update(last_seen_at=now - timedelta(days=4))
    client = company.client("viewer")
    rows = client.get(company.url("campaigns/contact/")).context["cl"].result_list
    seen = {row.external_id: row.seen_at and (now - row.seen_at).days for row in rows}
    assert (seen["user-3"], seen["user-4"], seen["user-9"]) == (3, 4, None)
    page = client.get(company.url(f"campaigns/contact/{device.contact_id}/change/"))
    assert page.context["seen"] == page.context["devices"][0]["seen"] == "3 days ago"


def say(company, who, contact, **post):
    return company.client(who).post(company.url(f"campaigns/contact/{contact.pk}/consent/"), post)


def holds(company, contact) -> dict[str, tuple[str, str, bool]]:
    page = company.client("viewer").get(company.url(f"campaigns/contact/{contact.pk}/change/"))
    return {
        line["channel"]: (line["row"].status, line["source"], line["by_all"])
        if line["row"]
        else None
        for line in page.context["consents"]
    }


def test_a_member_brings_somebody_back_and_takes_them_out_of_all_channels(company):
    with scope(company.workspace):
        contact = Contact.objects.get(external_id="user-7")
    assert holds(company, contact) == {
        "app_push": ("opted_out", "app settings", False), "web_push": None, "all": None,
    }  # fmt: skip
    say(company, "member", contact, channel="app_push", answer="opted_in")
    assert holds(company, contact)["app_push"] == ("opted_in", "Console", False)
    say(company, "member", contact, channel="all", answer="opted_out")
    out = ("opted_out", "Console", True)
    assert holds(company, contact) == {
        "app_push": out,
        "web_push": out,
        "all": ("opted_out", "Console", False),
    }
    with scope(company.workspace):
        row = Consent.objects.get(channel="all")
        assert (row.source, row.proof) == ("console", company.member.email)
        entries = AuditEntry.objects.filter(action="consent changed").order_by("pk")
        assert [(entry.actor, entry.target, entry.changes) for entry in entries] == [
            (company.member, "user-7", {"App push": ["opted_out", "opted_in"]}),
            (company.member, "user-7", {"All channels": [None, "opted_out"]}),
        ]


@pytest.mark.parametrize(
    "post", [{}, {"channel": "fax", "answer": "opted_in"}, {"channel": "all", "answer": "maybe"}]
)
def test_a_strange_answer_changes_nothing(company, post):
    with scope(company.workspace):
        contact = Contact.objects.get(external_id="user-7")
    assert say(company, "member", contact, **post).status_code == 302
    assert holds(company, contact)["app_push"] == ("opted_out", "app settings", False)


def test_a_viewer_reads_consent_and_does_not_change_it(company):
    with scope(company.workspace):
        contact = Contact.objects.get(external_id="user-7")
    assert say(company, "viewer", contact, channel="all", answer="opted_in").status_code == 403
    page = company.client("viewer").get(company.url(f"campaigns/contact/{contact.pk}/change/"))
    assert "/consent/" not in page.content.decode()


def test_contacts_cannot_be_changed_here(company):
    client = company.client("owner")
    assert client.get(company.url("campaigns/contact/add/")).status_code == 403
    with scope(company.workspace):
        pk = Contact.objects.first().pk
    assert (
        client.post(company.url(f"campaigns/contact/{pk}/delete/"), {"post": "yes"}).status_code
        == 403
    )
