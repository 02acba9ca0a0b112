import pytest
from django.core.exceptions import ValidationError

from tenants import keys, roles
from tenants.admin import workspaces as admin_workspaces
from tenants.admin.people import members as admin_members
from tenants.models import ApiKey, AuditEntry, Membership, Workspace
from tenants.roles import Role
from tenants.scope import scope
from tenants.workspaces import change_member
from tests.house.sources import ROOT
from tests.pages import YES, text


def membership(cast, name) -> Membership:
    with scope(cast.workspace):
        return Membership.objects.get(user=getattr(cast, name))


def page(cast, name) -> str:
    return cast.url(f"tenants/membership/{membership(cast, name).pk}/change/")


def remove(cast, by, name):
    url = cast.url(f"tenants/membership/{membership(cast, name).pk}/remove/")
    return cast.client(by).post(url, YES, follow=True)


def test_the_list_names_everybody_with_role_status_and_day_of_joining(cast):
    shown = text(cast.client("viewer").get(cast.url("tenants/membership/")))
    for name in ("Owner Rao", "Admin Rao", "Member Rao", "Viewer Rao"):
        assert name in shown
    assert "Outsider Rao" not in shown


def test_an_admin_changes_a_role_and_it_counts_at_once(cast):
    cast.client("admin").post(page(cast, "viewer"), {"role": "member"})
    assert membership(cast, "viewer").role == Role.MEMBER
    assert roles.can(type(cast.viewer).objects.get(pk=cast.viewer.pk), roles.SEND, cast.workspace)
    with scope(cast.workspace):
        assert AuditEntry.objects.get(action="role changed").changes == {
            "role": ["viewer", "member"]
        }


def test_an_admin_cannot_make_an_owner(cast):
    response = cast.client("admin").post(page(cast, "viewer"), {"role": "owner"})
    assert "Only an owner can make somebody an owner." in text(response)
    assert membership(cast, "viewer").role == Role.VIEWER


def test_an_admin_cannot_touch_the_owner(cast):
    response = cast.client("admin").post(page(cast, "owner"), {"role": "viewer"})
    assert "Only an owner can change or remove an owner." in text(response)
    assert "Only an owner can change or remove an owner." in text(remove(cast, "admin", "owner"))
    assert membership(cast, "owner").role == Role.OWNER


def test_the_form_offers_an_admin_no_owner_role(cast):
    shown = text(cast.client("admin").get(page(cast, "viewer")))
    assert 'value="admin"' in shown
    assert 'value="owner"' not in shown


def test_nobody_changes_or_removes_themselves(cast):
    assert "You cannot change your own role." in text(
        cast.client("owner").post(page(cast, "owner"), {"role": "viewer"})
    )
    assert "You cannot change your own role." in text(remove(cast, "owner", "owner"))


def test_a_member_and_a_viewer_cannot_change_roles(cast):
    for name in ("member", "viewer"):
        assert cast.client(name).post(page(cast, "admin"), {"role": "viewer"}).status_code == 403
        assert remove(cast, name, "admin").status_code == 403
    assert membership(cast, "admin").role == Role.ADMIN


@pytest.mark.parametrize("by", ["member", "viewer", "outsider"])
@pytest.mark.parametrize("role", ["viewer", ""])
def test_whoever_lost_the_right_after_the_door_changes_nobody(cast, by, role):
    with (
        scope(cast.workspace),
        pytest.raises(ValidationError, match="You may not manage the members"),
    ):
        change_member(membership(cast, "admin"), role, by=getattr(cast, by))
    assert membership(cast, "admin").role == Role.ADMIN


def test_removing_takes_the_access_away_at_once(cast):
    browser = cast.client("member")
    assert browser.get(cast.url()).status_code == 200
    assert "Member Rao is no longer in this workspace." in text(remove(cast, "admin", "member"))
    assert browser.get(cast.url()).status_code == 404


def test_removing_is_a_post(cast):
    cast.client("admin").get(
        cast.url(f"tenants/membership/{membership(cast, 'member').pk}/remove/")
    )
    assert membership(cast, "member").role == Role.MEMBER


def test_ownership_moves_when_the_founder_is_removed_by_another_owner(cast):
    with scope(cast.workspace):
        change_member(membership(cast, "admin"), Role.OWNER, by=cast.owner)
        change_member(membership(cast, "owner"), "", by=cast.admin)
    assert Workspace.objects.get(pk=cast.workspace.pk).owner == cast.admin


def test_the_last_owner_cannot_leave(cast):
    answer = cast.client("owner").post(cast.url("tenants/membership/leave/"), YES, follow=True)
    assert "A workspace needs an owner." in text(answer)
    assert membership(cast, "owner").role == Role.OWNER
    with scope(cast.workspace):
        kept = AuditEntry.objects.get(action="leaving refused")
    assert (kept.actor, kept.detail["why"][:25]) == (cast.owner, "A workspace needs an owne")


def test_who_leaves_is_out_at_once(cast):
    client = cast.client("viewer")
    client.post(cast.url("tenants/membership/leave/"), YES)
    assert client.get(cast.url()).status_code == 404
    with scope(cast.workspace):
        assert AuditEntry.objects.get(action="member left").target == "Viewer Rao"


def _meanwhile(monkeypatch, module, verb: str, act) -> None:
    """`act` happens after the door has asked for the right and before its verb starts."""
    real = getattr(module, verb)

    def late(*args, **said):
        monkeypatch.setattr(module, verb, real)
        act()
        return real(*args, **said)

    monkeypatch.setattr(module, verb, late)


def _leave(cast, name):
    return cast.client(name).post(cast.url("tenants/membership/leave/"), YES)


def test_leaving_twice_at_once_leaves_once(cast, monkeypatch):
    _meanwhile(monkeypatch, admin_members, "leave", lambda: _leave(cast, "member"))
    assert _leave(cast, "member").headers["Location"] == "/"
    with scope(cast.workspace):
        assert AuditEntry.objects.filter(action="member left").count() == 1


def test_somebody_who_leaves_while_they_are_changed_or_removed_is_gone(cast, monkeypatch):
    url = page(cast, "member")
    _meanwhile(monkeypatch, admin_members, "change_member", lambda: _leave(cast, "member"))
    assert cast.client("admin").post(url, {"role": "viewer"}).status_code == 403
    _meanwhile(monkeypatch, admin_members, "change_member", lambda: _leave(cast, "viewer"))
    assert "Viewer Rao is no longer in this workspace." in text(remove(cast, "admin", "viewer"))


def test_an_owner_who_is_removed_while_handing_over_hands_over_nothing(cast, monkeypatch):
    with scope(cast.workspace):
        change_member(membership(cast, "admin"), Role.OWNER, by=cast.owner)
    url = cast.url(f"tenants/workspace/{cast.workspace.pk}/transfer/")
    _meanwhile(
        monkeypatch, admin_workspaces, "transfer_ownership", lambda: remove(cast, "admin", "owner")
    )
    assert cast.client("owner").post(url, {**YES, "to": cast.member.pk}).status_code == 302
    assert Workspace.objects.get(pk=cast.workspace.pk).owner == cast.admin
    assert membership(cast, "member").role == Role.MEMBER


def test_removing_somebody_ends_their_secret_keys_and_no_write_key(cast):
    with scope(cast.workspace):
        for kind in ("write", "secret"):
            keys.create(
                ApiKey(workspace=cast.workspace, name=kind, kind=kind, scopes=["workspace:read"]),
                by=cast.admin,
            )
        change_member(membership(cast, "admin"), "", by=cast.owner)
        assert [key.name for key in ApiKey.objects.filter(revoked_at=None)] == ["write"]


def test_an_owner_hands_the_workspace_over_and_becomes_admin(cast):
    url = cast.url(f"tenants/workspace/{cast.workspace.pk}/transfer/")
    cast.client("owner").post(url, {**YES, "to": cast.member.pk})
    assert Workspace.objects.get(pk=cast.workspace.pk).owner == cast.member
    assert membership(cast, "member").role == Role.OWNER
    assert membership(cast, "owner").role == Role.ADMIN


@pytest.mark.parametrize(
    ("by", "to"), [("admin", "member"), ("owner", "outsider"), ("owner", "owner")]
)
def test_a_workspace_is_handed_over_by_an_owner_to_a_member_only(cast, by, to):
    url = cast.url(f"tenants/workspace/{cast.workspace.pk}/transfer/")
    cast.client(by).post(url, {**YES, "to": getattr(cast, to).pk})
    assert Workspace.objects.get(pk=cast.workspace.pk).owner == cast.owner


def test_every_member_sees_the_table_of_roles_and_the_docs_have_the_same(cast):
    shown = text(cast.client("viewer").get(cast.url("tenants/membership/roles/")))
    for words, _ in roles.table():
        assert words in shown
    table = roles.as_markdown()
    assert table in (ROOT / "docs" / "roles.md").read_text(encoding="utf-8"), (
        f"docs/roles.md should contain:\n{table}"
    )


def test_a_membership_of_another_workspace_is_404(cast):
    with scope(cast.other_workspace):
        theirs = Membership.objects.get().pk
    for part in ("change", "remove"):
        url = cast.url(f"tenants/membership/{theirs}/{part}/")
        assert cast.client("owner").get(url).status_code == 404
        assert cast.client("owner").post(url, {"role": "viewer"}).status_code == 404
