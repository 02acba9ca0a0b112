import pytest
from allauth.account.models import EmailAddress
from asgiref.sync import async_to_sync

from campaigns.models import Campaign, Template
from delivery.models import Heartbeat, Pace
from tenants import roles
from tenants.models import Membership, User, WorkspaceUserObjectPermission
from tenants.people import left_without
from tenants.roles import Role
from tenants.scope import belongs_to_workspace, every_workspace, scope
from tenants.workspaces import add_member, change_member


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


# --- operators ------------------------------------------------------------------------------------
INSIDE = (
    "tenants.remove_workspace", "campaigns.change_campaign", "tenants.view_apikey", "delivery.delete_message",
    "tenants.change_workspaceuserobjectpermission", "campaigns.no_such_thing", "delivery.change_pace",
)  # fmt: skip


@pytest.mark.parametrize("perm", INSIDE)
def test_an_operator_may_nothing_inside_a_workspace(cast, perm):
    with scope(cast.workspace):
        campaign = Campaign.objects.create(workspace=cast.workspace, name="Offer")
        app = perm.partition(".")[0]
        assert not cast.operator.has_perms([perm])
        assert not async_to_sync(cast.operator.ahas_perm)(perm)
        assert not cast.operator.has_module_perms(app)
        assert not async_to_sync(cast.operator.ahas_module_perms)(app)
        for row in (campaign, cast.workspace):
            assert not cast.operator.has_perm(perm, row)
    assert not cast.operator.has_perm(perm)
    assert not cast.operator.has_module_perms(app)
    assert cast.operator.get_all_permissions() == set()


def test_an_operator_who_is_a_member_may_what_the_role_may(cast):
    add_member(cast.workspace, cast.operator, Role.VIEWER)
    with scope(cast.workspace):
        campaign = Campaign.objects.create(workspace=cast.workspace, name="Offer")
        assert cast.operator.has_perm("campaigns.view_campaign", campaign)
        assert cast.operator.has_module_perms("campaigns")
        assert not cast.operator.has_perm("campaigns.change_campaign", campaign)
        assert not cast.operator.has_perm(f"tenants.{roles.EXPORT}", cast.workspace)
    with scope(cast.other_workspace):
        theirs = Campaign.objects.create(workspace=cast.other_workspace, name="Theirs")
    assert not cast.operator.has_perm("campaigns.view_campaign", theirs)


def test_an_operator_keeps_what_lies_outside_of_workspaces(cast):
    for perm in (
        "tenants.change_user",
        "auth.view_group",
        "django_q.view_task",
        "delivery.view_heartbeat",
    ):
        assert cast.operator.has_perm(perm)
        assert not cast.owner.has_perm(perm)
    assert cast.operator.has_perm("tenants.change_user", cast.owner)
    assert cast.operator.has_module_perms("django_q")


def test_which_models_are_a_workspace_s():
    inside = (Campaign, Template, Membership, Pace, WorkspaceUserObjectPermission)
    assert [model for model in inside if not belongs_to_workspace(model)] == []
    assert not belongs_to_workspace(User)
    assert not belongs_to_workspace(Heartbeat)
    assert not belongs_to_workspace(EmailAddress), "it points at somebody, not at a workspace"


def test_a_template_of_the_global_library_can_be_viewed_and_not_changed(cast):
    with every_workspace():
        shared = Template.objects.create(
            workspace=None, name="Shared", category="offer", fields={"title": "x", "body": "y"}
        )
    with scope(cast.workspace):
        assert cast.viewer.has_perm("campaigns.view_template", shared)
        assert not cast.owner.has_perm("campaigns.change_template", shared)
        assert not cast.owner.has_perm("campaigns.view_campaign", cast.member)
    assert not cast.owner.has_perm("campaigns.view_template", shared)


def test_a_role_is_written_by_what_the_rows_say_not_by_what_this_process_remembers(inside):
    remembering = User.objects.get(pk=inside.viewer.pk)
    assert roles.can(remembering, roles.VIEW, inside.workspace)
    roles.sync(inside.viewer, inside.workspace, Role.ADMIN)  # by another process
    roles.sync(remembering, inside.workspace, Role.VIEWER)
    fresh = User.objects.get(pk=inside.viewer.pk)
    assert roles.grants(fresh, inside.workspace) == roles.ROLE_CAPABILITIES[Role.VIEWER]


def test_nobody_holds_a_right_on_a_model_that_does_not_exist(inside):
    assert inside.owner.has_perm("campaigns.view_campaign")
    assert not inside.owner.has_perm("campaigns.view_nothing")
    assert not inside.owner.has_perm("nothing.view_campaign")


def test_an_owner_who_cannot_sign_in_does_not_keep_a_workspace_from_being_left(cast):
    with scope(cast.workspace):
        change_member(Membership.objects.get(user=cast.admin), Role.OWNER, by=cast.owner)
    assert left_without(cast.owner) == []
    User.objects.filter(pk=cast.admin.pk).update(is_active=False)
    assert left_without(cast.owner) == [cast.workspace]
