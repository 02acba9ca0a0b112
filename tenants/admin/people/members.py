"""The people of a workspace: who they are, what they may do, changing that, removing them,
leaving."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminRadioSelectWidget

from tenants import roles
from tenants.admin.base import (
    WorkspaceAdmin,
    after_dialog,
    answer,
    moment,
    reads_only,
    require,
    workspace_of,
)
from tenants.admin.lists import choices_filter
from tenants.models import Membership, User
from tenants.roles import Role
from tenants.scope import current_workspace
from tenants.workspaces import change_member, leave, role_of, why_not_change

ROLE_WORDS: dict[str, str | Promise] = {
    Role.OWNER: gettext_lazy("Owner: everything, including deleting the workspace"),
    Role.ADMIN: gettext_lazy("Admin: campaigns, people, connections and settings"),
    Role.MEMBER: gettext_lazy("Member: writes, schedules and sends campaigns"),
    Role.VIEWER: gettext_lazy("Viewer: sees everything, changes nothing"),
}
ROLE_COLOURS = {
    Role.OWNER: "primary",
    Role.ADMIN: "info",
    Role.MEMBER: "success",
    Role.VIEWER: "default",
}
# The tabs over the pages of people: (title, URL's name).
_TABS = (
    (gettext_lazy("Members"), "admin:tenants_membership_changelist"),
    (gettext_lazy("Invitations"), "admin:tenants_invitation_changelist"),
    (gettext_lazy("Roles"), "admin:tenants_membership_roles"),
)


def people_tabs(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's tabs over members, invitations and roles; nothing on other pages."""
    here = None
    if request.resolver_match:
        here = request.resolver_match.view_name
    if here not in [name for _title, name in _TABS]:
        return []
    invites = roles.can(request.user, roles.MEMBERS, workspace_of(request))
    items = [
        {"title": title, "link": reverse(name), "active": name == here}
        for title, name in _TABS
        if invites or name != "admin:tenants_invitation_changelist"
    ]
    # The page of roles has no list of its own: Unfold counts it as a page of one membership.
    pages = [
        "tenants.membership",
        "tenants.invitation",
        {"name": "tenants.membership", "detail": True},
    ]
    return [{"models": pages, "items": items}]


class MemberForm(forms.ModelForm):
    """One question: the role. What the person asking may not do is no choice."""

    by: User  # who asks, and their role: MembershipAdmin.get_form
    by_role: str

    class Meta:
        model = Membership
        fields = ("role",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "role" not in self.fields:
            return
        allowed = [
            (role, words)
            for role, words in ROLE_WORDS.items()
            if role == self.instance.role
            or not why_not_change(self.instance, role, by=self.by, by_role=self.by_role)
        ]
        self.fields["role"].widget = UnfoldAdminRadioSelectWidget(radio_style=2, choices=allowed)
        self.fields["role"].help_text = why_not_change(
            self.instance, "", by=self.by, by_role=self.by_role
        )

    def clean_role(self) -> str:
        role: str = self.cleaned_data["role"]
        if role != self.initial.get("role"):
            refusal = why_not_change(
                self.instance,
                role,
                by=self.by,
                by_role=self.by_role,
            )
            if refusal:
                raise ValidationError(refusal)
        return role


class MembershipAdmin(WorkspaceAdmin):
    """Rules and their sentences are tenants.workspaces'; people are added by invitation."""

    form = MemberForm
    fields = ("person", "role", "joined")
    readonly_fields = ("person", "joined")
    list_display = ("header", "role_label", "joined")
    list_filter = (("role", choices_filter(gettext_lazy("role"))),)
    search_fields = ("user__full_name", "user__email")
    search_help_text = gettext_lazy("Search names and e-mail addresses")
    ordering = ("user__full_name", "user__email")
    actions = None
    actions_list = ("invite", "leave")
    actions_row = ("remove",)
    actions_detail = ("remove",)

    # --- rights -----------------------------------------------------------------------------------
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Removing has rules and a dialog of its own."""
        return False

    def has_invite_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.allows(request, "add")

    def has_remove_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.allows(request, "delete")

    # --- the list ---------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        queryset: QuerySet[Membership] = super().get_queryset(request).select_related("user")
        return queryset

    @display(description=gettext_lazy("Person"), header=True, ordering="user__full_name")
    def header(self, membership: Membership) -> list[str]:
        return [
            str(membership.user),
            membership.user.email,
            membership.user.get_full_name()[:1].upper(),
        ]

    @display(description=gettext_lazy("Role"), label=ROLE_COLOURS, ordering="role")
    def role_label(self, membership: Membership) -> tuple[str, str]:
        return membership.role, membership.get_role_display()

    @display(description=gettext_lazy("Joined"), ordering="joined_at")
    def joined(self, membership: Membership) -> str:
        return moment(membership.joined_at, current_workspace())

    # --- inviting, leaving, the table of roles ----------------------------------------------------
    def get_urls(self) -> list[Any]:
        table = path(
            "roles/", self.admin_site.admin_view(self.roles_view), name="tenants_membership_roles"
        )
        return [table, *super().get_urls()]

    @reads_only
    @action(description=gettext_lazy("Invite people"), icon="person_add", permissions=["invite"])
    def invite(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:tenants_invitation_add")

    @action(
        description=gettext_lazy("Leave this workspace"),
        icon="logout",
        permissions=["view"],
        dialog={
            "title": gettext_lazy("Leave this workspace?"),
            "description": gettext_lazy(
                "You lose access at once. You can come back only by invitation."
            ),
            "form_submit_text": gettext_lazy("Leave"),
        },
    )
    def leave(self, request: HttpRequest, form: Any) -> HttpResponse:
        workspace = require(request, roles.VIEW)
        user: Any = request.user
        try:
            leave(workspace, user)
        except ValidationError as error:
            messages.error(request, error.messages[0])
            stays = role_of(user, workspace)
            return after_dialog(
                request, reverse("admin:tenants_membership_changelist") if stays else "/"
            )
        messages.success(request, _("You have left %(workspace)s.") % {"workspace": workspace})
        return after_dialog(request, "/")

    def roles_view(self, request: HttpRequest) -> HttpResponse:
        """What each role may do, from tenants.roles."""
        workspace = require(request, roles.VIEW)
        user: Any = request.user
        own = role_of(user, workspace)
        return self.page(
            request,
            "tenants/roles.html",
            _("Roles"),
            roles=list(Role),
            table=roles.table(),
            own=own,
            own_label=Role(own).label if own else "",
        )

    # --- one member -------------------------------------------------------------------------------
    @display(description=gettext_lazy("Person"))
    def person(self, membership: Membership) -> SafeString:
        return format_html("{} ({})", membership.user.get_full_name(), membership.user.email)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        user: Any = request.user
        asked_by = {"by": user, "by_role": role_of(user, workspace_of(request))}
        return type(form)(form.__name__, (form,), asked_by)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        return super().changeform_view(
            request, object_id, form_url, {"title": _("Member"), **(extra_context or {})}
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if "role" not in form.changed_data:
            return
        try:
            change_member(obj, obj.role, by=request.user)  # type: ignore[arg-type]
        except ValidationError as error:
            # The form said yes; somebody changed the roles in between.
            raise PermissionDenied(error.messages[0]) from error

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """tenants.workspaces has done it."""

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        messages.success(
            request,
            _("%(person)s now has the role %(role)s.")
            % {"person": obj.user, "role": obj.get_role_display()},
        )
        answer: HttpResponse = self.response_post_save_change(request, obj)
        return answer

    # --- removing ---------------------------------------------------------------------------------
    @action(
        description=gettext_lazy("Remove from workspace"),
        icon="person_remove",
        permissions=["remove"],
        dialog={
            "title": gettext_lazy("Remove this person from the workspace?"),
            "description": gettext_lazy(
                "They lose access at once, and their secret keys stop working. Write keys in your "
                "apps continue to work. Their content stays."
            ),
            "form_submit_text": gettext_lazy("Remove"),
        },
    )
    def remove(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        require(request, roles.MEMBERS)
        membership = self.found(request, object_id)
        return answer(
            request,
            lambda: change_member(membership, "", by=request.user),  # type: ignore[arg-type]
            _("%(user)s is no longer in this workspace.") % {"user": membership.user},
            reverse("admin:tenants_membership_changelist"),
        )
