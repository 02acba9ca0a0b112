"""Invitations on the first page, and names that strangers read."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone

from tenants import invitations
from tenants.models import AuditEntry, Invitation, User, Workspace
from tenants.scope import scope
from tests.pages import text
from tests.tenants.invited import invited, is_member


def test_an_invitation_waits_on_the_first_page_and_is_joined_without_the_link(cast):
    newcomer = User.objects.create_user("new@biddano.test", "correct horse", full_name="New Rao")
    invited(cast, newcomer.email)
    client = Client()
    client.force_login(newcomer)
    assert "Owner Rao invites you. Role: Member" in text(client.get("/"))
    with scope(cast.workspace):
        number = Invitation.objects.get().pk
    answer = client.post("/invitations/", {"invitation": number})
    assert answer.headers["Location"] == cast.url()
    assert is_member(cast, newcomer)
    assert "You have no open invitation" in text(client.get("/invitations/"))


@pytest.mark.parametrize("guess", ["theirs", "", "x", "999999"])
def test_an_invitation_of_somebody_else_is_not_joined_by_its_number(cast, guess):
    invited(cast, "someone@biddano.test")
    with scope(cast.workspace):
        number = {"theirs": str(Invitation.objects.get().pk)}.get(guess, guess)
    answer = cast.client("outsider").post("/invitations/", {"invitation": number}, follow=True)
    assert "no longer open" in text(answer)
    assert not is_member(cast, cast.outsider)
    with scope(cast.workspace):
        assert not AuditEntry.objects.filter(action="invitation refused").exists()


def test_an_invitation_that_ended_is_not_joined_by_its_number_and_the_trail_says_who_tried(cast):
    invited(cast)
    with scope(cast.workspace):
        invitation = Invitation.objects.get()
        invitations.revoke(invitation, by=cast.owner, now=timezone.now())
    cast.client("outsider").post("/invitations/", {"invitation": invitation.pk})
    assert not is_member(cast, cast.outsider)
    with scope(cast.workspace):
        kept = AuditEntry.objects.get(action="invitation refused")
    assert (kept.target, kept.actor, kept.detail) == (
        cast.outsider.email,
        cast.outsider,
        {"reason": "unknown"},
    )


def test_an_address_that_is_not_confirmed_shows_no_invitation(cast):
    newcomer = User.objects.create_user("new@biddano.test", "correct horse")
    EmailAddress.objects.create(user=newcomer, email=newcomer.email, verified=False, primary=True)
    invited(cast, newcomer.email)
    client = Client()
    client.force_login(newcomer)
    assert "You have no open invitation" in text(client.get("/invitations/"))


def test_the_invitation_of_somebody_deactivated_ends_with_them(cast):
    link = invited(cast)
    User.objects.filter(pk=cast.owner.pk).update(is_active=False)
    client = cast.client("outsider")
    assert client.post(link).status_code == 410
    assert "You have no open invitation" in text(client.get("/invitations/"))
    assert not is_member(cast, cast.outsider)
    User.objects.filter(pk=cast.owner.pk).update(is_active=True)
    assert "Biddano Tech" in text(client.get("/invitations/"))


# --- names that strangers read --------------------------------------------------------------------
LINKS = [
    "https://evil.example/win",
    "evil.example",
    "www.evil.example",
    "pay me@evil.example",
    "evil。example",
]


@pytest.mark.parametrize("name", LINKS)
def test_no_name_is_a_link_in_a_mail_to_a_stranger(cast, mailoutbox, name):
    Workspace.objects.filter(pk=cast.workspace.pk).update(name=name)
    User.objects.filter(pk=cast.owner.pk).update(full_name=name)
    cast.client("owner").post(
        cast.url("tenants/invitation/add/"), {"emails": "new@example.com", "role": "member"}
    )
    (mail,) = mailoutbox
    for text_ in (mail.subject, mail.body, mail.alternatives[0].content):
        assert name not in text_
        assert not re.search(r"evil[.。]example|//evil|www\.evil|me@evil", text_)


def test_no_name_is_a_link_in_the_mail_to_an_added_address(cast, mailoutbox):
    User.objects.filter(pk=cast.member.pk).update(full_name=LINKS[0])
    EmailAddress.objects.create(
        user=cast.member, email=cast.member.email, verified=True, primary=True
    )
    client = cast.client("member")
    client.post("/accounts/reauthenticate/", {"password": "correct horse"})
    client.post("/accounts/email/", {"action_add": "", "email": "stranger@example.com"})
    assert f"({cast.member.email})" in mailoutbox[0].body
    assert "evil.example" not in mailoutbox[0].body


def test_names_with_a_dot_stay_readable(cast, mailoutbox):
    User.objects.filter(pk=cast.owner.pk).update(full_name="J. R. Rao")
    cast.client("owner").post(
        cast.url("tenants/invitation/add/"), {"emails": "new@example.com", "role": "member"}
    )
    assert mailoutbox[0].subject == "J. R. Rao invites you to Biddano Tech on PushPilot"
