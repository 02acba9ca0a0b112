import re
import time
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.utils import timezone

from campaigns import plan
from campaigns.models import Contact, Endpoint
from delivery import connections
from delivery.admin import wall
from delivery.providers.fcm import sandbox_client
from pushpilot.lib.signing import read_reference, sign_reference
from reports.models import Event, InboxBatch
from reports.tasks import digest
from tenants import keys, workspaces
from tenants.models import ApiKey, AuditEntry, Connection, Membership, User
from tenants.scope import scope
from tests.providers.portal import PAGES, portal
from tests.story import add_people, run_to_the_end, write_campaign

RECEIVED = "campaigns/run/phone-wall/received/"
KEY = "campaigns/run/phone-wall/key/"
ROLES = ("owner", "admin", "member", "viewer")


@pytest.fixture(autouse=True)
def _fresh_process():
    sandbox_client._tokens.clear()
    keys.forget_all()


@pytest.fixture
def send(cast, connected, settings):
    """A function that sends a campaign to the workspace's people."""
    settings.SEND_UNDO = timedelta()

    def sent(**fields):
        campaign = write_campaign(cast.workspace, **fields)
        with scope(cast.workspace):
            run = plan.schedule(campaign, by=cast.owner, now=timezone.now())
        return run_to_the_end(run)

    return sent


def received(cast, who="viewer", **query):
    return cast.client(who).get(cast.url(RECEIVED), query)


def wall_page(cast, who="owner"):
    return cast.client(who).get(cast.url("campaigns/run/phone-wall/"))


def test_the_wall_shows_what_the_phones_received(cast, send):
    add_people(cast.workspace, 4)
    send(
        deep_link="https://biddano.test/offers",
        image_url="https://biddano.test/sale.png",
        options={
            "buttons": [{"text": "Shop now", "url": "https://biddano.test/shop"}, {"text": "Later"}]
        },
    )
    answer = received(cast).json()
    assert len(answer["messages"]) == 4
    one = next(message for message in answer["messages"] if message["phone"]["name"] == "Ravi")
    assert one["title"] == "Hello Ravi"
    assert one["body"] == "Twenty per cent off today."
    assert one["link"] == "https://biddano.test/offers"
    assert one["image"] == "https://biddano.test/sale.png"
    assert [button["text"] for button in one["buttons"]] == ["Shop now", "Later"]
    assert one["phone"]["platform"] == "android"
    assert "sbx_ok" not in str(answer), "a device token is nobody's to read"


def test_a_reference_is_handed_to_people_who_may_send_and_to_nobody_else(cast, send):
    """With a public write key a reference changes the consent of its person."""
    add_people(cast.workspace, 2)
    send()
    refs = {
        who: [one.get("ref") for one in received(cast, who).json()["messages"]] for who in ROLES
    }
    assert all(read_reference(ref, 4) for who in ("owner", "admin", "member") for ref in refs[who])
    assert refs["viewer"] == [None, None]
    body = received(cast, "viewer").content.decode()
    assert not any(ref in body for ref in refs["member"])


def test_a_viewer_s_wall_tells_messages_apart_by_an_id_that_is_worth_nothing_elsewhere(
    cast, send, client
):
    add_people(cast.workspace, 2)
    send()
    first, again = received(cast).json()["messages"], received(cast).json()["messages"]
    ids = [one["id"] for one in first]
    assert len(set(ids)) == 2
    assert all(ids)
    mine = cast.client("viewer")
    watched = [
        [one["id"] for one in mine.get(cast.url(RECEIVED)).json()["messages"]] for _ in range(2)
    ]
    assert watched[0] == watched[1], "a second look finds the same notifications"
    assert not set(watched[0]) & {one["id"] for one in again}, (
        "another session knows them by other ids"
    )
    assert (
        ask(wall_key(cast), client, {"event_id": "a", "type": "opened", "ref": ids[0]}).status_code
        == 422
    )


def test_the_wall_follows_the_log_from_where_it_was(cast, send):
    add_people(cast.workspace, 3)
    send()
    first = received(cast).json()
    assert received(cast, after=first["last"]).json()["messages"] == []
    send(name="Second")
    second = received(cast, after=first["last"]).json()
    assert len(second["messages"]) == 3
    assert min(message["seq"] for message in second["messages"]) > first["last"]


def test_a_log_that_began_anew_is_read_from_its_beginning(cast, send):
    add_people(cast.workspace, 2)
    send()
    ahead = received(cast).json()["last"] + 1_000_000
    assert len(received(cast, after=ahead).json()["messages"]) == 2


def test_a_long_log_comes_in_pages(cast, send, monkeypatch):
    monkeypatch.setattr(wall, "PAGE_MESSAGES", 4)
    add_people(cast.workspace, 10)
    start = received(cast).json()["last"]
    send()
    seen, after = [], start
    for _ in range(4):
        page = received(cast, after=after).json()
        seen += [message["seq"] for message in page["messages"]]
        after = page["last"]
        if not page["more"]:
            break
    assert len(seen) == len(set(seen)) == 10


def test_a_phone_of_nobody_is_counted_but_not_shown(cast, send):
    add_people(cast.workspace, 2)
    send()
    with scope(cast.workspace):
        Contact.objects.get(external_id="user-0").delete()
    found = received(cast).json()["messages"]
    assert sorted(message["phone"] is None for message in found) == [False, True]


@pytest.mark.parametrize("after", ["x", "-1", "9" * 40, "1; DROP", "\u0663"])
def test_a_strange_place_is_the_newest(cast, connected, after):
    assert received(cast, after=after).status_code == 200


def test_an_access_token_is_minted_once_and_again_when_it_is_refused(cast, connected, monkeypatch):
    minted = []
    mint = sandbox_client.FcmAccount.mint
    monkeypatch.setattr(
        sandbox_client.FcmAccount, "mint", lambda account: minted.append(1) or mint(account)
    )
    for _ in range(3):
        assert received(cast).status_code == 200
    assert len(minted) == 1
    ((key, held),) = sandbox_client._tokens.items()
    sandbox_client._tokens[key] = sandbox_client.AccessToken(
        "ya29.of-another-sandbox", held.expires_at
    )
    assert received(cast).status_code == 200
    assert len(minted) == 2


# --- without a sandbox ----------------------------------------------------------------------------
def test_a_silent_sandbox_is_a_sentence_and_not_an_error_page(cast, connected, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    answer = received(cast)
    assert answer.status_code == 503
    assert answer.json()["problem"] == (
        "The sandbox at http://127.0.0.1:9 does not answer. Start it with `manage.py sandbox`."
    )
    assert wall_page(cast).status_code == 200, "the page itself needs no sandbox"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_in_the_sandboxs_place_is_a_silent_sandbox(cast, connected, settings, page):
    with portal(page) as settings.SANDBOX_URL:
        assert received(cast).status_code == 503
        with pytest.raises((connections.SandboxUnreachable, ValueError)):
            connections.connect_sandbox(cast.workspace, by=cast.owner)


def test_a_sandbox_that_lost_its_memory_says_what_to_do(cast, connected, sandbox):
    stranger = sandbox.key_file("somebody-else").replace(
        "somebody-else", connected.settings["project_id"]
    )
    with scope(cast.workspace):
        connections.store_account(connected, stranger)
    answer = received(cast)
    assert answer.status_code == 503
    assert "Connect the sandbox again" in answer.json()["problem"]


@pytest.mark.parametrize("change", [{"is_active": False}, {"provider": "fcm"}])
def test_without_an_active_sandbox_the_wall_explains_itself(cast, connected, change):
    with scope(cast.workspace):
        Connection.objects.update(**change)
    html = wall_page(cast).content.decode()
    assert "do not go through the sandbox" in html
    assert "wall.js" not in html
    assert received(cast).status_code == 409
    assert (
        "An owner or admin of the workspace can connect it"
        in wall_page(cast, "viewer").content.decode()
    )
    offers = "connect-sandbox/" in html
    assert offers == (change == {"is_active": False}), (
        "one click here must not switch real phones off"
    )


def test_unreadable_credentials_are_a_sentence(cast, connected):
    with scope(cast.workspace):
        Connection.objects.filter(pk=connected.pk).update(sealed="")
    answer = received(cast)
    assert answer.status_code == 503
    assert "The credentials of the sandbox cannot be used" in answer.json()["problem"]


# --- the write key and the events -----------------------------------------------------------------
def ask(key, client, *events):
    body = {"batch": list(events) or [{"event_id": "a", "type": "custom"}]}
    headers = {"Authorization": f"Bearer {key}"}
    return client.post("/api/v1/events", body, content_type="application/json", headers=headers)


def wall_key(cast, who="member"):
    key = cast.client(who).post(cast.url(KEY)).json()["key"]
    assert key.startswith("pp_test_")
    return key


def test_an_open_wall_makes_no_key_and_leaves_no_trail(cast, connected):
    with scope(cast.workspace):
        before = AuditEntry.objects.count()
        assert wall_page(cast).status_code == 200
        wall_key(cast)
        assert (ApiKey.objects.count(), AuditEntry.objects.count()) == (0, before)


@pytest.mark.parametrize("end", ["removed", "deactivated", "viewer", "workspace closed", "an hour"])
def test_the_walls_key_dies_with_its_members_right(cast, connected, client, end, monkeypatch):
    key = wall_key(cast)
    assert ask(key, client).json()["code"] == "no_event_acceptable", (
        "it opens the door, and no event is of the sandbox"
    )
    with scope(cast.workspace):
        membership = Membership.objects.get(user=cast.member)
        if end == "removed":
            workspaces.change_member(membership, "", by=cast.owner)
        elif end == "viewer":
            workspaces.change_member(membership, "viewer", by=cast.owner)
        elif end == "deactivated":
            User.objects.filter(pk=cast.member.pk).update(is_active=False)
        elif end == "workspace closed":
            workspaces.ask_deletion(cast.workspace, by=cast.owner, now=timezone.now())
        else:
            later = time.time() + 3601
            monkeypatch.setattr(time, "time", lambda: later)
    assert ask(key, client).status_code == 401


@pytest.mark.parametrize("change", ["workspace", "user", "cut", "plain"])
def test_a_walls_key_cannot_be_invented(cast, connected, client, change):
    key = wall_key(cast)
    forged = {
        "workspace": keys.page_key(cast.member, cast.other_workspace),
        "user": keys.page_key(cast.viewer, cast.workspace),
        "cut": key[:-1],
        "plain": "pp_test_page.",
    }[change]
    assert ask(forged, client).status_code == 401


def test_the_keys_that_walls_made_before_are_revoked_and_no_others(cast):
    with scope(cast.workspace):
        for name, mode in (("Phone wall", "test"), ("Phone wall", "live"), ("App", "test")):
            keys.create(ApiKey(workspace=cast.workspace, name=name, mode=mode), by=cast.member)
    import_module("tenants.migrations.0011_phone_wall_keys_end").revoke(apps, None)
    with scope(cast.workspace):
        left = ApiKey.objects.filter(revoked_at=None).values_list("name", "mode")
        assert sorted(left) == [("App", "test"), ("Phone wall", "live")]


def test_the_walls_key_may_report_events_and_nothing_else(cast, connected, client):
    headers = {"Authorization": f"Bearer {wall_key(cast)}"}
    assert client.get("/api/v1/workspace", headers=headers).status_code == 403
    assert (
        client.post(
            "/api/v1/devices", {}, content_type="application/json", headers=headers
        ).status_code
        == 403
    )


def test_watching_is_for_everybody_and_tapping_for_members(cast, connected):
    assert cast.client("viewer").post(cast.url(KEY)).status_code == 403
    html = wall_page(cast, "viewer").content.decode()
    assert "You can watch" in html
    assert "data-tap-some" not in html
    assert cast.client("owner").get(cast.url(KEY)).status_code == 405
    for path in ("campaigns/run/phone-wall/", RECEIVED, KEY):
        assert cast.client("outsider").get(cast.url(path)).status_code == 404
        assert cast.client("anonymous").get(cast.url(path)).status_code == 302


def test_a_tap_posts_what_an_sdk_posts_and_counts_once(cast, send, client):
    add_people(cast.workspace, 1)
    run = send()
    ref = received(cast, "owner").json()["messages"][0]["ref"]
    key = cast.client("owner").post(cast.url(KEY)).json()["key"]
    events = [
        {"event_id": f"{ref}:{kind}", "type": kind, "ref": ref, "occurred_at": timezone.now().isoformat(),
         "metadata": {"platform": "android", "source": "phone wall"}}
        for kind in ("delivered", "opened")
    ]  # fmt: skip
    for _ in range(2):  # two walls are open
        answer = client.post(
            "/api/v1/events",
            {"batch": events, "sent_at": timezone.now().isoformat()},
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 202, answer.content
        assert answer.json()["accepted"] == 2
    digest()
    with scope(cast.workspace):
        assert not InboxBatch.objects.exists()
        assert sorted(Event.objects.values_list("type", "run_id")) == [
            ("delivered", run.pk),
            ("opened", run.pk),
        ]


def test_idle_phones_hang_on_the_wall_before_anything_arrives(cast, connected):
    add_people(cast.workspace, 25)
    with scope(cast.workspace):
        first = Endpoint.objects.order_by("pk").first()
        Endpoint.objects.filter(pk=first.pk).update(opted_in=False)
    idle = wall_page(cast).context["idle"]
    assert len(idle) == wall.PHONES_SHOWN
    assert first.pk not in {phone["id"] for phone in idle}


def test_what_a_message_says_cannot_leave_its_phone(cast, send):
    """Texts travel as JSON and are drawn as text; an image that turns out to be no https address
    is left out."""
    add_people(cast.workspace, 1)
    with scope(cast.workspace):
        Contact.objects.update(attributes={"picture": "http://tracker.test/pixel.png"})
    send(
        title="<script>alert(1)</script>",
        image_url="{{ picture | default: 'https://shop.test/a.png' }}",
    )
    answer = received(cast)
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["messages"][0]["image"] == ""


# --- references to try out ------------------------------------------------------------------------
def copied(html: str) -> list[str]:
    """The texts that the page's copy buttons copy."""
    marks = re.findall(r'data-copy="#(ref-\d+)"', html)
    return [re.search(rf'id="{mark}">([^<]+)<', html)[1] for mark in marks]


@pytest.mark.parametrize("role", ROLES)
def test_a_reference_to_try_out_is_copied_from_recipients_and_contact_by_people_who_may_send(
    cast, send, role
):
    add_people(cast.workspace, 2, tokens=["sbx_ok_1", "sbx_unregistered_2"])
    send(name="Older")
    run = send()
    with scope(cast.workspace):
        message = run.messages.get(contact__external_id="user-0")
        other = Contact.objects.get(external_id="user-1")
    ref = sign_reference(cast.workspace.pk, run.campaign_id, run.pk, message.pk)
    expected = [] if role == "viewer" else [ref]
    client = cast.client(role)
    recipients = client.get(cast.url(f"campaigns/run/{run.pk}/recipients/"))
    assert copied(recipients.content.decode()) == expected, "one that was not accepted has none"
    contact = client.get(cast.url(f"campaigns/contact/{message.contact_id}/change/"))
    assert copied(contact.content.decode()) == expected, "of the newest message"
    assert (
        copied(client.get(cast.url(f"campaigns/contact/{other.pk}/change/")).content.decode()) == []
    )
    assert ('data-copy="#tapped-ref"' in wall_page(cast, role).content.decode()) is (
        role != "viewer"
    )


def test_no_export_holds_a_reference(cast, send):
    add_people(cast.workspace, 1)
    run = send()
    answer = cast.client("owner").get(cast.url(f"campaigns/run/{run.pk}/recipients.csv"))
    csv = b"".join(answer).decode()
    with scope(cast.workspace):
        message = run.messages.get()
    assert "user-0" in csv
    assert sign_reference(cast.workspace.pk, run.campaign_id, run.pk, message.pk) not in csv
