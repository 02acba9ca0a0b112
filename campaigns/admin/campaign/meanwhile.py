"""Somebody saved a campaign while another person had it open: what the second person reads."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _

from campaigns.admin.campaign.message import main_content
from campaigns.channels import registry
from campaigns.models import Campaign
from tenants.admin.base import workspace_of


def meanwhile_words(request: HttpRequest, stored: Campaign) -> str:
    """That the form was not saved, by which change, and the message as it is now."""
    message = main_content(stored, workspace_of(request))
    channel = registry.CHANNELS.get(stored.channel)
    names = []
    if channel:
        names = [field.name for field in channel.fields if field.name != channel.title_field]
    text = max((message.text(name) for name in names), key=len, default="")
    now = _("The message is now “%(title)s”: “%(text)s”.") % {
        "title": message.title or _("(no title)"),
        "text": text or _("(no text)"),
    }
    remedy = _("Your entries are still here. Save again to replace the saved campaign with them.")
    return f"{_changed_by(request, stored)} {now} {remedy}"


def _changed_by(request: HttpRequest, stored: Campaign) -> str:
    if stored.updated_by is None:
        return _("Nothing was saved: somebody changed this campaign after you opened this page.")
    if stored.updated_by_id == request.user.pk:
        return _(
            "Nothing was saved: you changed this campaign in another window after you opened this "
            "page."
        )
    words = _("Nothing was saved: %(person)s changed this campaign after you opened this page.")
    return words % {"person": stored.updated_by}
