from tenants import roles
from tenants.models import Membership
from tenants.roles import Role
from tenants.scope import scope


def test_each_role_holds_exactly_its_capabilities(cast):
    for role in Role:
        assert roles.grants(getattr(cast, role), cast.workspace) == roles.ROLE_CAPABILITIES[role]


def test_a_viewer_cannot_send_and_an_outsider_holds_nothing(cast):
    assert not roles.can(cast.viewer, roles.SEND, cast.workspace)
    assert roles.grants(cast.outsider, cast.workspace) == frozenset()


def test_changing_a_role_changes_the_grants_at_once(inside):
    membership = Membership.objects.get(user=inside.viewer)
    membership.role = Role.ADMIN
    membership.save()
    inside.viewer.__dict__.pop("_workspace_grants", None)
    assert roles.can(inside.viewer, roles.SEND, inside.workspace)


def test_removing_a_member_removes_every_grant(inside):
    Membership.objects.get(user=inside.admin).delete()
    inside.admin.__dict__.pop("_workspace_grants", None)
    assert roles.grants(inside.admin, inside.workspace) == frozenset()


def test_has_perm_on_a_row_answers_from_its_workspace(cast):
    with scope(cast.workspace):
        row = Membership.objects.get(user=cast.viewer)
    assert cast.owner.has_perm("tenants.change_membership", row)
    assert not cast.viewer.has_perm("tenants.change_membership", row)
    assert not cast.outsider.has_perm("tenants.view_membership", row)
