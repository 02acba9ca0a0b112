"""What the templates of the frame need beyond Unfold's tags."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.template import Context
from django.urls import NoReverseMatch, reverse

from tenants import mailing

register = template.Library()


@register.simple_tag
def sign_in_providers() -> bool:
    """Is there any third-party provider with an app configured?"""
    providers: dict[str, Any] = settings.SOCIALACCOUNT_PROVIDERS
    return any(provider.get("APPS") for provider in providers.values())


@register.simple_tag(takes_context=True)
def mail_fate(context: Context) -> str:
    """What became of the last mail to this visitor: "sent", "kept" or "refused"."""
    return mailing.fate(context.get("request"))


@register.simple_tag(takes_context=True)
def crumbs(context: Context) -> list[dict[str, str]]:
    """Where the page is: [{"title", "link"}], e.g. Engage › Campaigns › Diwali. Empty where the
    sidebar has no part."""
    for group in context.get("sidebar_navigation") or []:
        for item in group["items"]:
            if item["active"]:
                here = {"title": item["title"], "link": item["link"]}
                below = _below(context, item["title"])
                if item["title"] == "Home":
                    return [here]
                return [{"title": group["title"], "link": ""}, here, *below]
    return []


def _below(context: Context, page_title: str) -> list[dict[str, str]]:
    """What the page shows under its list: an object, a form for a new one, or a page of its own."""
    row: Any = context.get("original") or context.get("object")
    title = str(context.get("title") or "")
    if row is not None and hasattr(row, "_meta"):
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
        try:
            link = reverse(name, args=[row.pk])
        except NoReverseMatch:
            link = ""
        return [{"title": str(row), "link": link}]
    if title and title != page_title and not context.get("cl"):
        return [{"title": title, "link": ""}]
    return []
