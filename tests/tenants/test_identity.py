"""The secret of identity verification: made and rotated by who may manage keys, shown once,
sealed at rest."""

import hashlib
import hmac
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tenants import identity, rotation
from tenants.models import AuditEntry, IdentitySecret
from tenants.scope import scope
from tests.pages import text

PAGE = "tenants/apikey/identity/"


def made(cast, client, **post):
    page = client.post(cast.url(PAGE), post, follow=True)
    return page.context["secret"]


def test_a_secret_is_shown_once_and_lies_sealed_in_the_database(cast):
    client = cast.client("admin")
    assert client.get(cast.url(PAGE)).context["known"] == []
    secret = made(cast, client)
    assert client.get(cast.url(PAGE)).context["secret"] is None
    with connection.cursor() as cursor, scope(cast.workspace):
        assert identity.secrets_of(cast.workspace.pk, timezone.now()) == [secret]
        cursor.execute("SELECT sealed FROM tenants_identitysecret")
        assert secret not in cursor.fetchone()[0]
        entry = AuditEntry.objects.get(action="identity secret made")
        assert (entry.actor, secret in str(entry.detail)) == (cast.admin, False)


def test_rotating_keeps_the_old_secret_for_the_chosen_time(cast):
    client = cast.client("owner")
    first, second = made(cast, client), made(cast, client, hours="24")
    now = timezone.now()
    with scope(cast.workspace):
        assert set(identity.secrets_of(cast.workspace.pk, now)) == {first, second}
        assert identity.secrets_of(cast.workspace.pk, now + timedelta(hours=25)) == [second]
    third = made(cast, client, hours="0")
    with scope(cast.workspace):
        assert identity.secrets_of(cast.workspace.pk, timezone.now()) == [third]


@pytest.mark.parametrize("hours", ["", "7", "x"])
def test_a_rotation_without_a_known_overlap_makes_nothing(cast, hours):
    client = cast.client("owner")
    made(cast, client)
    page = client.post(cast.url(PAGE), {"hours": hours})
    assert page.context["form"].errors.keys() == {"hours"}
    with scope(cast.workspace):
        assert IdentitySecret.objects.count() == 1


def test_members_may_not_see_the_page_and_the_list_of_keys_leads_there(cast):
    assert cast.client("member").get(cast.url(PAGE)).status_code == 403
    assert cast.client("outsider").get(cast.url(PAGE)).status_code == 404
    assert cast.url("tenants/apikey/verify_identity") in text(
        cast.client("admin").get(cast.url("tenants/apikey/"))
    )


def test_the_secret_moves_with_the_encryption_keys(cast, settings):
    with scope(cast.workspace):
        secret = identity.make(cast.workspace, by=cast.owner, now=timezone.now())
        settings.ENCRYPTION_KEYS = ["a-new-key-" + "x" * 40, *settings.ENCRYPTION_KEYS]
        assert rotation.rotate().moved == 1
        settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
        assert identity.secrets_of(cast.workspace.pk, timezone.now()) == [secret]


def test_the_hash_is_what_any_language_computes(cast):
    expected = hmac.new(b"s", "ü-7".encode(), hashlib.sha256).hexdigest()
    assert identity.hash_of("s", "ü-7") == expected
    assert identity.is_proven("ü-7", expected, ["other", "s"])
    assert not identity.is_proven("u-7", expected, ["other", "s"])
