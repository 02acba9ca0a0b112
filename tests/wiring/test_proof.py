"""An open browser on a desk: what asks again for the password, and what becomes of what somebody
was about to do."""

from __future__ import annotations

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from pushpilot.proof import FILLING_SECS, PROVED_SECS
from tenants.models import ApiKey, Invitation, Membership, Workspace
from tenants.scope import scope
from tests.house.rows import rows_of
from tests.pages import YES, signed_in_now

PASSWORD = "correct horse"


@pytest.fixture
def late(cast) -> Client:
    """The owner's browser, an hour after signing in."""
    client = Client()
    signed_in_now(client, cast.owner, ago_secs=PROVED_SECS + FILLING_SECS + 60)
    return client


def paths(cast) -> dict[str, str]:
    with scope(cast.workspace):
        rows = rows_of(cast.workspace)
        other = Membership.objects.get(user=cast.viewer)
        key = ApiKey.objects.get()
        invitation = Invitation.objects.get()
    run = next(row for model, row in rows.items() if model._meta.label_lower == "campaigns.run")
    own = cast.workspace.pk
    return {
        "new key": "tenants/apikey/add/", "rotate": f"tenants/apikey/{key.pk}/rotate/",
        "connection": "tenants/connection/add/", "role": f"tenants/membership/{other.pk}/change/",
        "remove": f"tenants/membership/{other.pk}/remove/", "invite": "tenants/invitation/add/",
        "another link": f"tenants/invitation/{invitation.pk}/resend/",
        "hand over": f"tenants/workspace/{own}/transfer/", "delete": f"tenants/workspace/{own}/delete_workspace/",
        "trail": "tenants/auditentry/export/", "recipients": f"campaigns/run/{run.pk}/recipients.csv",
    }  # fmt: skip


def test_secrets_roles_exports_and_deletion_ask_again(cast, late):
    fresh = cast.client("owner")
    for name, path in paths(cast).items():
        url = cast.url(path)
        answer = late.get(url)
        assert answer.status_code == 302, name
        assert (
            answer.headers["Location"]
            == f"/accounts/reauthenticate/?next={url.replace('/', '%2F')}"
        ), name
        assert late.post(url, YES).status_code == 302, name
        assert fresh.get(url).status_code == 200, name
    assert Workspace.objects.get(pk=cast.workspace.pk).deletion_due_at is None
    with scope(cast.workspace):
        assert ApiKey.objects.count() == 1
        assert Membership.objects.filter(user=cast.viewer, role="viewer").exists()


def test_a_proof_leads_back_and_counts(cast, late):
    url = cast.url("tenants/apikey/add/")
    ask = late.get(url).headers["Location"]
    assert late.post(ask, {"password": "wrong"}).status_code == 200
    assert late.get(url).status_code == 302
    assert late.post(ask, {"password": PASSWORD}).headers["Location"] == url
    assert late.get(url).status_code == 200


def test_a_dialog_leads_to_the_question_and_back_to_its_page(cast, late):
    page = cast.url("tenants/workspace/")
    htmx = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}"}
    answer = late.get(cast.url(paths(cast)["delete"]), headers=htmx)
    assert answer.status_code == 200
    assert (
        answer.headers["HX-Redirect"]
        == f"/accounts/reauthenticate/?next={page.replace('/', '%2F')}"
    )


def test_a_form_that_was_opened_in_time_can_be_filled_in(cast):
    client = Client()
    signed_in_now(client, cast.owner, ago_secs=PROVED_SECS + 60)
    url = cast.url("tenants/invitation/add/")
    assert client.get(url).status_code == 302
    sent = client.post(url, {"emails": "new@example.com", "role": "member"})
    assert sent.headers["Location"] == cast.url("tenants/invitation/created/")


def test_operators_are_asked_before_they_make_operators(cast):
    client = Client()
    signed_in_now(client, cast.operator, ago_secs=PROVED_SECS + FILLING_SECS + 60)
    client.post(f"/platform/tenants/user/{cast.member.pk}/make_operator/", YES)
    cast.member.refresh_from_db()
    assert not cast.member.is_superuser
    signed_in_now(client, cast.operator)
    client.post(f"/platform/tenants/user/{cast.member.pk}/make_operator/", YES)
    cast.member.refresh_from_db()
    assert cast.member.is_superuser


def test_a_person_who_has_only_a_provider_is_not_shut_out(cast, late):
    cast.owner.set_unusable_password()
    cast.owner.save()
    SocialAccount.objects.create(user=cast.owner, provider="google", uid="1")
    signed_in_now(late, cast.owner, ago_secs=PROVED_SECS + FILLING_SECS + 60)
    assert late.get(cast.url("tenants/apikey/add/")).status_code == 200


def test_everyday_pages_ask_nothing(cast, late):
    for path in (
        "",
        "tenants/apikey/",
        "campaigns/campaign/add/",
        "campaigns/contact/",
        "tenants/membership/",
    ):
        assert late.get(cast.url(path)).status_code == 200
