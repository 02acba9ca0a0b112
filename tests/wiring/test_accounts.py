"""From sign-up to the console, and the way back in; the frame around it."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.db import InterfaceError, OperationalError
from django.test import Client

from campaigns.models import Campaign, Contact, Template
from tenants.api.security import Access
from tenants.models import Connection, User, Workspace
from tenants.scope import scope
from tenants.workspaces import create_workspace
from tests.pages import text

pytestmark = pytest.mark.once

PASSWORD = "a long and rare one 7"
SIGN_UP = {"full_name": "Noor Khan", "email": "noor@example.com", "password1": PASSWORD}


def link_in(mail) -> str:
    return re.search(r"https?://[^/]+(/\S+)", mail.body)[1]


def signed_up(mailoutbox) -> Client:
    client = Client()
    answer = client.post("/accounts/signup/", SIGN_UP, follow=True)
    assert "Check your mail" in text(answer)
    link = link_in(mailoutbox[-1])
    assert "noor@example.com" in text(client.get(link))
    client.post(link)
    client.post("/accounts/login/", {"login": "noor@example.com", "password": PASSWORD})
    return client


def test_from_sign_up_to_the_console_of_the_first_workspace(db, mailoutbox, sandbox):
    client = signed_up(mailoutbox)
    assert User.objects.get().full_name == "Noor Khan"
    welcome = client.get("/")
    assert "Welcome, Noor" in text(welcome)
    console = client.post("/", {"name": "FreshCart"}, follow=True)
    assert console.redirect_chain == [("/w/freshcart/admin/", 302)]
    assert "It starts with a sandbox, so nothing reaches real people." in text(console)
    assert "Sandbox" in text(console)
    with scope(Workspace.objects.get()):
        assert Connection.objects.get().is_sandbox


def test_a_workspace_is_made_even_when_the_sandbox_is_silent(db, mailoutbox, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    console = signed_up(mailoutbox).post("/", {"name": "FreshCart"}, follow=True)
    assert "Connect a sandbox or a provider under Settings before you send." in text(console)


def test_nobody_signs_in_before_the_address_is_confirmed(db, mailoutbox):
    client = Client()
    client.post("/accounts/signup/", SIGN_UP)
    client.post("/accounts/login/", {"login": "noor@example.com", "password": PASSWORD})
    assert client.get("/").headers["Location"].startswith("/accounts/login/")


def test_a_forgotten_password_is_replaced_by_mail(cast, mailoutbox):
    EmailAddress.objects.create(
        user=cast.owner, email=cast.owner.email, verified=True, primary=True
    )
    client = Client()
    answer = client.post("/accounts/password/reset/", {"email": cast.owner.email}, follow=True)
    assert "Check your mail" in text(answer)
    page = client.get(link_in(mailoutbox[-1]), follow=True)
    assert "Choose a new password" in text(page)
    done = client.post(
        page.redirect_chain[-1][0], {"password1": PASSWORD, "password2": PASSWORD}, follow=True
    )
    assert "Your password is changed" in text(done)
    assert Client().login(email=cast.owner.email, password=PASSWORD)


def test_an_address_without_an_account_gets_the_same_answer(db):
    answer = Client().post(
        "/accounts/password/reset/", {"email": "nobody@example.com"}, follow=True
    )
    assert "If there is an account with that address" in text(answer)


@pytest.mark.parametrize(
    "path",
    [
        "login/",
        "signup/",
        "inactive/",
        "confirm-email/",
        "confirm-email/bad/",
        "password/reset/",
        "password/reset/done/",
        "password/reset/key/1-bad/",
        "password/reset/key/done/",
        "3rdparty/login/cancelled/",
        "3rdparty/login/error/",
    ],
)
def test_the_entrance_has_our_look(db, path):
    shown = text(Client().get(f"/accounts/{path}"))
    assert 'class="pp-entrance"' in shown


@pytest.mark.parametrize(
    "path",
    [
        "profile/",
        "email/",
        "password/change/",
        "2fa/",
        "2fa/webauthn/",
        "sessions/",
        "logout/",
        "3rdparty/",
    ],
)
def test_the_account_pages_have_our_look_and_a_way_back(cast, path):
    shown = text(cast.client("owner").get(f"/accounts/{path}"))
    assert "Back to the console" in shown


def test_the_profile_changes_the_name_and_nothing_else(cast):
    cast.client("viewer").post(
        "/accounts/profile/", {"full_name": "Vik Das", "is_superuser": "1", "email": "x@y.zz"}
    )
    viewer = User.objects.get(pk=cast.viewer.pk)
    assert (viewer.full_name, viewer.is_superuser, viewer.email) == (
        "Vik Das",
        False,
        cast.viewer.email,
    )


def test_the_console_signs_out_by_post(cast):
    client = cast.client("owner")
    assert 'action="/accounts/logout/"' in text(client.get(cast.url()))
    client.post("/accounts/logout/")
    assert client.get(cast.url()).headers["Location"].startswith("/accounts/login/")


# --- errors ---------------------------------------------------------------------------------------
def test_a_missing_page_leads_back_to_the_workspace(cast):
    answer = cast.client("viewer").get(cast.url("nowhere/"))
    assert answer.status_code == 404
    assert "Back to Biddano Tech" in text(answer)


def test_a_refusal_says_what_the_role_may_not_do(cast):
    answer = cast.client("viewer").post(cast.url("tenants/connection/connect-sandbox/"))
    assert answer.status_code == 403
    assert "Your role may not do this: manage provider connections and api keys." in text(answer)


def test_a_stale_form_says_that_nothing_was_saved(cast):
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner, backend="tenants.access.EmailBackend")
    answer = client.post("/accounts/profile/", {"full_name": "X"})
    assert answer.status_code == 403
    assert "nothing was saved" in text(answer)


def test_a_crash_has_our_look(cast, monkeypatch):
    from tenants.admin.people.members import MembershipAdmin

    monkeypatch.setattr(MembershipAdmin, "get_queryset", lambda self, request: 1 / 0)
    client = cast.client("owner")
    client.raise_request_exception = False
    answer = client.get(cast.url("tenants/membership/"))
    assert answer.status_code == 500
    assert "Something broke on our side" in text(answer)


@pytest.mark.parametrize(
    "error", [OperationalError("deadlock detected"), InterfaceError("connection already closed")]
)
def test_a_database_that_does_not_answer_asks_for_patience(cast, monkeypatch, error):
    from tenants.admin.people.members import MembershipAdmin

    def busy(*args):
        raise error

    monkeypatch.setattr(MembershipAdmin, "get_queryset", busy)
    client = cast.client("owner")
    client.raise_request_exception = False
    answer = client.get(cast.url("tenants/membership/"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "try again" in text(answer)
    monkeypatch.setattr(Access, "__call__", busy)
    answer = client.get("/api/v1/workspaces")
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "5", "busy")


# --- the frame ------------------------------------------------------------------------------------
def links(response) -> set[str]:
    nav = text(response).split('id="nav-sidebar-apps"')[1].split("openUserLinks")[0]
    return set(re.findall(r'<a href="([^"]+)"', nav))


def test_the_sidebar_shows_each_role_what_it_may_view(cast):
    shown = {name: links(cast.client(name).get(cast.url())) for name in ("viewer", "owner")}
    assert cast.url("campaigns/campaign/") in shown["viewer"]
    assert cast.url("tenants/membership/") in shown["viewer"]
    hidden = {
        cast.url(f"tenants/{page}/") for page in ("connection", "apikey", "auditentry", "workspace")
    }
    assert not hidden & shown["viewer"]
    assert hidden <= shown["owner"]


def test_the_badge_counts_what_is_scheduled_or_running(inside):
    for status in ("scheduled", "running", "draft", "completed"):
        Campaign.objects.create(workspace=inside.workspace, name=status, status=status)
    shown = text(inside.client("viewer").get(inside.url()))
    badge = shown.split(">Campaigns</span>")[1].split("</span>")[0]
    assert badge.split(">")[-1].strip() == "2"


def test_home_is_the_last_workspace_seen(cast):
    create_workspace("Another", owner=cast.owner)
    client = cast.client("owner")
    assert client.get("/").headers["Location"] == "/w/another/admin/"
    client.get(cast.url())
    assert client.get("/").headers["Location"] == cast.url()


def test_the_switcher_lists_own_workspaces_only(cast):
    shown = text(cast.client("owner").get(cast.url()))
    assert "/?new" in shown
    assert cast.other_workspace.console_path not in shown


def test_the_palette_finds_rows_of_this_workspace_only_and_keeps_nothing(cast):
    for workspace in (cast.workspace, cast.other_workspace):
        with scope(workspace):
            Campaign.objects.create(workspace=workspace, name=f"Mango {workspace.name}")
            Contact.objects.create(
                workspace=workspace, external_id="m-1", attributes={"first_name": "Mangala"}
            )
            Template.objects.create(
                workspace=workspace,
                name=f"Mango {workspace.slug}",
                category="offer",
                fields={"title": "x"},
            )
    client = cast.client("viewer")
    shown = text(client.get(cast.url("search/?s=mang&extended=1")))
    assert "Mango Biddano Tech" in shown
    assert "Mango biddano-tech" in shown
    assert "Mangala" in shown
    assert "Elsewhere" not in shown
    assert "elsewhere" not in shown
    with scope(cast.workspace):
        Campaign.objects.all().delete()
    assert "Mango Biddano Tech" not in text(client.get(cast.url("search/?s=mang&extended=1")))


def test_the_palette_offers_a_new_campaign_to_who_may_write_one(cast):
    offered = cast.url("campaigns/campaign/add/")
    assert offered in text(cast.client("member").get(cast.url("search/?s=new&extended=1")))
    assert offered not in text(cast.client("viewer").get(cast.url("search/?s=new&extended=1")))


def test_the_platform_is_for_operators_only(cast):
    assert cast.client("owner").get("/platform/").status_code == 404
    operator = User.objects.create_superuser("root@push.test", "x")
    client = Client()
    client.force_login(operator, backend="tenants.access.EmailBackend")
    assert client.get("/platform/").status_code == 200
    assert Client().get("/platform/").headers["Location"] == "/accounts/login/?next=/platform/"


def test_an_empty_list_says_what_to_do(cast):
    shown = text(cast.client("owner").get(cast.url("tenants/apikey/")))
    assert "Connect your app" in shown
    assert "Select API key to change" not in shown


def test_a_search_without_result_offers_the_way_back(cast):
    assert "Show everything" in text(
        cast.client("owner").get(cast.url("tenants/membership/?q=zzz"))
    )
