"""Addresses of this layer's pages, for campaigns (campaigns.admin.slots.UpperPages) and upper
layers."""

from __future__ import annotations

from django.urls import reverse


def run(run_id: int) -> str:
    return reverse("admin:campaigns_run_change", args=[run_id])


def edit_message(run_id: int) -> str:
    return reverse("admin:campaigns_run_rewrite", args=[run_id])


def check_message() -> str:
    return reverse("admin:check_message")


def send_test() -> str:
    return reverse("admin:send_test")
