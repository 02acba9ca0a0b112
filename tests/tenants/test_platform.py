"""The operators' site: who gets in, what they may do to users and workspaces, and what it leaves
in the history."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants import operators, workspaces
from tenants.models import AuditEntry, Membership, User, Workspace
from tenants.roles import Role
from tenants.scope import scope
from tenants.workspaces import add_member, create_workspace
from tests.cast import Cast
from tests.house.rows import rows_of
from tests.pages import YES, signed_in_now

PASSWORD = "correct horse"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass
class Platform:
    """An operator at work."""

    cast: Cast
    operator: User
    client: Client

    def get(self, path: str = "") -> str:
        response = self.client.get(f"/platform/{path}")
        assert response.status_code == 200, (path, response.status_code)
        return response.content.decode()

    def do(self, verb: str, row: User | Workspace, **form: str) -> str:
        """Press a button and answer its dialog. The page that follows."""
        noun = row._meta.model_name
        answer = self.client.post(
            f"/platform/tenants/{noun}/{row.pk}/{verb}/", {**YES, **form}, follow=True
        )
        return answer.content.decode()


@pytest.fixture
def platform(cast) -> Platform:
    cache.clear()
    operator = User.objects.create_superuser("root@push.test", PASSWORD, full_name="Root Rao")
    client = Client()
    signed_in_now(client, operator)
    return Platform(cast, operator, client)


def signed_in(user: User, **headers: str) -> Client:
    """A browser that came in by the front door."""
    EmailAddress.objects.get_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
    client = Client(headers={"user-agent": FIREFOX, **headers})
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert is_in(client)
    return client


def is_in(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


# --- getting in -----------------------------------------------------------------------------------
def test_an_operator_made_on_the_command_line_signs_in_at_once(db, monkeypatch, mailoutbox):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a long and rare one 7")
    call_command("createsuperuser", interactive=False, email="Root@Push.test", verbosity=0)
    client = Client()
    client.post(
        "/accounts/login/", {"login": "root@push.test", "password": "a long and rare one 7"}
    )
    assert client.get("/platform/").status_code == 200
    assert mailoutbox == []


def test_an_operator_without_a_workspace_lands_on_the_platform_and_may_still_create_one(platform):
    assert platform.client.get("/").headers["Location"] == "/platform/"
    assert "Name yours to begin" in platform.client.get("/?new").content.decode()
    assert "My workspaces" not in platform.get()
    own = create_workspace("Ours", owner=platform.operator)
    assert platform.client.get("/").headers["Location"] == own.console_path
    assert "My workspaces" in platform.get()
    assert 'href="/platform/"' in platform.client.get(own.console_path).content.decode()


def test_operators_do_not_enter_the_consoles_of_others(platform):
    assert platform.client.get(platform.cast.url()).status_code == 404


# --- users ----------------------------------------------------------------------------------------
def test_a_deactivated_user_is_out_at_once_and_old_sessions_stay_dead_after_reactivation(platform):
    member = platform.cast.member
    browser, phone = signed_in(member), signed_in(member)
    assert "is deactivated and signed out everywhere" in platform.do("deactivate", member)
    assert not is_in(browser)
    assert "can sign in again" in platform.do("reactivate", member)
    assert not is_in(browser)
    assert not is_in(phone)
    assert is_in(signed_in(member))


def test_ending_all_sessions_leaves_the_account_and_other_people_alone(platform):
    mine, theirs = signed_in(platform.cast.member), signed_in(platform.cast.viewer)
    assert "is signed out everywhere" in platform.do("end_sessions", platform.cast.member)
    assert (is_in(mine), is_in(theirs)) == (False, True)
    assert is_in(signed_in(platform.cast.member))


def test_one_session_can_be_ended(platform):
    kept, ended = signed_in(platform.cast.member), signed_in(platform.cast.member)
    row = UserSession.objects.get(session_key=ended.session.session_key)
    platform.client.post(f"/platform/usersessions/usersession/{row.pk}/end/", YES)
    assert (is_in(kept), is_in(ended)) == (True, False)


def test_a_reset_mail_goes_to_the_user_and_to_nobody_who_is_shut_out(platform, mailoutbox):
    member = platform.cast.member
    EmailAddress.objects.create(user=member, email=member.email, verified=True, primary=True)
    assert "The mail is on its way" in platform.do("send_password_reset", member)
    assert mailoutbox[0].to == [member.email]
    assert "/accounts/password/reset/key/" in mailoutbox[0].body
    operators.deactivate(member, by=platform.operator)
    assert "is deactivated. Reactivate them first." in platform.do("send_password_reset", member)
    assert len(mailoutbox) == 1


def test_a_reset_mail_that_did_not_leave_is_not_called_on_its_way(platform, settings):
    member = platform.cast.member
    EmailAddress.objects.create(user=member, email=member.email, verified=True, primary=True)
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert "on its way" not in platform.do("send_password_reset", member)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert "The mail server did not accept the mail" in platform.do("send_password_reset", member)


def test_who_alone_owns_a_workspace_is_deactivated_only_after_a_second_question(platform):
    owner = platform.cast.owner
    question = "Leave without an owner: Biddano Tech"
    assert question in platform.get(f"tenants/user/{owner.pk}/deactivate/")
    assert "Confirm this, or make somebody else an owner first." in platform.do("deactivate", owner)
    owner.refresh_from_db()
    assert owner.is_active
    assert question not in platform.get(f"tenants/user/{platform.cast.admin.pk}/deactivate/")
    with scope(platform.cast.workspace):
        workspaces.change_member(
            Membership.objects.get(user=platform.cast.admin), "owner", by=owner
        )
    assert question not in platform.get(f"tenants/user/{owner.pk}/deactivate/")
    User.objects.filter(pk=platform.cast.admin.pk).update(is_active=False)
    assert "is deactivated and signed out everywhere" in platform.do(
        "deactivate", owner, ownerless="on"
    )


def test_operators_are_made_and_removed_but_nobody_removes_or_deactivates_themselves(platform):
    admin, root = platform.cast.admin, platform.operator
    assert "is now an operator" in platform.do("make_operator", admin)
    assert platform.cast.client("admin").get("/platform/").status_code == 200
    assert "You cannot remove yourself as an operator" in platform.do("remove_operator", root)
    assert "You cannot deactivate yourself" in platform.do("deactivate", root)
    assert "is no longer an operator" in platform.do("remove_operator", admin)
    assert platform.cast.client("admin").get("/platform/").status_code == 404
    root.refresh_from_db()
    assert (root.is_superuser, root.is_active) == (True, True)


def test_of_two_operators_who_remove_each_other_the_second_is_refused(platform):
    other = User.objects.create_superuser("two@push.test", PASSWORD)
    operators.remove_operator(other, by=platform.operator)
    with pytest.raises(ValidationError, match="You are no longer an operator"):
        operators.remove_operator(platform.operator, by=other)


def test_somebody_who_is_shut_out_cannot_be_made_an_operator(platform):
    operators.deactivate(platform.cast.member, by=platform.operator)
    assert "is deactivated. Reactivate them first." in platform.do(
        "make_operator", platform.cast.member
    )
    assert not User.objects.get(pk=platform.cast.member.pk).is_superuser


def test_a_button_opened_but_not_confirmed_changes_nothing(platform):
    for verb in ("deactivate", "make_operator", "end_sessions", "send_password_reset"):
        assert (
            platform.client.get(
                f"/platform/tenants/user/{platform.cast.member.pk}/{verb}/"
            ).status_code
            == 200
        )
    member = User.objects.get(pk=platform.cast.member.pk)
    assert (member.is_active, member.is_superuser, LogEntry.objects.count()) == (True, False, 0)


def test_buttons_that_make_no_sense_are_not_offered(platform):
    shown = platform.get(f"tenants/user/{platform.operator.pk}/change/")
    assert ("Remove operator" in shown, "Deactivate" in shown) == (False, False)
    shown = platform.get(f"tenants/user/{platform.cast.member.pk}/change/")
    assert ("Make operator" in shown, "Remove operator" in shown, "Reactivate" in shown) == (
        True,
        False,
        False,
    )


def test_a_user_s_page_shows_how_they_sign_in_and_where_they_belong(platform):
    member = platform.cast.member
    signed_in(member)
    for kind in ("totp", "recovery_codes"):
        Authenticator.objects.create(user=member, type=kind, data={"secret": "s"})
    SocialAccount.objects.create(user=member, provider="google", uid="1", extra_data={})
    shown = platform.get(f"tenants/user/{member.pk}/change/")
    for words in (
        "Biddano Tech",
        "Member",
        "Firefox on Linux",
        "127.0.0.1",
        "Password, Google",
        "Verified",
    ):
        assert words in shown
    assert "Recovery codes, authenticator app" in shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=viewer", {"viewer"}),
        ("standing=deactivated", {"admin"}),
        ("standing=operator", {"root"}),
        ("provider=google", {"owner"}),
        ("seen=recent", {"member"}),
        ("seen=never", {"owner", "admin", "viewer", "outsider", "other_owner", "root"}),
    ],
)
def test_users_are_found_by_name_and_narrowed_by_filters(platform, query, found):
    User.objects.filter(email__startswith="admin").update(is_active=False)
    User.objects.filter(email__startswith="owner").update(auth_provider="google")
    signed_in(platform.cast.member)
    User.objects.filter(pk=platform.operator.pk).update(last_login=None)
    shown = platform.get(f"tenants/user/?{query}").split('id="result_list"')[1]
    people = ("owner", "admin", "member", "viewer", "outsider", "other_owner", "root")
    assert {name for name in people if f"{name}@" in shown} == found


# --- workspaces -----------------------------------------------------------------------------------
def test_a_deletion_is_undone_by_an_operator_until_its_day_has_come(platform):
    workspace, now = platform.cast.workspace, timezone.now()
    assert "Undo deletion" not in platform.get(f"tenants/workspace/{workspace.pk}/change/")
    assert "There is nothing to undo" in platform.do("undo_deletion", workspace)
    with scope(workspace):
        workspaces.ask_deletion(workspace, by=platform.cast.owner, now=now)
    assert "In 6 days" in platform.get("tenants/workspace/?closing=yes")
    shown = platform.get(f"tenants/workspace/{workspace.pk}/change/")
    assert ("Undo deletion" in shown, "its data will be deleted in 6 days" in shown) == (True, True)
    assert platform.cast.client("owner").get(platform.cast.url()).status_code == 404
    assert "Biddano Tech is back" in platform.do("undo_deletion", workspace)
    assert platform.cast.client("owner").get(platform.cast.url()).status_code == 200
    with scope(workspace):
        entry = AuditEntry.objects.latest("pk")
    assert (entry.actor_label, entry.action) == ("Operator Root Rao", "workspace deletion undone")
    Workspace.objects.filter(pk=workspace.pk).update(deletion_due_at=now)
    assert "is being deleted now" in platform.get(f"tenants/workspace/{workspace.pk}/change/")
    assert "There is nothing to undo" in platform.do("undo_deletion", workspace)


def test_a_workspace_s_page_has_figures_and_people_but_nothing_of_what_it_holds(platform):
    rows_of(platform.cast.workspace)
    for path in ("tenants/workspace/", f"tenants/workspace/{platform.cast.workspace.pk}/change/"):
        shown = platform.get(path)
        assert "Biddano Tech" in shown
        for content in (
            "Diwali offer",
            "20% off",
            "asha",
            "Asha",
            "sbx_ok",
            "event-1",
            "service_account",
        ):
            assert content not in shown, content
    for words in ("Member Rao", "Sandbox", "Not tested", "Contacts"):
        assert words in shown


# --- the history ----------------------------------------------------------------------------------
def test_the_history_says_who_did_what_from_where_and_nobody_changes_it(platform):
    platform.do("deactivate", platform.cast.member)
    entry = LogEntry.objects.get()
    shown = platform.get("admin/logentry/")
    for words in ("Root Rao", "Deactivated", "Member Rao", "127.0.0.1"):
        assert words in shown
    assert "Deactivated" in platform.get(f"tenants/user/{platform.cast.member.pk}/change/")
    for path in ("add/", f"{entry.pk}/change/", f"{entry.pk}/delete/"):
        assert (
            platform.client.post(f"/platform/admin/logentry/{path}", {"post": "yes"}).status_code
            == 403
        )
    assert LogEntry.objects.filter(pk=entry.pk).exists()


def test_what_a_verb_refuses_is_not_in_the_history(platform):
    platform.do("deactivate", platform.operator)
    assert not LogEntry.objects.exists()


def test_an_entry_of_another_hand_is_still_readable():
    entry = LogEntry(action_flag=2, change_message="[]")
    assert operators.told(entry)["did"]
    assert (
        operators.told(LogEntry(action_flag=2, change_message="Renamed it"))["did"] == "Renamed it"
    )


# --- lists stay cheap -----------------------------------------------------------------------------
def test_the_lists_take_as_many_queries_for_a_page_as_for_one_row(platform):
    paths = (
        "tenants/user/",
        "tenants/workspace/",
        "usersessions/usersession/",
        "account/emailaddress/",
    )

    def counted(path: str) -> int:
        platform.get(path)
        with CaptureQueriesContext(connection) as queries:
            platform.get(path)
        return len(queries)

    signed_in(platform.cast.member)
    before = {path: counted(path) for path in paths}
    for number in range(24):
        user = User.objects.create_user(f"u{number}@biddano.test", PASSWORD)
        EmailAddress.objects.create(user=user, email=user.email)
        UserSession.objects.create(
            user=user, ip="127.0.0.1", session_key=f"k{number}", user_agent=FIREFOX
        )
        add_member(
            create_workspace(f"Team {number}", owner=user), platform.cast.member, Role.MEMBER
        )
    assert {path: counted(path) for path in paths} == before
    assert before["tenants/user/"] <= 9
    assert before["tenants/workspace/"] <= 13


# --- words ----------------------------------------------------------------------------------------
def test_no_page_speaks_django(platform):
    with scope(platform.cast.workspace):
        assert Membership.objects.exists()
    for path in ("tenants/user/", "tenants/workspace/", "admin/logentry/", "django_q/schedule/"):
        shown = platform.get(path)
        assert "to change" not in shown
        assert "to view" not in shown
