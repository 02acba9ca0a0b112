"""Invitations by API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tenants import invitations
from tenants.limits import MAIL_AGAIN_AFTER
from tenants.models import Invitation
from tenants.scope import scope
from tests.tenants.api.app import refused
from tests.tenants.api.calls import audited, invited, state


# --- invitations ----------------------------------------------------------------------------------
def test_an_invitation_is_mailed_and_its_link_works(cast, apps, asha, mailoutbox):
    answer = apps["admin"].post(
        "/workspaces/biddano-tech/invitations", email="Asha@Example.com", role="viewer"
    )
    told = answer.json()
    assert answer.status_code == 201
    assert (told["email"], told["role"], told["state"], told["mailed"]) == (
        "asha@example.com",
        "viewer",
        "pending",
        True,
    )
    assert mailoutbox[0].to == ["asha@example.com"]
    invitations.accept(told["link"].rstrip("/").rpartition("/")[2], asha, timezone.now())
    (listed,) = apps["admin"].get("/workspaces/biddano-tech/invitations").json()["results"]
    assert (listed["state"], listed["invited_by"]) == ("accepted", "Admin Rao")
    assert "link" not in listed
    assert audited("member invited").via == "api"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_member_is_invited_at_the_address_of_the_members_too(cast, apps, mailoutbox, slash):
    members = f"/workspaces/biddano-tech/members{slash}"
    answer = apps["admin"].post(members, email="asha@example.com", role="viewer")
    told = answer.json()
    assert (answer.status_code, told["state"], told["role"]) == (201, "pending", "viewer")
    assert told["link"].startswith("http")
    assert mailoutbox[0].to == ["asha@example.com"]
    again = apps["admin"].post(members, email="asha@example.com", role="viewer")
    assert refused(again) == (429, "too_many_requests")
    assert refused(apps["member"].post(members, email="b@example.com")) == (403, "forbidden")
    assert refused(apps["outsider"].post(members, email="b@example.com"))[0] == 404


def test_an_invitation_of_a_member_is_made_once_for_a_key(cast, apps, mailoutbox):
    body, key = {"email": "asha@example.com"}, {"Idempotency-Key": "k-1"}
    path = "/workspaces/biddano-tech/members"
    first, second = (apps["admin"].ask("POST", path, body, **key) for _ in range(2))
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert len(mailoutbox) == 1


def test_an_invitation_says_that_no_mail_left_a_server_without_a_mail_server(cast, apps, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    told = (
        apps["admin"]
        .post("/workspaces/biddano-tech/invitations", email="asha@example.com", role="viewer")
        .json()
    )
    assert (told["mailed"], told["link"].startswith("http")) == (False, True)
    again = (
        apps["admin"]
        .ask("POST", f"/workspaces/biddano-tech/invitations/{told['id']}/resend")
        .json()
    )
    assert again["mailed"] is False


def test_a_fresh_link_ends_the_old_one(cast, apps, asha):
    first = apps["admin"].post("/workspaces/biddano-tech/invitations", email=asha.email).json()
    with scope(cast.workspace):
        Invitation.objects.update(sent_at=timezone.now() - MAIL_AGAIN_AFTER)
    second = (
        apps["admin"]
        .ask("POST", f"/workspaces/biddano-tech/invitations/{first['id']}/resend")
        .json()
    )
    assert second["id"] == first["id"]
    with pytest.raises(invitations.InvitationRefused):
        invitations.open_invitation(first["link"].rstrip("/").rpartition("/")[2], timezone.now())
    assert invitations.open_invitation(
        second["link"].rstrip("/").rpartition("/")[2], timezone.now()
    )


def test_a_withdrawn_invitation_stays_withdrawn(cast, apps):
    path = f"/workspaces/biddano-tech/invitations/{invited(cast).pk}"
    assert apps["admin"].delete(path).status_code == 204
    assert refused(apps["admin"].delete(path)) == (409, "refused")
    assert refused(apps["admin"].ask("POST", f"{path}/resend")) == (409, "refused")
    assert (
        apps["admin"].get("/workspaces/biddano-tech/invitations").json()["results"][0]["state"]
        == "revoked"
    )


def test_an_expired_invitation_says_so(cast, apps):
    row = invited(cast)
    with scope(cast.workspace):
        Invitation.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(days=1))
    assert (
        apps["admin"].get("/workspaces/biddano-tech/invitations").json()["results"][0]["state"]
        == "expired"
    )


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"email": "nonsense"}, (422, "invalid")),
        ({"email": "new@biddano.test", "role": "king"}, (422, "invalid")),
        ({"email": "new@biddano.test", "workspace": 1}, (422, "invalid")),
        ({"email": "viewer@biddano.test"}, (409, "refused")),
        ({"email": "new@biddano.test", "role": "owner"}, (409, "refused")),
    ],
)
def test_an_invitation_that_cannot_be_is_refused(cast, apps, body, answer, mailoutbox):
    before = state()
    assert (
        refused(apps["admin"].ask("POST", "/workspaces/biddano-tech/invitations", body)) == answer
    )
    assert state() == before
    assert not mailoutbox
