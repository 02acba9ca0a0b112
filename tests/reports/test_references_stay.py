"""A reference of a message is shown to people who may send: with a public write key it changes
its person's consent."""

from __future__ import annotations

import pytest

from campaigns.models import Contact
from pushpilot.lib.signing import hide_references
from reports.models import Event
from tenants.scope import scope
from tests.reports.made import make_sent

ROLES = ("owner", "admin", "member", "viewer")


@pytest.mark.parametrize("role", ROLES)
def test_the_events_page_shows_ids_that_hold_a_reference_to_people_who_may_send(cast, sdk, role):
    sent = make_sent(cast.workspace)
    ref = sent.ref()
    sdk.post_and_digest(
        {
            "event_id": f"{ref}:opened",
            "type": "opened",
            "ref": ref,
            "metadata": {"push": ref, "all": [ref]},
        }
    )
    with scope(cast.workspace):
        event = Event.objects.get()
    client = cast.client(role)
    for address in ("reports/event/", f"reports/event/{event.pk}/change/"):
        answer = client.get(cast.url(address))
        assert answer.status_code == 200
        assert (ref in answer.content.decode()) is (role != "viewer"), address


@pytest.mark.parametrize("role", ROLES)
def test_the_proof_of_a_consent_names_its_event_without_the_reference(cast, sdk, role):
    sent = make_sent(cast.workspace)
    ref = sent.ref()
    sdk.post_and_digest({"event_id": f"{ref}:unsubscribed", "type": "unsubscribed", "ref": ref})
    with scope(cast.workspace):
        contact = Contact.objects.get(pk=sent.contacts[0].pk)
    page = cast.client(role).get(cast.url(f"campaigns/contact/{contact.pk}/change/"))
    assert "event (ref):unsubscribed" in {line["proof"] for line in page.context["consents"]}
    assert f"{ref}:" not in page.content.decode()


def test_references_on_phones_outlive_a_new_secret_key_for_as_long_as_the_old_one_is_known(
    cast, sdk, settings
):
    ref, old = make_sent(cast.workspace).ref(), settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new key " * 6, [old]
    assert sdk.post({"event_id": "1", "type": "opened", "ref": ref}).json()["ignored"] == []
    assert hide_references(ref) == "(ref)"
    settings.SECRET_KEY_FALLBACKS = []
    (ignored,) = sdk.post({"event_id": "2", "type": "opened", "ref": ref}).json()["ignored"]
    assert ignored["code"] == "ref_unknown"


def test_only_real_references_are_hidden(cast):
    ref = make_sent(cast.workspace).ref()
    forged = ref[:-1] + ("A" if ref[-1] != "A" else "B")
    assert hide_references(f"a {ref}, ({ref}):opened") == "a (ref), ((ref)):opened"
    for text in (forged, "1.2.3.4", "version 10.0.0.1.abcdefghijkl", ""):
        assert hide_references(text) == text
