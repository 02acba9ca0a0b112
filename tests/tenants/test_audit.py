"""The trail: what is kept of a change, where it came from, and that nothing takes it back."""

import html
import re

import pytest
from django.db import DatabaseError, connection, transaction

from campaigns.models import Template
from tenants import audit
from tenants.models import AuditEntry, User
from tenants.scope import every_workspace, scope
from tenants.workspaces import add_member


@pytest.fixture
def entry(cast) -> AuditEntry:
    with scope(cast.workspace):
        return audit.record(cast.workspace, "run paused", "Diwali", by=cast.member)


def test_a_form_s_change_is_kept_with_before_and_after_way_and_address(cast):
    url = cast.url(f"tenants/workspace/{cast.workspace.pk}/change/")
    form = {
        "name": "Biddano",
        "slug": "biddano-tech",
        "time_zone": "Asia/Kolkata",
        "default_language": "hi",
    }
    cast.client("admin").post(url, form, REMOTE_ADDR="192.0.2.7")
    with scope(cast.workspace):
        kept = AuditEntry.objects.get(action="workspace changed")
    assert kept.changes == {"name": ["Biddano Tech", "Biddano"], "default_language": ["en", "hi"]}
    assert (kept.actor, kept.via, kept.address) == (cast.admin, "console", "192.0.2.7")


def test_a_deleted_row_is_kept_as_it_was(cast):
    with scope(cast.workspace):
        template = Template.objects.create(
            workspace=cast.workspace,
            name="Old",
            category="offer",
            fields={"title": "20% off", "body": "Until Sunday."},
        )
    cast.client("member").post(
        cast.url(f"campaigns/template/{template.pk}/delete/"), {"post": "yes"}
    )
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


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenants_auditentry SET target = 'x'",
        "UPDATE tenants_auditentry SET actor_id = NULL, actor_email = 'x@y.test'",
        "DELETE FROM tenants_auditentry",
    ],
)
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
    assert (kept.actor, kept.who) == (None, "Member Rao (member@biddano.test)")


# --- a name is what somebody calls themselves -----------------------------------------------------
@pytest.mark.parametrize(
    "name", ["PushPilot", "Operator Root Rao", "Owner Rao", "PushPilot (root@push.test)"]
)
def test_no_name_passes_for_somebody_else(cast, name):
    client = cast.client("admin")
    client.post("/accounts/profile/", {"full_name": name})
    cast.admin.refresh_from_db()
    with scope(cast.workspace):
        made = audit.record(cast.workspace, "run paused", "Diwali", by=cast.admin)
        audit.record(cast.workspace, "run paused", "Diwali", by=None)
    assert made.who == f"{name} (admin@biddano.test)"
    shown = cells_of(cast, "?person=pushpilot")
    assert shown == ["PushPilot The product itself"]
    assert cells_of(cast, "?action=run+paused") == [*shown, f"{name} admin@biddano.test"]


def test_an_operator_is_marked_beside_the_name(cast):
    with scope(cast.workspace), audit.origin("platform", None):
        audit.record(cast.workspace, "plan changed", cast.workspace, by=cast.operator)
    assert cells_of(cast, "?action=plan+changed") == [
        "Operator root@push.test root@push.test · operator"
    ]


def cells_of(cast, query: str) -> list[str]:
    page = cast.client("owner").get(cast.url(f"tenants/auditentry/{query}")).content.decode()
    rows = re.findall(r"<t[dh][^>]*field-person[^>]*>(.*?)</t[dh]>", page, re.DOTALL)
    return [html.unescape(" ".join(re.sub(r"<[^>]+>", " ", row).split())) for row in rows]


def test_who_changes_their_name_leaves_an_entry_in_each_of_their_workspaces(cast):
    add_member(cast.other_workspace, cast.member, "viewer")
    for _ in range(2):
        assert (
            cast.client("member").post("/accounts/profile/", {"full_name": "PushPilot"}).status_code
            == 302
        )
    for workspace in (cast.workspace, cast.other_workspace):
        with scope(workspace):
            [kept] = AuditEntry.objects.filter(action="person renamed")
        assert (kept.target, kept.actor, kept.via) == (
            "member@biddano.test",
            cast.member,
            "console",
        )
        assert kept.changes == {"full_name": ["Member Rao", "PushPilot"]}
