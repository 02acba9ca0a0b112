"""Addresses of console pages that reports link to. Which pages there are is decided by the layers that own them."""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch, reverse


def page(name: str, *args: Any) -> str:
    """The address of a console page; "" where that page is not installed."""
    try:
        return reverse(f"admin:{name}", args=args)
    except NoReverseMatch:
        return ""


def campaign(campaign_id: int) -> str:
    return page("campaigns_campaign_change", campaign_id)


def run(run_id: int) -> str:
    return page("campaigns_run_change", run_id)
