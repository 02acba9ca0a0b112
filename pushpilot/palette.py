"""What the command palette (Ctrl-K) finds: pages, and campaigns, templates and contacts of the
workspace by name.

Never cached: Unfold's own palette keeps results for five minutes by user and term, across
workspaces.
"""

from __future__ import annotations

from typing import cast

from django.contrib.admin import AdminSite
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from unfold.dataclasses import SearchResult

from campaigns.models import Campaign, Contact, Template
from pushpilot import navigation, operations
from pushpilot.lib.compat.django import pages_of
from pushpilot.lib.spelling import fold
from tenants.models import User, Workspace

MOST_ROWS = 6


def search(request: HttpRequest, term: str, site: AdminSite) -> list[SearchResult]:
    """Results within the request's workspace, best first; "" finds every page."""
    words = term.strip().lower()
    pages = _pages(navigation.pages(request, site), words)
    rows = []
    if words:
        rows = _rows(request, term.strip(), site)
    return [*_commands(request, words, site), *pages, *rows, *_workspaces(request, words)]


def _pages(found: list[tuple[str, navigation.Page, str]], words: str) -> list[SearchResult]:
    """Those of (group, page, link) that the words are in."""
    return [
        SearchResult(title=str(page.title), description=group, link=link, icon=page.icon)
        for group, page, link in found
        if words in f"{page.title} {group}".lower()
    ]


def _results(rows: QuerySet[Model], icon: str, site_name: str) -> list[SearchResult]:
    """The first MOST_ROWS, each with a link to its page on that site."""
    options = rows.model._meta
    name = f"{site_name}:{options.app_label}_{options.model_name}_change"
    noun = str(options.verbose_name)
    return [
        SearchResult(title=str(row), description=noun, link=reverse(name, args=[row.pk]), icon=icon)
        for row in rows[:MOST_ROWS]
    ]


def _commands(request: HttpRequest, words: str, site: AdminSite) -> list[SearchResult]:
    page = pages_of(site).get(Campaign)
    title, description = _("New campaign"), _("Write and send")
    other = _("Create a campaign")
    names = f"{title} {description} {other}".lower()
    if page is None or not page.has_add_permission(request) or words not in names:
        return []
    link = reverse(f"{site.name}:campaigns_campaign_add")
    return [SearchResult(title=title, description=description, link=link, icon="add")]


def _workspaces(request: HttpRequest, words: str) -> list[SearchResult]:
    """The way to the user's other workspaces, and to a new one."""
    user = cast(User, request.user)
    here: Workspace = request.workspace  # type: ignore[attr-defined]
    ways = [
        (_("Switch to %(workspace)s") % {"workspace": own}, own.console_path, "domain")
        for own in user.workspaces()
        if own != here
    ]
    ways.append((_("New workspace"), "/?new", "add"))
    group = _("Workspaces")
    return [
        SearchResult(title=title, description=group, link=link, icon=icon)
        for title, link, icon in ways
        if words in f"{title} {group}".lower()
    ]


def _rows(request: HttpRequest, term: str, site: AdminSite) -> list[SearchResult]:
    by_name = Q(name__icontains=term)
    # A prefix: the unique index on external_id serves it.
    by_id = Q(external_id__startswith=fold(term)) | Q(attributes__first_name__istartswith=term)
    found: list[tuple[QuerySet[Model], str]] = [
        (Campaign.objects.filter(by_name).order_by("-id"), "campaign"),
        (Template.objects.filter(by_name).order_by("name"), "dashboard_customize"),
        (Contact.objects.filter(by_id).order_by("id"), "person"),
    ]
    results: list[SearchResult] = []
    for rows, icon in found:
        page = pages_of(site).get(rows.model)
        if page is not None and page.has_view_permission(request):
            results += _results(rows, icon, site.name)
    return results


def search_platform(term: str) -> list[SearchResult]:
    """The operators' palette: their pages, users by name or address, workspaces by name."""
    words = term.strip().lower()
    results = _pages(operations.pages(), words)
    if words:
        by_user = Q(email__icontains=words) | Q(full_name__icontains=words)
        by_workspace = Q(name__icontains=words) | Q(slug__icontains=words)
        results += _results(User.objects.filter(by_user).order_by("email"), "person", "platform")
        results += _results(
            Workspace.objects.filter(by_workspace).order_by("name"), "domain", "platform"
        )
    return results
