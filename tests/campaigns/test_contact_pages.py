"""Contacts in the console: found, shown, never changed, their tokens never spelt out."""

from datetime import timedelta

from django.utils import timezone

from campaigns.models import Contact, Endpoint
from tenants.scope import scope


def test_contacts_are_listed_and_found_by_the_beginning_of_their_id(company):
    client = company.client("viewer")
    page = client.get(company.url("campaigns/contact/"))
    assert len(page.context["cl"].result_list) == 10
    assert "No device" in page.content.decode()
    for term, found in (("user-3", ["user-3"]), ("ser-3", []), ("user", 10)):
        rows = client.get(company.url(f"campaigns/contact/?q={term}")).context["cl"].result_list
        assert len(rows) == found if isinstance(found, int) else [row.external_id for row in rows] == found


def test_a_contact_s_page_shows_devices_consents_and_attributes_and_hides_the_token(company):
    with scope(company.workspace):
        contact = Contact.objects.get(external_id="user-7")
        Endpoint.objects.filter(contact=contact).update(is_active=False, retired_reason="UNREGISTERED")
    page = company.client("viewer").get(company.url(f"campaigns/contact/{contact.pk}/change/")).content.decode()
    retired = "Retired: App removed or token expired"
    for words in ("Name7", "user-7", retired, "Opted out", "app settings", "orders", "Pune"):
        assert words in page, words
    assert "token-of-user-7" not in page


def test_a_contact_was_last_seen_when_the_app_reported_it_or_a_device_registered(company):
    """Devices that were registered before a registration counted as a sign of life are counted too."""
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
    assert page.context["seen"] == page.context["devices"][0]["seen"] == "3\xa0days ago"


def test_contacts_cannot_be_changed_here(company):
    client = company.client("owner")
    assert client.get(company.url("campaigns/contact/add/")).status_code == 403
    with scope(company.workspace):
        pk = Contact.objects.first().pk
    assert client.post(company.url(f"campaigns/contact/{pk}/delete/"), {"post": "yes"}).status_code == 403
