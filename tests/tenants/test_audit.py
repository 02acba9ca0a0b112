"""The trail: what is kept of a change, where it came from, and that nothing takes it back."""

import pytest
from django.db import DatabaseError, connection, transaction

from campaigns.models import Template
from tenants import audit
from tenants.models import AuditEntry, User
from tenants.scope import every_workspace, scope


@pytest.fixture
def entry(cast) -> AuditEntry:
    with scope(cast.workspace):
        return audit.record(cast.workspace, "run paused", "Diwali", by=cast.member)


def test_a_form_s_change_is_kept_with_before_and_after_way_and_address(cast):
    url = cast.url(f"tenants/workspace/{cast.workspace.pk}/change/")
    form = {"name": "Biddano", "slug": "biddano-tech", "time_zone": "Asia/Kolkata", "default_language": "hi"}
    cast.client("admin").post(url, form, REMOTE_ADDR="192.0.2.7")
    with scope(cast.workspace):
        kept = AuditEntry.objects.get(action="workspace changed")
    assert kept.changes == {"name": ["Biddano Tech", "Biddano"], "default_language": ["en", "hi"]}
    assert (kept.actor, kept.via, kept.address) == (cast.admin, "console", "192.0.2.7")


def test_a_deleted_row_is_kept_as_it_was(cast):
    with scope(cast.workspace):
        template = Template.objects.create(
            workspace=cast.workspace, name="Old", category="offer", title="20% off", body="Until Sunday."
        )
    cast.client("member").post(cast.url(f"campaigns/template/{template.pk}/delete/"), {"post": "yes"})
    with scope(cast.workspace):
        kept = AuditEntry.objects.get(action="template deleted")
    assert kept.changes["title"] == ["20% off", None]


def test_credentials_are_in_no_entry(cast, connected):
    with scope(cast.workspace):
        secret = connected.credentials
        kept = str(list(AuditEntry.objects.values()))
    assert "private_key" in secret
    assert "private_key" not in kept


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_the_models_refuse_to_change_it(cast, entry, verb):
    with scope(cast.workspace):
        for act in (entry.save, entry.delete, getattr(AuditEntry.objects.all(), verb)):
            with pytest.raises(TypeError):
                act()


@pytest.mark.parametrize("statement", ["UPDATE tenants_auditentry SET target = 'x'", "DELETE FROM tenants_auditentry"])
def test_the_database_refuses_to_change_it(cast, entry, statement):
    with every_workspace(), pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement)
    with scope(cast.workspace):
        assert AuditEntry.objects.get(pk=entry.pk).target == "Diwali"


def test_an_account_that_goes_leaves_its_name(cast, entry):
    with every_workspace():
        User.objects.filter(pk=cast.member.pk).delete()
    with scope(cast.workspace):
        kept = AuditEntry.objects.get(pk=entry.pk)
    assert (kept.actor, kept.actor_label) == (None, "Member Rao")
