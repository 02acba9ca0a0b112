"""How many invitations and workspaces in a day, at both doors."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from tenants import invitations, limits, workspaces
from tenants.models import Invitation, Workspace
from tenants.roles import Role
from tenants.scope import scope
from tenants.workspaces import add_member, create_workspace_for
from tests.tenants.api.app import App, refused

INVITATIONS = "/workspaces/biddano-tech/invitations"


@pytest.fixture(autouse=True)
def _few(settings):
    settings.INVITATIONS_PER_DAY = settings.WORKSPACES_PER_DAY = 3


@pytest.fixture
def admins(cast) -> App:
    EmailAddress.objects.create(
        user=cast.admin, email=cast.admin.email, verified=True, primary=True
    )
    return App().sign_in(cast.admin.email, "correct horse")


def invite(cast, emails: str) -> str:
    form = {"emails": emails, "role": "member"}
    return (
        cast.client("admin")
        .post(cast.url("tenants/invitation/add/"), form, follow=True)
        .content.decode()
    )


def draft(cast, email: str, *, workspace=None, by=None, now=None) -> None:
    workspace, by, now = workspace or cast.workspace, by or cast.admin, now or timezone.now()
    with scope(workspace):
        invitations.draft(workspace, email, Role.VIEWER, by=by, now=now)


def test_the_form_keeps_the_addresses_that_are_too_many_and_mails_nobody(cast, mailoutbox):
    invite(cast, "a@x.test b@x.test")
    shown = invite(cast, "c@x.test d@x.test")
    assert "A workspace can send 3 invitations a day. Try again in 1 day." in shown
    assert "c@x.test d@x.test" in shown
    assert len(mailoutbox) == 2
    assert "is on its way" in invite(cast, "c@x.test")
    assert len(mailoutbox) == 3


def test_the_api_answers_429_and_says_when_to_come_back(cast, admins, mailoutbox):
    answers = [admins.post(INVITATIONS, email=f"a{n}@x.test") for n in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert refused(answers[-1]) == (429, "too_many_requests")
    assert 86_000 < int(answers[-1].headers["Retry-After"]) <= 86_400
    assert len(mailoutbox) == 3


def test_the_members_of_a_workspace_share_its_day(cast):
    for number in range(3):
        draft(cast, f"a{number}@x.test")
    with pytest.raises(limits.TooMany, match="A workspace"):
        draft(cast, "b@x.test", by=cast.owner)
    draft(cast, "b@x.test", workspace=cast.other_workspace, by=cast.other_owner)


def test_a_person_has_one_day_in_all_their_workspaces(cast):
    add_member(cast.other_workspace, cast.admin, Role.ADMIN)
    for number in range(3):
        draft(cast, f"a{number}@x.test")
    with pytest.raises(limits.TooMany, match="A person"):
        draft(cast, "b@x.test", workspace=cast.other_workspace)


def test_a_day_later_there_is_room_again(cast):
    for number in range(3):
        draft(cast, f"a{number}@x.test")
    now = timezone.now()
    with pytest.raises(limits.TooMany):
        draft(cast, "b@x.test", now=now + timedelta(days=1) - timedelta(minutes=1))
    draft(cast, "b@x.test", now=now + timedelta(days=1))


def test_one_address_is_mailed_again_after_some_minutes_also_when_it_was_withdrawn(
    cast, admins, mailoutbox
):
    first = admins.post(INVITATIONS, email="a@x.test").json()
    again = admins.ask("POST", f"{INVITATIONS}/{first['id']}/resend")
    assert refused(again) == (429, "too_many_requests")
    assert 0 < int(again.headers["Retry-After"]) <= 120
    admins.delete(f"{INVITATIONS}/{first['id']}")
    assert "A link was just mailed to a@x.test. Try again in 2 minutes." in invite(cast, "a@x.test")
    with scope(cast.workspace):
        Invitation.objects.update(sent_at=timezone.now() - limits.MAIL_AGAIN_AFTER)
    assert "is on its way" in invite(cast, "a@x.test")
    assert len(mailoutbox) == 2


def test_upper_layers_give_a_new_workspace_the_same_at_both_doors(cast, admins, monkeypatch):
    given: list[tuple[str, object]] = []
    monkeypatch.setattr(
        workspaces, "ON_CREATED", [lambda workspace, owner: given.append((workspace.name, owner))]
    )
    cast.client("admin").post("/?new", {"name": "By page"})
    admins.post("/workspaces", name="By API")
    assert given == [("By page", cast.admin), ("By API", cast.admin)]


def test_a_person_creates_so_many_workspaces_in_a_day_at_both_doors(cast, admins):
    client = cast.client("admin")
    client.post("/?new", {"name": "First"})
    assert [admins.post("/workspaces", name=f"Shop {n}").status_code for n in range(3)] == [
        201,
        201,
        429,
    ]
    shown = client.post("/?new", {"name": "Fourth"}).content.decode()
    assert "A person can create 3 workspaces a day. Try again in 1 day." in shown
    assert 'value="Fourth"' in shown
    assert Workspace.objects.filter(owner=cast.admin).count() == 3
    create_workspace_for(cast.admin, "Tomorrow", now=timezone.now() + timedelta(days=1))
