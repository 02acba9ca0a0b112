"""A campaign is written: made, changed, copied, kept. What is wrong with what is asked is said by
path, such as contents.0.title; what is missing is for lint to say.

Roles are checked by the doors.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.draft_fields import Draft
from campaigns.models import Campaign, Content
from campaigns.sending import SENDING_FIELDS
from tenants import audit
from tenants.models import User, Workspace

Status = Campaign.Status
_SCHEDULE_FIELDS = ("schedule_type", "wall_clock", "time_zone", "recurrence_rule", "skip_dates")
_AUDIENCE_FIELDS = ("audience_rule", "target_kind", "target")
_WORDS = ("name", "description", "channel", "tone")
COLUMNS = (*_WORDS, *_AUDIENCE_FIELDS, *_SCHEDULE_FIELDS, *SENDING_FIELDS)


class NotEditable(ValidationError):
    """The campaign is on its way."""

    def __init__(self, campaign: Campaign) -> None:
        words = _(
            "The status of the campaign is “%(status)s”. Cancel the campaign before you change it."
        )
        super().__init__(words % {"status": campaign.get_status_display()}, "not_editable")


@transaction.atomic
def create(
    workspace: Workspace, given: Mapping[str, Any], *, by: User | None, now: datetime
) -> Campaign:
    """A new draft. `given`: any of draft_fields.FIELDS, the name at least. Raises ValidationError
    by path."""
    draft = Draft(Campaign(workspace=workspace, created_by=by), [], now)
    draft.put(given)
    write(draft.campaign, draft.contents, by=by)
    changes = {name: (None, given[name]) for name in given if name != "name"}
    audit.record(workspace, "campaign created", draft.campaign, by=by, changes=changes)
    return draft.campaign


@transaction.atomic
def change(
    campaign: Campaign, given: Mapping[str, Any], *, by: User | None, now: datetime
) -> Campaign:
    """The campaign with these fields changed, and nothing else of it; `contents` replaces all
    contents. Raises NotEditable, or ValidationError by path."""
    held = hold(campaign)
    stored = list(contents_of(held))
    before = _said(held, stored)
    draft = Draft(held, stored, now)
    draft.put(given)
    kept = {content.pk for content in draft.contents}
    held.contents.exclude(pk__in=kept - {None}).delete()
    write(held, draft.contents, by=by)
    after = _said(held, draft.contents)
    changes = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
    if changes:
        audit.record(held.workspace, "campaign changed", held, by=by, changes=changes)
    return held


def hold(campaign: Campaign) -> Campaign:
    """The campaign as it is now, locked until the transaction ends. Raises NotEditable."""
    held = (
        Campaign.objects.select_for_update(of=("self",))
        .select_related("workspace")
        .get(pk=campaign.pk)
    )
    if not held.is_editable:
        raise NotEditable(held)
    return held


def write(campaign: Campaign, contents: list[Content], *, by: User | None) -> None:
    """Keep the checked campaign, which its caller holds or has just made, as a draft with these
    contents. Its other contents stay. All contents take the campaign's channel."""
    campaign.updated_by, campaign.status = by, Status.DRAFT
    campaign.save()
    for content in contents:
        content.campaign, content.workspace = campaign, campaign.workspace
        content.channel = campaign.channel
        content.save()
    campaign.contents.exclude(channel=campaign.channel).update(channel=campaign.channel)


@transaction.atomic
def duplicate(campaign: Campaign, *, by: User | None) -> Campaign:
    """A new draft with the same message, audience and schedule."""
    contents = list(contents_of(campaign))
    copied = [name for name in (*COLUMNS, "template_id") if name != "name"]
    copy = Campaign(
        workspace_id=campaign.workspace_id,
        name=(_("%(name)s (copy)") % {"name": campaign.name[:91]})[:100],
        created_by=by,
        updated_by=by,
        **{name: getattr(campaign, name) for name in copied},
    )
    copy.save()
    for content in contents:
        content.pk, content._state.adding, content.campaign = None, True, copy
    Content.objects.bulk_create(contents)
    detail = {"source": campaign.pk}
    audit.record(copy.workspace, "campaign duplicated", copy, by=by, detail=detail)
    return copy


def contents_of(campaign: Campaign) -> Any:
    """The contents in the order in which every door lists them."""
    return campaign.contents.order_by("variant", "id")


def _said(campaign: Campaign, contents: list[Content]) -> dict[str, Any]:
    """What the trail compares."""
    said = {name: getattr(campaign, name) for name in COLUMNS}
    return {**said, "contents": [content.snapshot() for content in contents]}
