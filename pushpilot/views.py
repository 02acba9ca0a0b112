"""Pages outside of any workspace."""

from __future__ import annotations

import sys
from typing import cast

from django.contrib.auth.decorators import login_required
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views import defaults
from django.views.decorators.http import require_safe

from pushpilot import health
from pushpilot.lib.health import Status
from pushpilot.middleware import POLICY
from tenants.models import User
from tenants.views import new_workspace


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Send a user to the console of a workspace, and an operator without one to the platform.
    Others create theirs."""
    user = cast(User, request.user)
    last = request.COOKIES.get("workspace", "")
    slugs = [workspace.slug for workspace in user.workspaces()]
    if slugs and "new" not in request.GET:
        return redirect(f"/w/{last if last in slugs else slugs[0]}/admin/")
    if request.method == "GET" and "new" not in request.GET and user.is_superuser:
        return redirect("platform:index")
    return new_workspace(request)


def server_error(request: HttpRequest) -> HttpResponse:
    """A database that is away, locked or saw a deadlock asks for patience, not for a maintainer."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": "5"})
    return defaults.server_error(request)


@require_safe
def api_reference(request: HttpRequest) -> HttpResponse:
    """The API's description for reading: Redoc, which ninja brings along, without its search, which
    would run in a script that our policy refuses."""
    response = render(request, "api_reference.html", {"description": reverse("api:openapi-json")})
    # Its footer shows a picture of its maker's server.
    response.headers["Content-Security-Policy"] = POLICY.replace(
        "img-src 'self' data: https:", "img-src 'self' data:"
    )
    return response


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the database answers. `?verbose`: the status word of every check, 503 if one is
    broken."""
    if "verbose" in request.GET:
        found = health.statuses()
        is_broken = Status.BROKEN in found.values()
        return JsonResponse(
            {"status": "broken" if is_broken else "ok", "checks": found},
            status=503 if is_broken else 200,
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
