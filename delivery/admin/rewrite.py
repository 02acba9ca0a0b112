"""The page “Edit the message” of a campaign on its way: what it sends to those whom it has not
sent to yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from campaigns import plan
from campaigns.admin.campaign.message import MessageForm
from campaigns.admin.contact.attributes import for_page, known_attributes
from campaigns.audience.reasons import Reason
from campaigns.content import lint
from campaigns.content.rewrite import ChangedMeanwhile, Ended, open_runs, rewrite
from campaigns.models import Campaign, Content, Run
from delivery.admin import addresses
from delivery.admin.run import figures
from delivery.models import Shard
from pushpilot.lib.display import counted, format_number, planned_moment
from tenants import roles
from tenants.admin.base import WorkspaceAdmin, require
from tenants.models import User


@dataclass(frozen=True, slots=True)
class Affected:
    """Which recipients of one run a new text reaches, at this moment."""

    run: Run
    url: str
    sentence: str


def affected_by_edit(run: Run) -> Affected:
    """In words and numbers: who has the old text, who is getting it, who gets the new one."""
    return Affected(run, addresses.run(run.pk), _sentence(run))


def _sentence(run: Run) -> str:
    if run.state == Run.State.PLANNED:
        when = planned_moment(run.intended_at, run.workspace.zone, timezone.now())
        return f"Planned for {when}: everybody gets the new text."
    account = figures.run_account(run, list(Shard.objects.filter(run=run)))
    if account is None:
        return (
            "The audience is being put together and nobody has got anything yet: everybody "
            "gets the new text."
        )
    if run.is_broadcast:
        return "The provider has not taken it yet: everyone subscribed gets the new text."
    have, flying = account.count("accepted"), account.count_of(figures.IN_FLIGHT)
    waiting = account.count("waiting") - flying
    unsure = account.count_of(Reason.UNKNOWN.slug)
    parts = []
    if have:
        parts.append(
            f"{format_number(have)} of {counted(account.audience, 'recipient')} already "
            f"{_has(have)} the old text and keep it"
        )
    if flying:
        parts.append(
            f"{format_number(flying)} {'is' if flying == 1 else 'are'} getting the old "
            "text at this moment"
        )
    if unsure:
        parts.append(f"{format_number(unsure)} may have got the old text")
    parts.append(
        f"{format_number(waiting)} not sent to yet {'gets' if waiting == 1 else 'get'} the new one"
    )
    if others := account.audience - have - flying - unsure - waiting:
        parts.append(
            f"{format_number(others)} others get neither" if others > 1 else "1 other gets neither"
        )
    return "; ".join(parts) + "."


def _has(n: int) -> str:
    return "has" if n == 1 else "have"


def page(admin: WorkspaceAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows the form, POST saves it: both need the right to edit and the right to send."""
    require(request, roles.EDIT)
    workspace = require(request, roles.SEND)
    run: Run | None = admin.get_object(request, str(pk))
    if run is None:
        raise Http404("no such run in this workspace")
    campaign = run.campaign
    campaign.workspace = workspace
    runs = open_runs(campaign)
    if not runs:
        return _ended(request, run)
    if request.method != "POST":
        form = MessageForm(campaign, workspace, seen=plan.contents_of(campaign)[1])
        return _shown(admin, request, run, runs, form)
    form = MessageForm(campaign, workspace, request.POST)
    warnings = _checked(form) if form.is_valid() else []
    if not form.is_valid() or warnings:
        return _shown(admin, request, run, runs, form, warnings=warnings)
    try:
        moved = rewrite(campaign, form.written(), seen=form.cleaned_data["seen"], by=_user(request))
    except Ended:
        return _ended(request, run)
    except ChangedMeanwhile:
        form.put("seen", plan.contents_of(campaign)[1])
        return _shown(
            admin, request, run, runs, form, stored=MessageForm(campaign, workspace).content
        )
    _say(request, moved)
    return redirect("admin:campaigns_run_change", pk)


def _checked(form: MessageForm) -> list[lint.Finding]:
    """Lint's errors go to their fields. Its warnings are returned, unless the page has shown
    them for this text."""
    campaign, edited = form.campaign, form.written()
    contents = [
        edited if content.pk == edited.pk else content
        for content in campaign.contents.order_by("language", "variant")
    ]
    findings = lint.lint_message(campaign, contents or [edited])
    for finding in findings:
        if finding.severity == lint.ERROR:
            form.add_error(
                finding.field if finding.field in form.input_names else None, finding.text
            )
    text = plan.digest_of([content.snapshot() for content in contents])
    if form.cleaned_data.get("accepted") == text:
        return []
    form.put("accepted", text)
    return [finding for finding in findings if finding.severity == lint.WARNING]


def _shown(
    admin: WorkspaceAdmin,
    request: HttpRequest,
    run: Run,
    runs: list[Run],
    form: MessageForm,
    *,
    warnings: list[lint.Finding] | None = None,
    stored: Content | None = None,
) -> HttpResponse:
    campaign = form.campaign
    context: dict[str, Any] = {
        "campaign": campaign,
        "pages": addresses,
        "run": run,
        "form": form,
        "reaches": [affected_by_edit(one) for one in runs],
        "is_sending": any(one.state == Run.State.RUNNING for one in runs),
        "is_recurring": campaign.schedule_type == Campaign.Schedule.RECURRING,
        "warnings": warnings or [],
        "stored": stored,
        "channel": form.message.channel,
        "attributes": for_page(known_attributes(campaign.workspace)),
    }
    return admin.page(request, "delivery/rewrite.html", f"Edit the message: {campaign}", **context)


def _ended(request: HttpRequest, run: Run) -> HttpResponse:
    run.refresh_from_db(fields=["state"])
    state = run.get_state_display().lower()
    messages.error(
        request,
        f"Nothing was saved: the run is {state}, and everybody keeps the text that they got.",
    )
    return redirect("admin:campaigns_run_change", run.pk)


def _say(request: HttpRequest, moved: list[Run]) -> None:
    if not moved:
        messages.info(request, "Nothing was changed: the text is the same as before.")
    for run in moved:
        run.refresh_from_db()
        messages.success(request, f"Text {run.revision.number} is saved. {_sentence(run)}")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
