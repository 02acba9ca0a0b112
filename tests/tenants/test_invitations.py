"""Inviting, accepting, and every way in which a link is refused."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from tenants import invitations
from tenants.limits import MAIL_AGAIN_AFTER
from tenants.models import AuditEntry, Invitation, Membership, User
from tenants.roles import Role
from tenants.scope import scope
from tenants.workspaces import ask_deletion, change_member, leave, transfer_ownership
from tests.pages import YES, text
from tests.tenants.invited import invited, is_member


def invite(cast, emails: str, role: str = "member", by: str = "admin"):
    return cast.client(by).post(
        cast.url("tenants/invitation/add/"), {"emails": emails, "role": role}, follow=True
    )


def mailed_link(mail) -> str:
    return re.search(r"https?://[^/]+(/invitations/\S+)", mail.body)[1]


def change(cast, **fields) -> None:
    with scope(cast.workspace):
        Invitation.objects.update(**fields)


def test_several_people_are_invited_at_once_and_each_gets_a_mail(cast, mailoutbox):
    shown = text(invite(cast, "Asha@freshcart.test, ravi@freshcart.test\nasha@freshcart.test"))
    assert [mail.to for mail in mailoutbox] == [["asha@freshcart.test"], ["ravi@freshcart.test"]]
    assert "Admin Rao invites you to Biddano Tech" in mailoutbox[0].subject
    assert shown.count("/invitations/") == 2
    with scope(cast.workspace):
        assert Invitation.objects.filter(sent_at__isnull=False).count() == 2
        assert AuditEntry.objects.filter(action="member invited", actor=cast.admin).count() == 2


def test_the_link_for_copying_is_shown_once_and_the_token_is_kept_as_a_fingerprint(
    cast, mailoutbox
):
    client = cast.client("admin")
    client.post(
        cast.url("tenants/invitation/add/"), {"emails": "asha@freshcart.test", "role": "member"}
    )
    shown = text(client.get(cast.url("tenants/invitation/created/")))
    token = re.search(r"/invitations/([\w-]+)/", shown)[1]
    assert "mailbox=" not in shown
    assert "/invitations/" not in text(
        client.get(cast.url("tenants/invitation/created/"), follow=True)
    )
    with scope(cast.workspace):
        assert token not in str(Invitation.objects.values().get())


@pytest.mark.parametrize(
    ("emails", "sentence"),
    [
        ("", "This field is required"),
        (" , ", "Enter at least one e-mail address"),
        ("asha@", "“asha@”: Enter a valid email address"),
        ("viewer@biddano.test", "Already in this workspace: viewer@biddano.test"),
        (
            ", ".join(f"a{n}@x.test" for n in range(21)),
            "You entered 21 addresses. Invite at most 20 at once.",
        ),
    ],
)
def test_bad_addresses_are_named_and_nobody_is_invited(cast, mailoutbox, emails, sentence):
    assert sentence in text(invite(cast, emails))
    assert mailoutbox == []


def test_an_admin_cannot_invite_an_owner_and_a_member_nobody(cast, mailoutbox):
    assert "Only an owner can make somebody an owner." in text(
        invite(cast, "asha@freshcart.test", "owner")
    )
    assert invite(cast, "asha@freshcart.test", by="member").status_code == 403
    assert mailoutbox == []


@pytest.mark.parametrize("by", ["member", "viewer", "outsider"])
def test_whoever_lost_the_right_after_the_door_invites_nobody(cast, mailoutbox, by):
    with (
        scope(cast.workspace),
        pytest.raises(ValidationError, match="You may not manage the members"),
    ):
        invitations.invite(
            cast.workspace, "x@y.test", Role.VIEWER, by=getattr(cast, by), now=timezone.now()
        )
    assert mailoutbox == []


def test_a_mail_that_cannot_be_sent_leaves_the_invitation_and_its_link(cast, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert "The invitation could not be mailed" in text(invite(cast, "asha@freshcart.test"))
    with scope(cast.workspace):
        assert Invitation.objects.get().sent_at is None


@pytest.mark.parametrize("backend", ["console", "filebased", "dummy"])
def test_an_invitation_is_mailed_only_if_a_mail_left_the_server(cast, settings, tmp_path, backend):
    settings.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    assert "no mail server" in text(cast.client("admin").get(cast.url("tenants/invitation/add/")))
    answer = invite(cast, "asha@freshcart.test")
    assert [(one["email"], one["mailed"]) for one in answer.context["sent"]] == [
        ("asha@freshcart.test", False)
    ]
    assert answer.context["sent"][0]["link"] in text(answer)
    assert "is on its way" not in text(answer)
    with scope(cast.workspace):
        assert Invitation.objects.get().sent_at is None


@pytest.mark.django_db(transaction=True)
def test_mails_go_when_the_transaction_is_over_and_the_page_knows_which_failed(cast, monkeypatch):
    seen = []

    def send(mail, *args):
        seen.append((*mail.to, connection.in_atomic_block))
        if mail.to == ["b@x.test"]:
            raise OSError("the mail server is away")

    monkeypatch.setattr("django.core.mail.EmailMultiAlternatives.send", send)
    shown = text(invite(cast, "a@x.test b@x.test"))
    with scope(cast.workspace):
        invitation = Invitation.objects.select_related("workspace").get(email="a@x.test")
        assert Invitation.objects.get(sent_at=None).email == "b@x.test"
    change(cast, sent_at=None)
    cast.client("admin").post(cast.url(f"tenants/invitation/{invitation.pk}/resend/"), YES)
    assert seen == [("a@x.test", False), ("b@x.test", False), ("a@x.test", False)]
    assert "The mail server did not accept the mail to b@x.test." in shown


def test_of_several_addresses_all_are_invited_or_none(cast, mailoutbox, monkeypatch):
    draft = invitations.draft

    def joins_meanwhile(workspace, email, role, **said):
        Membership.objects.get_or_create(workspace=workspace, user=cast.outsider)
        return draft(workspace, email, role, **said)

    monkeypatch.setattr(invitations, "draft", joins_meanwhile)
    answer = invite(cast, "a@x.test outsider@biddano.test")
    assert "Nobody was invited. outsider@biddano.test is already in this workspace." in text(answer)
    assert mailoutbox == []
    with scope(cast.workspace):
        assert not Invitation.objects.exists()


def test_an_inviter_who_is_demoted_in_between_gets_a_sentence(cast, mailoutbox, monkeypatch):
    draft = invitations.draft

    def demoted_meanwhile(workspace, email, role, *, by, now):
        Membership.objects.filter(user=by).update(role=Role.ADMIN)
        return draft(workspace, email, role, by=by, now=now)

    monkeypatch.setattr(invitations, "draft", demoted_meanwhile)
    answer = invite(cast, "a@x.test", "owner", by="owner")
    assert "Only an owner can make somebody an owner." in text(answer)
    assert mailoutbox == []


def test_an_existing_user_joins_with_the_role_of_the_invitation(cast):
    link = invited(cast)
    client = cast.client("outsider")
    assert "Join Biddano Tech" in text(client.get(link))
    assert client.post(link).headers["Location"] == cast.url()
    assert client.get(cast.url()).status_code == 200
    with scope(cast.workspace):
        joined = Membership.objects.get(user=cast.outsider)
        assert (joined.role, joined.invited_at) == ("member", Invitation.objects.get().invited_at)
        assert AuditEntry.objects.get(action="invitation accepted").actor == cast.outsider


def test_a_new_person_signs_up_from_the_mail_without_a_second_mail(cast, mailoutbox):
    invite(cast, "asha@freshcart.test")
    link, client = mailed_link(mailoutbox[0]), Client()
    page = text(client.get(link))
    sign_up = re.search(r'href="(/accounts/signup/\?[^"]+)"', page)[1].replace("&amp;", "&")
    form = text(client.get(sign_up))
    assert "asha@freshcart.test" in form
    answer = client.post(
        sign_up,
        {
            "full_name": "Asha Rao",
            "email": "asha@freshcart.test",
            "password1": "a long and rare one 7",
        },
    )
    assert answer.headers["Location"] == link.partition("?")[0]
    assert len(mailoutbox) == 1
    client.post(link)
    assert is_member(cast, User.objects.get(email="asha@freshcart.test"))


def test_the_copied_link_does_not_vouch_for_the_mailbox(cast, mailoutbox):
    """Else the inviter could make a verified account in the invited person's name."""
    client = Client()
    client.get(invited(cast, "asha@freshcart.test"))
    client.post(
        "/accounts/signup/",
        {
            "full_name": "Not Asha",
            "email": "asha@freshcart.test",
            "password1": "a long and rare one 7",
        },
    )
    assert not EmailAddress.objects.get(email="asha@freshcart.test").verified
    assert "_auth_user_id" not in client.session


def test_a_proof_of_another_link_does_not_count(cast):
    token = invited(cast, "asha@freshcart.test").split("/")[2]
    assert not invitations.proves_mailbox(token, invitations.proof_of("another"))
    assert invitations.proves_mailbox(token, invitations.proof_of(token))


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"expires_at": timezone.now() - timedelta(days=1)}, 410, "has expired. Ask for a new one"),
        ({"revoked_at": timezone.now()}, 410, "was withdrawn"),
        ({"accepted_at": timezone.now()}, 410, "was already accepted"),
    ],
)
def test_a_link_that_ended_says_so_and_changes_nothing(cast, fields, status, sentence):
    link = invited(cast)
    change(cast, **fields)
    answer = cast.client("outsider").post(link)
    assert (answer.status_code, sentence in text(answer)) == (status, True)
    assert not is_member(cast, cast.outsider)
    with scope(cast.workspace):
        assert (
            AuditEntry.objects.filter(action="invitation refused", actor=cast.outsider).count() == 1
        )


def test_a_link_works_once(cast):
    link = invited(cast)
    cast.client("outsider").post(link)
    with scope(cast.workspace):
        Membership.objects.get(user=cast.outsider).delete()
    assert cast.client("outsider").post(link).status_code == 410
    assert not is_member(cast, cast.outsider)


def _renew(cast, invitation) -> None:
    change(cast, sent_at=None)
    invitations.invite(
        cast.workspace, invitation.email, Role.VIEWER, by=cast.owner, now=timezone.now()
    )


def _withdraw(cast, invitation) -> None:
    invitations.revoke(invitation, by=cast.owner, now=timezone.now())


def _expire(cast, invitation) -> None:
    Invitation.objects.update(expires_at=timezone.now())


def _close(cast, invitation) -> None:
    ask_deletion(cast.workspace, by=cast.owner, now=timezone.now())


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [(_renew, "unknown"), (_withdraw, "revoked"), (_expire, "expired"), (_close, "unknown")],
)
@pytest.mark.parametrize("door", ["link", "waiting"])
def test_what_happens_to_an_invitation_while_it_is_being_accepted_counts(
    cast, monkeypatch, meanwhile, reason, door
):
    token = invited(cast).split("/")[2]
    join = invitations._join

    def late(invitation, user, now):
        with scope(cast.workspace):
            meanwhile(cast, invitation)
        return join(invitation, user, timezone.now())

    monkeypatch.setattr(invitations, "_join", late)
    with scope(cast.workspace):
        number = str(Invitation.objects.get().pk)
    accept, which = (
        (invitations.accept, token) if door == "link" else (invitations.accept_waiting, number)
    )
    with pytest.raises(invitations.InvitationRefused) as refused:
        accept(which, cast.outsider, timezone.now())
    assert refused.value.reason == reason
    assert not is_member(cast, cast.outsider)


@pytest.mark.skipif(
    connection.vendor == "sqlite",
    reason="the tests' SQLite in memory takes one connection at a time",
)
@pytest.mark.django_db(transaction=True)
def test_two_invitations_of_one_person_accepted_at_once_make_one_membership(cast):
    links = []
    for number in range(2):
        email = f"p{number}@x.test"
        EmailAddress.objects.create(
            user=cast.outsider, email=email, verified=True, primary=not number
        )
        links.append(invited(cast, email))
    clients = [cast.client("outsider") for _ in links]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(_accept_apart, clients, links))
    assert answers == [302, 302]
    assert is_member(cast, cast.outsider)


def _accept_apart(client: Client, link: str) -> int:
    try:
        return client.post(link).status_code
    finally:
        connections.close_all()


def test_somebody_else_s_invitation_is_refused_by_name(cast):
    link = invited(cast, "asha@freshcart.test")
    answer = cast.client("outsider").post(link)
    assert answer.status_code == 403
    assert "This invitation is for asha@freshcart.test" in text(answer)
    assert not is_member(cast, cast.outsider)


def test_an_address_that_was_not_verified_is_not_the_user_s(cast):
    EmailAddress.objects.create(
        user=cast.outsider, email="outsider@biddano.test", verified=True, primary=True
    )
    EmailAddress.objects.create(user=cast.outsider, email="asha@freshcart.test", verified=False)
    assert cast.client("outsider").post(invited(cast, "asha@freshcart.test")).status_code == 403


def test_an_unknown_link_and_one_of_a_closed_workspace_are_404(cast):
    link = invited(cast)
    with scope(cast.workspace):
        ask_deletion(cast.workspace, by=cast.owner, now=timezone.now())
    for path in (link, "/invitations/nonsense/"):
        assert cast.client("outsider").post(path).status_code == 404


def test_sending_again_ends_the_old_link(cast, mailoutbox):
    old = invited(cast)
    change(cast, sent_at=timezone.now() - MAIL_AGAIN_AFTER)
    with scope(cast.workspace):
        number = Invitation.objects.get().pk
    cast.client("admin").post(cast.url(f"tenants/invitation/{number}/resend/"), YES)
    assert cast.client("outsider").post(old).status_code == 404
    cast.client("outsider").post(mailed_link(mailoutbox[-1]))
    assert is_member(cast, cast.outsider)


def test_a_withdrawn_invitation_cannot_be_sent_again(cast):
    invited(cast)
    with scope(cast.workspace):
        number = Invitation.objects.get().pk
    client = cast.client("admin")
    client.post(cast.url(f"tenants/invitation/{number}/revoke/"), YES)
    answer = client.post(cast.url(f"tenants/invitation/{number}/resend/"), YES, follow=True)
    assert "This invitation is no longer open. Invite the person again." in text(answer)


def test_a_member_who_is_invited_again_keeps_the_role(cast):
    link = invited(cast)
    with scope(cast.workspace):
        Membership.objects.create(workspace=cast.workspace, user=cast.outsider, role=Role.VIEWER)
    cast.client("outsider").post(link)
    with scope(cast.workspace):
        assert Membership.objects.get(user=cast.outsider).role == Role.VIEWER


def _removed(cast) -> None:
    change_member(Membership.objects.get(user=cast.owner), "", by=cast.admin)


def _demoted(cast) -> None:
    change_member(Membership.objects.get(user=cast.owner), Role.MEMBER, by=cast.admin)


def _hands_over(cast) -> None:
    transfer_ownership(cast.workspace, cast.member, by=cast.owner)


def _leaves(cast) -> None:
    leave(cast.workspace, cast.owner)


@pytest.mark.parametrize(
    ("goes", "stays"),
    [(_removed, set()), (_demoted, set()), (_leaves, set()), (_hands_over, {"lower@x.test"})],
)
def test_invitations_that_the_inviter_could_not_give_any_more_end_with_the_role(cast, goes, stays):
    with scope(cast.workspace):
        change_member(Membership.objects.get(user=cast.admin), Role.OWNER, by=cast.owner)
        now = timezone.now()
        for email, role in (("second@evil.test", Role.OWNER), ("lower@x.test", Role.ADMIN)):
            invitations.invite(cast.workspace, email, role, by=cast.owner, now=now)
        invitations.invite(cast.workspace, "other@x.test", Role.OWNER, by=cast.admin, now=now)
        goes(cast)
        still_open = set(Invitation.objects.filter(revoked_at=None).values_list("email", flat=True))
        assert still_open == {"other@x.test"} | stays
        ended = AuditEntry.objects.filter(action="invitation revoked").values_list(
            "target", flat=True
        )
        assert set(ended) == {"second@evil.test", "lower@x.test"} - stays


def test_an_invitation_of_somebody_who_was_removed_lets_nobody_in(cast):
    link = invited(cast)
    with scope(cast.workspace):
        change_member(Membership.objects.get(user=cast.admin), Role.OWNER, by=cast.owner)
        _removed(cast)
    assert cast.client("outsider").post(link).status_code == 410
    assert not is_member(cast, cast.outsider)
