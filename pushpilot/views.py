"""Pages outside of any workspace."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from tenants.workspaces import create_workspace


class WorkspaceForm(forms.Form):
    name = forms.CharField(max_length=100, min_length=2, label="Name of your company or team")


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Sends a user to a workspace's console; someone without one creates the first here."""
    last = request.COOKIES.get("workspace", "")
    slugs = list(request.user.workspaces().values_list("slug", flat=True))  # type: ignore[union-attr]
    if slugs and "new" not in request.GET:
        return redirect(f"/w/{last if last in slugs else slugs[0]}/admin/")
    form = WorkspaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        workspace = create_workspace(form.cleaned_data["name"], owner=request.user)  # type: ignore[arg-type]
        messages.success(
            request, f"Welcome to {workspace.name}. It starts with a sandbox, so nothing reaches real phones."
        )
        return redirect(workspace.console_path)
    return render(request, "home/first_workspace.html", {"form": form, "has_workspace": bool(slugs)})


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
