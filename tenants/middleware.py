"""The workspace in the URL: `/w/<slug>/…` moves into the script name, so every reverse() stays
in its workspace."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import get_script_prefix, set_script_prefix
from django.utils import timezone

from pushpilot.lib.clients import client_address
from tenants import audit, roles
from tenants.models import Workspace
from tenants.scope import scope

# Where somebody with several workspaces lands after signing in.
LAST_WORKSPACE = "workspace"
_PREFIX = re.compile(r"^/w/(?P<slug>[-\w]{1,60})(?P<rest>/.*)?$", re.ASCII)
# Browsers read "//host", "/\\host" and, dropping control characters, "/<tab>/host" as the address
# of another site.
_OTHER_SITE = re.compile(r"/[\x00-\x20\\/]")


class WorkspaceMiddleware:
    """Sets `request.workspace` (None outside `/w/`) and runs the view inside the workspace's scope.

    Only members see that a workspace exists: to everyone else its pages are 404. Anonymous
    visitors of any `/w/…` address are sent to sign in, whether it exists or not.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with audit.origin(_way(request.path_info), client_address(request)):
            return self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        request.workspace = None  # type: ignore[attr-defined]
        match = _PREFIX.match(request.path_info)
        if match is None:
            return self.get_response(request)
        rest = match["rest"] or "/"
        if _OTHER_SITE.match(rest):
            raise Http404("no page of ours starts like that")
        if not rest.startswith("/admin/"):
            # Account pages have one address for all workspaces (OAuth redirect URIs), the console's
            # root another.
            query = ""
            if request.META.get("QUERY_STRING"):
                query = f"?{request.META['QUERY_STRING']}"
            return HttpResponseRedirect(
                (rest if rest != "/" else f"/w/{match['slug']}/admin/") + query
            )
        if not request.user.is_authenticated:
            from django.contrib.auth.views import redirect_to_login

            return redirect_to_login(request.get_full_path())
        workspace = Workspace.objects.filter(slug=match["slug"]).first()
        if workspace is None or not roles.can(request.user, roles.VIEW, workspace):
            raise Http404("no such workspace")
        return self._inside(request, workspace, rest)

    def _inside(self, request: HttpRequest, workspace: Workspace, rest: str) -> HttpResponse:
        request.workspace = workspace  # type: ignore[attr-defined]
        outer_prefix, prefix = get_script_prefix(), f"/w/{workspace.slug}"
        request.path_info = rest
        request.META["SCRIPT_NAME"] = prefix
        set_script_prefix(prefix + "/")
        try:
            # Times that Django or a filter writes by itself are on the workspace's clock, as ours
            # are.
            with scope(workspace), timezone.override(workspace.zone):
                response = self.get_response(request)
            if request.COOKIES.get(LAST_WORKSPACE) != workspace.slug:
                response.set_cookie(
                    LAST_WORKSPACE,
                    workspace.slug,
                    max_age=365 * 86400,
                    httponly=True,
                    samesite="Lax",
                    secure=settings.SESSION_COOKIE_SECURE,
                )
            return response
        finally:
            set_script_prefix(outer_prefix)


def _way(path: str) -> str:
    if path.startswith("/api/"):
        return audit.Via.API
    if path.startswith("/platform/"):
        return audit.Via.PLATFORM
    return audit.Via.CONSOLE
