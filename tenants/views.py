"""Pages of people outside of any workspace: a new workspace, their name, invitations, workspaces
being deleted."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tenants import invitations, people, workspaces
from tenants.access import drop_claims
from tenants.invitations import InvitationRefused
from tenants.models import Connection, Membership, User, Workspace
from tenants.scope import every_workspace, scope
from tenants.validators import validate_name

# What a refused invitation answers; the page says it in words.
_STATUS = {"unknown": 404, "foreign": 403}
_GONE = 410


class WorkspaceForm(forms.Form):
    name = forms.CharField(
        max_length=100,
        min_length=2,
        validators=[validate_name],
        label=gettext_lazy("Name of your company or team"),
        widget=forms.TextInput(
            attrs={"autofocus": True, "autocomplete": "organization", "placeholder": "FreshCart"}
        ),
    )


class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("full_name",)
        labels = {"full_name": gettext_lazy("Your name")}
        widgets = {"full_name": forms.TextInput(attrs={"autocomplete": "name"})}


@login_required
def new_workspace(request: HttpRequest) -> HttpResponse:
    """The form of a new workspace; POST creates one and leads into its console."""
    user: Any = request.user
    form = WorkspaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            workspace = workspaces.create_workspace_for(
                user, form.cleaned_data["name"], now=timezone.now()
            )
        except ValidationError as error:
            form.add_error("name", error)
        else:
            messages.success(request, _welcome(workspace))
            return redirect(workspace.console_path)
    context = {
        "form": form,
        "has_workspace": bool(user.workspaces()),
        "waiting": invitations.open_for(user),
        "closing": workspaces.closing_workspaces(user),
    }
    return render(request, "tenants/new_workspace.html", context)


def _welcome(workspace: Workspace) -> str:
    named = {"workspace": workspace.name}
    with scope(workspace):
        is_connected = Connection.objects.filter(is_active=True).exists()
    if is_connected:
        return (
            _("Welcome to %(workspace)s. It starts with a sandbox, so nothing reaches real people.")
            % named
        )
    return (
        _(
            "Welcome to %(workspace)s. Connect a sandbox or a provider under Settings before you "
            "send."
        )
        % named
    )


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """The user's own name, and the workspaces they are in."""
    user: Any = request.user
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        people.rename(user, form.cleaned_data["full_name"])
        messages.success(request, _("Your name is saved."))
        return redirect("account_profile")
    with every_workspace():
        own = Membership.objects.filter(user=user, workspace__deletion_due_at=None)
        memberships = list(own.select_related("workspace").order_by("workspace__name"))
    context = {
        "form": form,
        "memberships": memberships,
        "waiting": invitations.open_for(user),
        "closing": workspaces.closing_workspaces(user),
    }
    return render(request, "tenants/profile.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Shows what the link invites to; joining is a POST of the signed-in user."""
    user: Any = request.user
    try:
        if request.method == "POST" and user.is_authenticated:
            joined = invitations.accept(token, user, timezone.now())
            messages.success(
                request, _("Welcome to %(workspace)s.") % {"workspace": joined.workspace}
            )
            return redirect(joined.workspace.console_path)
        found = invitations.open_invitation(token, timezone.now())
    except InvitationRefused as refused:
        status = _STATUS.get(refused.reason, _GONE)
        return render(request, "tenants/invitation.html", {"refused": str(refused)}, status=status)
    if not user.is_authenticated and invitations.proves_mailbox(
        token, request.GET.get("mailbox", "")
    ):
        drop_claims([found.email])
        get_adapter().stash_verified_email(request, found.email)
    back = {"next": request.path}
    return render(
        request,
        "tenants/invitation.html",
        {
            "invitation": found,
            "sign_in": urlencode(back),
            "sign_up": urlencode({**back, "email": found.email}),
        },
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def waiting_invitations(request: HttpRequest) -> HttpResponse:
    """The invitations that wait for the user; POST joins by one of them."""
    user: Any = request.user
    if request.method == "POST":
        try:
            joined = invitations.accept_waiting(
                request.POST.get("invitation", ""), user, timezone.now()
            )
        except InvitationRefused as refused:
            messages.error(request, str(refused))
            return redirect("waiting_invitations")
        messages.success(request, _("Welcome to %(workspace)s.") % {"workspace": joined.workspace})
        return redirect(joined.workspace.console_path)
    return render(request, "tenants/invitations.html", {"waiting": invitations.open_for(user)})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def deleted(request: HttpRequest) -> HttpResponse:
    """The user's own workspaces that are being deleted; POST brings one back."""
    user: Any = request.user
    closing = workspaces.closing_workspaces(user)
    if request.method != "POST":
        return render(request, "tenants/deleted_workspaces.html", {"closing": closing})
    workspace = next(
        (own for own in closing if own.slug == request.POST.get("workspace", "")), None
    )
    try:
        if workspace is None:
            raise ValidationError(_("You have no deleted workspace with this name."))
        workspaces.undo_deletion(workspace, by=user)
    except ValidationError as error:
        messages.error(request, error.messages[0])
        return redirect("deleted_workspaces")
    messages.success(
        request,
        _("%(workspace)s is restored. Running sends are paused; resume them when you are ready.")
        % {"workspace": workspace},
    )
    return redirect(workspace.console_path)
