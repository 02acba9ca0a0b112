"""The page “Edit the message” of a campaign on its way: the text for recipients that still wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns import plan
from campaigns.admin.campaign.message import MessageForm
from campaigns.audience.reasons import Reason
from campaigns.contacts.attributes import for_page, known_attributes
from campaigns.content import lint
from campaigns.content.rewrite import ChangedMeanwhile, Ended, open_runs, rewrite
from campaigns.models import Campaign, Content, Run
from delivery.admin import addresses
from delivery.admin.run import figures
from delivery.models import Shard
from pushpilot.lib.display import format_number, on_both_clocks
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
    """In words and numbers: how many recipients have the old text, and how many get the new one."""
    return Affected(run, addresses.run(run.pk), _sentence(run))


def _sentence(run: Run) -> str:
    if run.state == Run.State.PLANNED:
        zones = run.workspace.zone, run.campaign.zone
        when = on_both_clocks(run.intended_at, *zones, timezone.now())
        words = _("Planned for %(when)s. All recipients get the new text.")
        if run.is_broadcast:
            words = _("Planned for %(when)s. All subscribers get the new text.")
        return words % {"when": when}
    account = figures.run_account(run, list(Shard.objects.filter(run=run)))
    if account is None:
        return _(
            "PushPilot is preparing the audience, and no message was sent yet. All recipients get "
            "the new text."
        )
    if run.is_broadcast:
        return _("The provider has not taken the message yet. All subscribers get the new text.")
    return " ".join(_told(account))


def _told(account: figures.Account) -> Iterator[str]:
    """A sentence for each part of the audience."""
    have, flying = account.count("accepted"), account.count_of(figures.IN_FLIGHT)
    waiting = account.count("waiting") - flying
    unsure = account.count_of(Reason.UNKNOWN.slug)
    if have:
        words = ngettext(
            "%(have)s of %(count)s recipient received the old text.",
            "%(have)s of %(count)s recipients received the old text.",
            account.audience,
        )
        yield words % {"have": format_number(have), "count": format_number(account.audience)}
    if flying:
        words = ngettext(
            "%(count)s recipient is getting the old text now.",
            "%(count)s recipients are getting the old text now.",
            flying,
        )
        yield words % {"count": format_number(flying)}
    if unsure:
        words = ngettext(
            "%(count)s recipient may have received the old text.",
            "%(count)s recipients may have received the old text.",
            unsure,
        )
        yield words % {"count": format_number(unsure)}
    words = ngettext(
        "%(count)s recipient still waits and gets the new text.",
        "%(count)s recipients still wait and get the new text.",
        waiting,
    )
    yield words % {"count": format_number(waiting)}
    if others := account.audience - have - flying - unsure - waiting:
        words = ngettext(
            "%(count)s other recipient gets no message.",
            "%(count)s other recipients get no message.",
            others,
        )
        yield words % {"count": format_number(others)}


def page(admin: WorkspaceAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows the form, POST saves it: both need the right to edit and the right to send."""
    require(request, roles.EDIT)
    workspace = require(request, roles.SEND)
    run: Run | None = admin.get_object(request, str(pk))
    if run is None or run.direct:
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
    warnings = []
    if form.is_valid():
        warnings = _checked(form)
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
        "can_send": True,
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
    title = _("Edit the message of %(campaign)s") % {"campaign": campaign}
    return admin.page(request, "delivery/rewrite.html", title, **context)


def _ended(request: HttpRequest, run: Run) -> HttpResponse:
    run.refresh_from_db(fields=["state"])
    words = _(
        "Nothing was saved, because the state of this send is now “%(state)s”. Recipients keep the "
        "text that they received."
    )
    messages.error(request, words % {"state": run.get_state_display()})
    return redirect("admin:campaigns_run_change", run.pk)


def _say(request: HttpRequest, moved: list[Run]) -> None:
    if not moved:
        messages.info(request, _("Nothing was changed: the text is the same as before."))
    for run in moved:
        run.refresh_from_db()
        saved = _("Text %(revision)s is saved.") % {"revision": run.revision.number}
        messages.success(request, f"{saved} {_sentence(run)}")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
