"""Pages outside of any workspace."""

from __future__ import annotations

import sys
from typing import cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views import defaults

from delivery.connections import SandboxUnreachable, connect_sandbox
from pushpilot import health
from pushpilot.lib.health import Status
from tenants import people
from tenants.invitations import open_for
from tenants.models import Membership, User, Workspace
from tenants.scope import every_workspace
from tenants.validators import validate_name
from tenants.workspaces import closing_workspaces, found_workspace


class WorkspaceForm(forms.Form):
    name = forms.CharField(
        max_length=100,
        min_length=2,
        validators=[validate_name],
        label="Name of your company or team",
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "organization", "placeholder": "FreshCart"}),
    )


class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("full_name",)
        labels = {"full_name": "Your name"}
        widgets = {"full_name": forms.TextInput(attrs={"autocomplete": "name"})}


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Sends a user to a workspace's console, an operator without to the platform; others create their first here."""
    user = cast(User, request.user)
    last = request.COOKIES.get("workspace", "")
    slugs = [workspace.slug for workspace in user.workspaces()]
    if slugs and "new" not in request.GET:
        return redirect(f"/w/{last if last in slugs else slugs[0]}/admin/")
    if request.method == "GET" and "new" not in request.GET and user.is_superuser:
        return redirect("platform:index")
    form = WorkspaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            workspace = found_workspace(form.cleaned_data["name"], by=user, now=timezone.now())
        except ValidationError as error:
            form.add_error("name", error)
        else:
            messages.success(request, _connect_sandbox(workspace, user))
            return redirect(workspace.console_path)
    context = {
        "form": form, "has_workspace": bool(slugs), "waiting": open_for(user), "closing": closing_workspaces(user),
    }  # fmt: skip
    return render(request, "tenants/first_workspace.html", context)


def _connect_sandbox(workspace: Workspace, user: User) -> str:
    """What to say about it. Without its sandbox a workspace is whole all the same: it can be connected later."""
    try:
        connect_sandbox(workspace, by=user)
    except SandboxUnreachable:
        return f"Welcome to {workspace.name}. Connect a sandbox or Firebase under Settings before you send."
    return f"Welcome to {workspace.name}. It starts with a sandbox, so nothing reaches real phones."


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """The user's own name, and the workspaces they are in."""
    user = cast(User, request.user)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        people.rename(user, form.cleaned_data["full_name"])
        messages.success(request, "Your name is saved.")
        return redirect("account_profile")
    with every_workspace():
        own = Membership.objects.filter(user=user, workspace__deletion_due_at=None)
        memberships = list(own.select_related("workspace").order_by("workspace__name"))
    context = {
        "form": form, "memberships": memberships, "waiting": open_for(user), "closing": closing_workspaces(user),
    }  # fmt: skip
    return render(request, "tenants/profile.html", context)


def server_error(request: HttpRequest) -> HttpResponse:
    """A database that is away, locked or saw a deadlock asks for patience, not for a maintainer."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": "5"})
    return defaults.server_error(request)


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the database answers. `?verbose`: the status word of every check, 503 if one is broken."""
    if "verbose" in request.GET:
        found = health.statuses()
        is_broken = Status.BROKEN in found.values()
        return JsonResponse(
            {"status": "broken" if is_broken else "ok", "checks": found}, status=503 if is_broken else 200
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
