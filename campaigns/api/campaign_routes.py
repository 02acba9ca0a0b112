"""Campaigns by API: written, looked at before they are sent, scheduled and stopped by the verbs of
the console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router, Status

from campaigns import drafts, removal, sends
from campaigns.api import campaign_schemas as schemas
from campaigns.api import slots
from campaigns.audience import selection
from campaigns.channels import registry
from campaigns.content.lint import Finding, lint, path_of
from campaigns.content.preview import compiled, content_for, sample_person
from campaigns.filters import CampaignFilters
from campaigns.models import Campaign, Contact, Content, Run
from campaigns.plan import CannotPlan
from pushpilot.lib.lists import Listing
from pushpilot.lib.problems import Problem, invalid
from pushpilot.lib.spelling import fold
from tenants import keys, roles
from tenants.api import etags
from tenants.api.errors import by_the_rules
from tenants.api.idempotency import idempotent
from tenants.api.security import Access, actor_of, at_work

router = Router(tags=["Campaigns"])
READ, WRITE = Access(keys.CAMPAIGNS_READ), Access(keys.CAMPAIGNS_WRITE)
SEND = Access(keys.CAMPAIGNS_SEND)
CAMPAIGNS = Listing(CampaignFilters, schemas.CampaignOut)
RUNS_TOLD = 20
# {name of the API: name of the verbs}
_RENAMED = {"channel_type": "channel"}
_TOLD = [
    *("id", "name", "description", "status", "tone", "audience_rule", "target_kind", "target"),
    *("schedule_type", "recurrence_rule", "skip_dates", "per_second", "avoid_quarter_hours"),
    *("start_within_mins", "expires_after_mins", "ambiguity_policy", "created_at", "updated_at"),
]


# --- what is told ---------------------------------------------------------------------------------
def _row(campaign: Campaign) -> dict[str, Any]:
    is_now = campaign.schedule_type == Campaign.Schedule.NOW
    return {
        **{name: getattr(campaign, name) for name in _TOLD},
        "channel_type": campaign.channel,
        "scheduled_at": None if is_now else campaign.scheduled_at,
        "time_zone": campaign.zone.key,
        "created_by": campaign.created_by_id,
        "updated_by": campaign.updated_by_id,
    }


def _detail(campaign: Campaign) -> dict[str, Any]:
    runs = campaign.runs.order_by("-intended_at", "-pk")[:RUNS_TOLD]
    contents = [_content(content) for content in drafts.contents_of(campaign)]
    return {**_row(campaign), "contents": contents, "runs": [_run(run) for run in runs]}


def _content(content: Content) -> dict[str, Any]:
    own = {"language": content.language, "variant": content.variant, "tone": content.tone}
    return {**content.fields, **own}


def _run(run: Run) -> dict[str, Any]:
    names = ("id", "state", "started_at", "finished_at", "audience_size", "last_error")
    return {
        **{name: getattr(run, name) for name in names},
        "scheduled_for": run.intended_at,
        "counts": slots.tally_of(run),
    }


def _answer(campaign: Campaign, response: HttpResponse) -> dict[str, Any]:
    etags.put(response, campaign)
    return _detail(campaign)


# --- what is asked --------------------------------------------------------------------------------
def _found(pk: int) -> Campaign:
    found = Campaign.objects.select_related("workspace").filter(pk=pk).first()
    if found is None:
        detail = _("This workspace has no such campaign.")
        raise Problem(404, "campaign_not_found", detail)
    return found


def _given(body: schemas.Schedule) -> dict[str, Any]:
    """The fields that were sent, as the verbs call them."""
    given: dict[str, Any] = {}
    for name in body.model_fields_set:
        value = getattr(body, name)
        if name == "contents" and value is not None:
            value = [content.model_dump(exclude_unset=True) for content in value]
        given[_RENAMED.get(name, name)] = value
    return given


@contextmanager
def _by_the_verbs(campaign: Campaign | None = None) -> Iterator[None]:
    """As by_the_rules, with the API's names of fields; 422 for the findings that stop a send."""
    try:
        with by_the_rules({name: asked for asked, name in _RENAMED.items()}):
            yield
    except CannotPlan as error:
        if campaign is None or not error.findings:
            raise Problem(409, "refused", str(error)) from error
        raise invalid([_refused(campaign, finding) for finding in error.findings]) from error


def _refused(campaign: Campaign, finding: Finding) -> dict[str, str]:
    return {"field": _path(campaign, finding), "code": "not_ready", "detail": finding.text}


def _path(campaign: Campaign, finding: Finding) -> str:
    path = path_of(finding, campaign)
    return {"channel": "channel_type"}.get(path, path)


# --- campaigns ------------------------------------------------------------------------------------
@router.get("/campaigns", **CAMPAIGNS.route, auth=READ, summary="Campaigns")
def list_campaigns(request: HttpRequest) -> dict[str, Any]:
    """The newest first. `status=active` finds campaigns that are scheduled, running or paused."""
    with at_work(request, roles.VIEW):
        return CAMPAIGNS.page(request, Campaign.objects.select_related("workspace"), _row)


@router.post(
    "/campaigns",
    response={201: schemas.CampaignDetail},
    auth=WRITE,
    summary="Create a campaign",
)
@idempotent(roles.EDIT)
def create_campaign(
    request: HttpRequest, body: schemas.NewCampaign, response: HttpResponse
) -> Status[dict[str, Any]]:
    """A draft, with its contents, audience and schedule if you like. Nothing is sent before it is
    scheduled."""
    with at_work(request, roles.EDIT) as workspace, _by_the_verbs():
        made = drafts.create(workspace, _given(body), by=actor_of(request), now=timezone.now())
        return Status(201, _answer(made, response))


@router.get(
    "/campaigns/{int:campaign}",
    response=schemas.CampaignDetail,
    auth=READ,
    summary="One campaign",
)
def get_campaign(request: HttpRequest, campaign: int, response: HttpResponse) -> dict[str, Any]:
    """With its contents, its newest sends and their figures. `ETag` is for If-Match."""
    with at_work(request, roles.VIEW):
        return _answer(_found(campaign), response)


@router.patch(
    "/campaigns/{int:campaign}",
    response=schemas.CampaignDetail,
    auth=WRITE,
    summary="Change a campaign",
    openapi_extra=etags.DOCUMENTED,
)
def change_campaign(
    request: HttpRequest, campaign: int, body: schemas.CampaignChanges, response: HttpResponse
) -> dict[str, Any]:
    """Only while nothing of it is on its way: otherwise cancel it first. It becomes a draft."""
    with at_work(request, roles.EDIT), _by_the_verbs(), transaction.atomic():
        held = drafts.hold(_found(campaign))
        etags.expect(request, held, _detail)
        changed = drafts.change(held, _given(body), by=actor_of(request), now=timezone.now())
        return _answer(changed, response)


@router.delete(
    "/campaigns/{int:campaign}",
    response={204: None},
    auth=WRITE,
    summary="Delete a campaign",
    openapi_extra=etags.DOCUMENTED,
)
def delete_campaign(request: HttpRequest, campaign: int) -> HttpResponse:
    """A campaign that no provider got a message of. What was sent is kept with the record of its
    recipients."""
    with at_work(request, roles.EDIT), _by_the_verbs(), transaction.atomic():
        held = drafts.hold(_found(campaign))
        etags.expect(request, held, _detail)
        if kept := removal.remove(held, by=actor_of(request)):
            raise Problem(409, "refused", kept)
    return HttpResponse(status=204)


@router.post(
    "/campaigns/{int:campaign}/duplicate",
    response={201: schemas.CampaignDetail},
    auth=WRITE,
    summary="Duplicate a campaign",
)
@idempotent(roles.EDIT)
def duplicate_campaign(
    request: HttpRequest, campaign: int, response: HttpResponse
) -> Status[dict[str, Any]]:
    """A new draft with the same message, audience and schedule."""
    with at_work(request, roles.EDIT):
        copy = drafts.duplicate(_found(campaign), by=actor_of(request))
        return Status(201, _answer(copy, response))


# --- before a send --------------------------------------------------------------------------------
@router.get(
    "/campaigns/{int:campaign}/forecast",
    response=schemas.Forecast,
    auth=READ,
    summary="Who would get it",
)
def forecast_campaign(request: HttpRequest, campaign: int) -> dict[str, Any]:
    """The audience by reason as it would be now, and what lint finds: errors stop a send."""
    with at_work(request, roles.VIEW) as workspace:
        found = _found(campaign)
        counts: dict[str, int] = {}
        if not found.is_broadcast:
            expected = selection.forecast(workspace, found.channel, found.audience_rule)
            counts = {reason.slug: number for reason, number in expected.items()}
        findings = [
            {
                "severity": one.severity.name.lower(),
                "field": _path(found, one),
                "detail": one.text,
            }
            for one in lint(found, timezone.now())
        ]
        size = None if found.is_broadcast else sum(counts.values())
        return {"audience_size": size, "counts": counts, "findings": findings}


@router.post(
    "/campaigns/{int:campaign}/preview",
    response=schemas.PreviewOut,
    auth=READ,
    summary="The message as one person would get it",
)
def preview_campaign(
    request: HttpRequest, campaign: int, body: schemas.PreviewFor | None = None
) -> dict[str, Any]:
    """In the person's language, filled in with their data. Nothing is sent."""
    with at_work(request, roles.VIEW) as workspace:
        found = _found(campaign)
        person = _person(found, body.external_user_id if body else None)
        contents = drafts.contents_of(found)
        content = content_for(contents, person, workspace.default_language)
        channel = registry.CHANNELS.get(found.channel)
        if content is None or channel is None:
            raise Problem(409, "refused", _("The campaign has no message yet. Write one first."))
        filled = compiled(workspace, channel, content.snapshot(), person, found.target_kind)
        own = ("language", "variant")
        return {
            "channel_type": found.channel,
            "external_user_id": person.external_id if person else None,
            "language": content.language,
            "variant": content.variant,
            "payload": {name: value for name, value in filled.payload.items() if name not in own},
            "size_bytes": filled.size_bytes,
            "limit_bytes": filled.limit_bytes,
            "problems": filled.problems,
        }


def _person(campaign: Campaign, external_user_id: str | None) -> Contact | None:
    if campaign.is_broadcast:
        return None
    if external_user_id is None:
        return sample_person(campaign.workspace, campaign.audience_rule)
    person = Contact.objects.filter(external_id=fold(external_user_id)).first()
    if person is None:
        detail = _("This workspace has no contact with this id. Send the id of another one.")
        raise invalid([{"field": "external_user_id", "code": "unknown", "detail": detail}])
    return person


# --- sends ----------------------------------------------------------------------------------------
@router.post(
    "/campaigns/{int:campaign}/schedule",
    response=schemas.CampaignDetail,
    auth=SEND,
    summary="Schedule a campaign",
    openapi_extra=etags.DOCUMENTED,
)
@idempotent(roles.SEND)
def schedule_campaign(
    request: HttpRequest,
    campaign: int,
    response: HttpResponse,
    body: schemas.Schedule | None = None,
) -> dict[str, Any]:
    """As its stored schedule says, or as you say here. What is sent now starts after the seconds
    in which it can be cancelled. 422 lists what is missing."""
    now, by = timezone.now(), actor_of(request)
    with at_work(request, roles.SEND), transaction.atomic():
        found = _found(campaign)
        with _by_the_verbs(found):
            if "If-Match" in request.headers:
                etags.expect(request, drafts.hold(found), _detail)
            sends.schedule(found, _given(body) if body else {}, by=by, now=now)
        return _answer(_found(campaign), response)


@router.post(
    "/campaigns/{int:campaign}/cancel",
    response=schemas.CampaignDetail,
    auth=SEND,
    summary="Cancel a campaign",
)
@idempotent(roles.SEND)
def cancel_campaign(request: HttpRequest, campaign: int, response: HttpResponse) -> dict[str, Any]:
    """Nothing more of it is sent, and a series ends. Messages already sent stay sent."""
    with at_work(request, roles.SEND), _by_the_verbs():
        sends.cancel(_found(campaign), by=actor_of(request), now=timezone.now())
        return _answer(_found(campaign), response)


@router.post(
    "/campaigns/{int:campaign}/pause",
    response=schemas.CampaignDetail,
    auth=SEND,
    summary="Pause a campaign",
)
@idempotent(roles.SEND)
def pause_campaign(request: HttpRequest, campaign: int, response: HttpResponse) -> dict[str, Any]:
    """The remaining recipients wait until somebody resumes it."""
    with at_work(request, roles.SEND), _by_the_verbs():
        sends.pause(_found(campaign), by=actor_of(request))
        return _answer(_found(campaign), response)


@router.post(
    "/campaigns/{int:campaign}/resume",
    response=schemas.CampaignDetail,
    auth=SEND,
    summary="Resume a campaign",
)
@idempotent(roles.SEND)
def resume_campaign(request: HttpRequest, campaign: int, response: HttpResponse) -> dict[str, Any]:
    """It goes on exactly where it stopped."""
    with at_work(request, roles.SEND), _by_the_verbs():
        sends.resume(_found(campaign), by=actor_of(request))
        return _answer(_found(campaign), response)
