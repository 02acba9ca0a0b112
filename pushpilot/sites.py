"""The two admin sites: the console of a workspace and the operators' platform."""

from __future__ import annotations

from functools import update_wrapper
from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy
from unfold.dataclasses import SearchResult
from unfold.sites import UnfoldAdminSite

import campaigns.admin
import campaigns.admin.campaign.zone_change
import campaigns.admin.slots
import campaigns.plan
import campaigns.schedule.zones
import delivery.admin
import delivery.admin.addresses
import delivery.admin.platform.queue
import delivery.admin.references
import delivery.connections
import reports.across
import reports.admin
import reports.allowance
import reports.panels
import tenants.admin
import tenants.admin.keys.page
import tenants.admin.platform.site
import tenants.workspaces
from campaigns.admin.campaign.preview import preview
from delivery.admin.check import check_message
from delivery.admin.trials import send_test
from pushpilot import palette
from pushpilot.lib.compat.django import pages_of
from pushpilot.lib.compat.unfold import setting
from tenants import brand
from tenants.admin.autocomplete import AskedForOnly
from tenants.admin.base import WorkspaceAdmin
from tenants.admin.platform.base import ThirdPartyPage


class FramedSite(UnfoldAdminSite):
    """Unfold's frame, which both sites draw around every page."""

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The groups of the sidebar. Our items say which page is shown; one with tabs is while
        one of those is open.

        Unfold asks that of each item and tab by its address, and reverses 190 of them: a third
        of a page's time.
        """
        navigation = setting(self, "SIDEBAR", request, "navigation")
        tabs = setting(self, "TABS", request) or []
        opened = [tab["items"] for tab in tabs if any(item["active"] for item in tab["items"])]
        shown = {item["link"] for items in opened for item in items}
        for item in (item for group in navigation for item in group["items"]):
            item["has_permission"] = True
            item["active"] = item["active"] or item["link"] in shown
        groups: list[dict[str, Any]] = navigation
        return groups

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Nothing: no page shows Django's list of apps, and it asks the rights on every model
        for every page."""
        return []


class ConsoleSite(FramedSite):
    """The product: lives under /w/<slug>/admin/ and takes only WorkspaceAdmin pages."""

    index_title = gettext_lazy("Home")
    enable_nav_sidebar = True

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        if admin_class is None or not issubclass(admin_class, WorkspaceAdmin):
            raise TypeError(f"{admin_class} is no WorkspaceAdmin; the console shows nothing else.")
        super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        return getattr(request, "workspace", None) is not None and request.user.is_active

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.user.is_authenticated:
            return redirect("home")
        return redirect(f"/accounts/login/?{urlencode({'next': request.get_full_path()})}")

    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("/accounts/logout/")

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("/accounts/password/change/")

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: Any = None
    ) -> HttpResponse:
        return redirect("admin:index")

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        answer: HttpResponse = AskedForOnly.as_view(admin_site=self)(request)  # type: ignore[assignment]
        return answer

    def get_urls(self) -> list[Any]:
        """Without the shortcut /r/, which resolves any row of any workspace, and without
        Django's account pages."""
        own = [
            path("preview/", self.admin_view(preview), name="preview"),
            path("preview/check/", self.admin_view(check_message), name="check_message"),
            path("preview/test/", self.admin_view(send_test), name="send_test"),
        ]
        unwanted = ("view_on_site", "password_change_done")
        return [
            *own,
            *(url for url in super().get_urls() if getattr(url, "name", "") not in unwanted),
        ]

    def _get_colors(self, key: str, *args: Any) -> dict[str, dict[str, str]]:
        """Unfold's theme, in the workspace's own colour if it has one. Unfold has one palette
        for all requests."""
        colours: dict[str, dict[str, str]] = super()._get_colors(key, *args)
        workspace = None
        if args:
            workspace = getattr(args[0], "workspace", None)
        if workspace is None or not workspace.brand_colour:
            return colours
        return {**colours, "primary": brand.palette(workspace.brand_colour)}

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_permission(request):
            raise Http404
        return _answer_palette(
            request, palette.search(request, request.GET.get("s", "")[:100], self)
        )


class PlatformSite(FramedSite):
    """The operators' site: superusers only. Everything third-party (queue, accounts) is here and
    nowhere else."""

    settings_name = "UNFOLD_PLATFORM"
    index_title = gettext_lazy("Home")
    index_template = "pushpilot/platform_home.html"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """For everybody else who is signed in, the platform does not exist."""
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                raise Http404
            response: HttpResponse = inner(request, *args, **kwargs)
            return response

        return update_wrapper(guarded, inner)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.user.is_authenticated and not self.has_permission(request):
            raise Http404
        if request.user.is_authenticated:
            return redirect("platform:index")
        return redirect_to_login("/platform/")

    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("/accounts/logout/")

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("/accounts/password/change/")

    def get_urls(self) -> list[Any]:
        unwanted = ("view_on_site", "password_change_done")
        return [url for url in super().get_urls() if getattr(url, "name", "") not in unwanted]

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: Any = None
    ) -> HttpResponse:
        return redirect("platform:index")

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return _answer_palette(request, palette.search_platform(request.GET.get("s", "")[:100]))


def _answer_palette(request: HttpRequest, found: list[SearchResult]) -> HttpResponse:
    """Uncached: Unfold's own keeps results for 5 minutes by user and term, across workspaces and
    both sites."""
    page = Paginator(found, 60)
    template = "search_results"
    if "extended" in request.GET:
        template = "command_results"
    return TemplateResponse(
        request,
        f"unfold/helpers/{template}.html",
        {"page_obj": page, "results": page.page(1), "page_counter": 0, "execution_time": 0},
        headers={"HX-Trigger": "search"},
    )


console = ConsoleSite(name="admin")
platform = PlatformSite(name="platform")

for package in (tenants.admin, campaigns.admin, delivery.admin, reports.admin):
    for model, page in package.PAGES.items():
        console.register(model, page)

# Upper layers fill slots on the pages of lower ones.
campaigns.admin.slots.pages = delivery.admin.addresses
campaigns.admin.slots.CAMPAIGN_PANELS.append(reports.panels.campaign_panel)
campaigns.admin.slots.OBSTACLES.append(delivery.admin.obstacle)
campaigns.admin.slots.CONTACT_PANELS.append(delivery.admin.references.newest_of)
delivery.admin.RUN_PANELS.append(reports.panels.run_panel)
delivery.admin.MESSAGE_STATES.append(reports.panels.message_states)
tenants.admin.keys.page.NOTICES.append(reports.allowance.notice)
tenants.workspaces.ON_CREATED.append(delivery.connections.start_with_sandbox)
tenants.workspaces.ON_DELETION.append(campaigns.plan.stop_everything)
tenants.workspaces.PLANNED_SENDS.append(campaigns.admin.campaign.zone_change.planned_sends)
tenants.workspaces.ON_ZONE_CHANGE.append(campaigns.schedule.zones.move)

tenants.admin.platform.site.FIGURES.extend(reports.across.FIGURES)


def third_party_page(theirs: type[ModelAdmin]) -> type[ModelAdmin]:
    """A page that nobody here has read: it shows its rows without what looks like a secret, and
    changes nothing."""
    return type(theirs.__name__, (ThirdPartyPage, theirs), {})


for model, page in {
    **tenants.admin.platform.site.PLATFORM_PAGES,
    **delivery.admin.platform.queue.PLATFORM_PAGES,
}.items():
    platform.register(model, page)
for model, page in pages_of(admin.site).items():
    if not platform.is_registered(model) and model not in tenants.admin.platform.site.WITHOUT_PAGE:
        platform.register(model, third_party_page(type(page)))
