"""Runs in the console: the list, and the live page of one with its balanced account and its
buttons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from campaigns.admin.words import both_clocks, whom_words
from campaigns.audience import selection
from campaigns.audience.reasons import FAILED, UNSURE, Reason
from campaigns.channels import registry
from campaigns.content.written import title_of
from campaigns.models import Revision, Run
from delivery.admin import rewrite, slots, wall
from delivery.admin.references import reference_of
from delivery.admin.run import errors, figures, message, recipients, shards
from delivery.admin.run.actions import VERBS
from delivery.models import Message
from pushpilot.lib import clock
from pushpilot.lib.display import Words, format_number, on_both_clocks, planned_moment
from pushpilot.lib.downloads import csv_answer
from tenants import audit, roles
from tenants.admin.base import ReadOnlyAdmin, require, workspace_of


class DirectFilter(admin.SimpleListFilter):
    """Sends of campaigns, unless somebody asks for direct messages: a busy program makes more
    runs of them in a day than marketers in a year."""

    title = gettext_lazy("Kind")
    parameter_name = "direct"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Words]]:
        return [("1", gettext_lazy("Direct messages"))]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        everything, *others = super().choices(changelist)
        yield {**everything, "display": _("Campaigns")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> Any:
        if self.value() == "1":
            return queryset.exclude(direct="")
        return queryset.filter(direct="")


class RunAdmin(ReadOnlyAdmin):
    list_display = (
        "campaign_column",
        "state_column",
        "when",
        "audience",
        "accepted",
        "failed",
        "unknown",
    )
    list_display_links = ("campaign_column",)
    list_filter = (DirectFilter, "state")
    search_fields = ("campaign__name",)
    ordering = ("-intended_at", "-pk")
    empty_title = gettext_lazy("No campaign has been sent yet")
    empty_text = gettext_lazy(
        "The page of a send shows which recipients received the message, which did not, and why."
    )
    empty_icon = "send"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """Without the connection's credentials: a join would decrypt them for every row, and
        fail under a lost key."""
        related = ("workspace", "campaign", "connection", "revision", "planned_by")
        return super().get_queryset(request).select_related(*related).defer("connection__sealed")

    # --- the list ---------------------------------------------------------------------------------
    @display(description=gettext_lazy("Campaign"), header=True)
    def campaign_column(self, run: Run) -> list[str]:
        contents, name = run.revision.contents, str(run.campaign)
        title = ""
        if contents:
            title = title_of(run.channel, contents[0])[:80]
        return [name, title, name[:2]]

    @display(description=gettext_lazy("State"), label=figures.TONES, ordering="state")
    def state_column(self, run: Run) -> tuple[str, str]:
        return figures.IN_VAIN if run.is_in_vain else run.state, str(run.get_state_display())

    @display(description=gettext_lazy("When"), ordering="intended_at")
    def when(self, run: Run) -> str:
        return planned_moment(run.started_at or run.intended_at, run.workspace.zone, timezone.now())

    @display(description=gettext_lazy("Audience"), ordering="audience_size", empty_value="–")
    def audience(self, run: Run) -> str | None:
        if run.is_broadcast:
            return _("Subscribers")
        if run.audience_size is None or run.started_at is None:
            return None
        return format_number(run.audience_size)

    @display(description=gettext_lazy("Accepted"), empty_value="–")
    def accepted(self, run: Run) -> str | None:
        if _is_counted(run):
            return format_number(run.count(Reason.ACCEPTED))
        return None

    @display(description=gettext_lazy("Failed"), empty_value="–")
    def failed(self, run: Run) -> str | None:
        if _is_counted(run):
            return format_number(run.count(*FAILED))
        return None

    @display(description=gettext_lazy("Unknown"), empty_value="–")
    def unknown(self, run: Run) -> str | None:
        if _is_counted(run):
            return format_number(run.count(*UNSURE))
        return None

    # --- addresses --------------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        def page(view: Callable[..., HttpResponseBase]) -> Any:
            return self.admin_site.admin_view(view)

        own = [
            path("phone-wall/", page(partial(wall.page, self)), name="phone_wall"),
            path("phone-wall/received/", page(wall.received), name="phone_wall_received"),
            path("phone-wall/key/", page(wall.key), name="phone_wall_key"),
            path("<int:pk>/progress/", page(self.progress_view), name="campaigns_run_progress"),
            path("<int:pk>/errors/", page(self.errors_view), name="campaigns_run_errors"),
            path("<int:pk>/shards/", page(self.shards_view), name="campaigns_run_shards"),
            path(
                "<int:pk>/rewrite/", page(partial(rewrite.page, self)), name="campaigns_run_rewrite"
            ),
            path(
                "<int:pk>/recipients/", page(self.recipients_view), name="campaigns_run_recipients"
            ),
            path(
                "message/<int:message_id>/", page(self.message_view), name="campaigns_run_message"
            ),
            path("<int:pk>/recipients.csv", page(self.export_view), name="campaigns_run_export"),
            *(
                path(
                    f"<int:pk>/{verb}/",
                    page(self.act_view),
                    {"verb": verb},
                    name=f"campaigns_run_{verb}",
                )
                for verb in VERBS
            ),
        ]
        return [*own, *super().get_urls()]

    def _run(self, request: HttpRequest, pk: object) -> Run:
        """The run, in this workspace. Raises Http404 or PermissionDenied."""
        require(request, roles.VIEW)
        run: Run | None = self.get_object(request, str(pk))
        if run is None:
            raise Http404("no such run in this workspace")
        return run

    # --- one run ----------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> TemplateResponse:
        run, now = self._run(request, object_id), timezone.now()
        where = self._progress(request, run)
        data = where.as_json()
        return self.page(
            request,
            "delivery/run.html",
            str(run.campaign),
            object=run,
            run=run,
            progress=where,
            data=data,
            audience_words=whom_words(run),
            whole=_("Messages") if run.is_broadcast else _("Audience"),
            moments=[
                (label, both_clocks(at, run.campaign, now)) for label, at in _moments(run) if at
            ],
            asks=data["asks"],
            decides=set(where.can) & {*figures.DECISIONS, "try-held", "close-held", "revive"},
            missed_words=_missed_words(run, now) if run.state == Run.State.MISSED else "",
            panels=slots.panels(request, run) if run.started_at else [],
            may_send=roles.can(request.user, roles.SEND, run.workspace),
            may_edit=roles.can(request.user, roles.EDIT, run.workspace),
            was_edited=was_edited(run),
            texts=sent_texts(run),
            is_recurring=run.campaign.is_series,
            coming=_coming(run, now),
            wall=f"{run.intended_at.astimezone(run.campaign.zone):%Y-%m-%dT%H:%M}",
            has_wall=run.connection is not None and run.connection.is_sandbox,
        )

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        """Asked every second by each open run page, until the run has ended."""
        where = self._progress(request, self._run(request, pk))
        return JsonResponse(where.as_json(), headers={"Cache-Control": "no-store"})

    def _progress(self, request: HttpRequest, run: Run) -> figures.Progress:
        return figures.read(
            run, timezone.now(), may_send=roles.can(request.user, roles.SEND, run.workspace)
        )

    def errors_view(self, request: HttpRequest, pk: int) -> TemplateResponse:
        """The provider's codes with counts and examples, as a piece of the run page. Reads every
        row of the run, so it is asked for once the run has ended, or on demand."""
        run = self._run(request, pk)
        groups, has_more = errors.groups_of(run)
        context = {"run": run, "groups": groups, "has_more": has_more}
        return TemplateResponse(request, "delivery/run_errors.html", context)

    def shards_view(self, request: HttpRequest, pk: int) -> TemplateResponse:
        """The shards and their workers, as a piece of the run page: asked for while somebody
        looks at them."""
        run = self._run(request, pk)
        return TemplateResponse(
            request, "delivery/run_shards.html", shards.table_of(run, timezone.now())
        )

    def act_view(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """The buttons of delivery.admin.run.actions."""
        require(request, roles.SEND)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        said = VERBS[verb](self._run(request, pk), request.user, request.POST)  # type: ignore[arg-type]
        messages.add_message(
            request, messages.SUCCESS if said.is_done else messages.INFO, said.text
        )
        return redirect("admin:campaigns_run_change", said.run.pk)

    # --- its recipients ---------------------------------------------------------------------------
    def recipients_view(self, request: HttpRequest, pk: int) -> TemplateResponse:
        run = self._run(request, pk)
        wanted = recipients.read_filter(request.GET, run)
        may_send = roles.can(request.user, roles.SEND, run.workspace)
        rows, following = recipients.page_of(run, wanted, shows_refs=may_send)
        account = self._progress(request, run).account
        return self.page(
            request,
            "delivery/recipients.html",
            _("Recipients"),
            object=run,
            run=run,
            rows=rows,
            following=following,
            wanted=wanted,
            was_edited=was_edited(run),
            may_send=may_send,
            choices=recipients.choices(account),
            total=format_number(account.audience) if account else "",
            may_export=roles.can(request.user, roles.EXPORT, run.workspace),
        )

    def message_view(self, request: HttpRequest, message_id: int) -> TemplateResponse:
        """One recipient: why the message was or was not sent, and each attempt."""
        workspace = require(request, roles.VIEW)
        found = message.find(message_id)
        run = self._run(request, found.run_id)
        may_send = roles.can(request.user, roles.SEND, workspace)
        return self.page(
            request,
            "delivery/message.html",
            _("Message"),
            object=run,
            run=run,
            was_edited=was_edited(run),
            reference=reference_of(found, run) if may_send else "",
            **message.context_of(found, run),
        )

    def export_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """The recipients that the filter shows, as CSV, streamed."""
        require(request, roles.EXPORT)
        run = self._run(request, pk)
        wanted = recipients.read_filter(request.GET, run)
        audit.record(
            workspace_of(request),
            "recipients exported",
            run.campaign,
            by=request.user,  # type: ignore[arg-type]
            detail={"run": run.pk, "filter": wanted.query},
        )
        return csv_answer(request, f"run-{run.pk}-recipients.csv", recipients.csv_rows(run, wanted))


def _is_counted(run: Run) -> bool:
    return run.started_at is not None and run.finished_at is not None


def _coming(run: Run, now: datetime) -> list[str]:
    """The next three sends of its series after this one."""
    campaign = run.campaign
    if not campaign.is_series or campaign.ended_at is not None or campaign.is_editable:
        return []
    try:
        dates = list(islice(campaign.dates(after=max(run.slot, now)), 3))
    except clock.RecurrenceError:
        return []
    return [planned_moment(at, campaign.zone, now) for at in dates]


def _missed_words(run: Run, now: datetime) -> str:
    """Whom the missed run would reach today, by the gates that its start would ask."""
    when = on_both_clocks(run.intended_at, run.workspace.zone, run.campaign.zone, now)
    planned = _("This send was planned for %(when)s.") % {"when": when}
    if run.is_broadcast:
        return planned
    reached = selection.forecast(run.workspace, run.channel, run.audience_rule).get(
        Reason.PENDING, 0
    )
    today = _("Today it would reach %(devices)s.")
    return f"{planned} {today % {'devices': registry.counted_addresses(run.channel, reached)}}"


def _moments(run: Run) -> list[tuple[str, datetime | None]]:
    ends = None if run.is_ended else run.ends_at
    return [
        (_("Planned for"), run.intended_at),
        (_("Started"), run.started_at),
        (_("Stops sending"), ends),
        (_("Ended"), run.finished_at),
    ]


# --- its texts ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class SentText:
    """A revision of the content, and how many of the run's recipients were accepted with it."""

    number: int
    title: str
    count: int


def was_edited(run: Run) -> bool:
    """True if the run's text was replaced after the run had been planned."""
    return run.revision.created_at > run.created_at


def sent_texts(run: Run) -> list[SentText]:
    """The texts of a run that was edited and has ended, the oldest first; else empty.

    It reads every row of the run (a million: 0.3 s on PostgreSQL, 0.6 s on SQLite), too slow for
    a run under way.
    """
    if not (was_edited(run) and run.is_ended and run.finished_at):
        return []
    accepted = Message.objects.filter(run=run, reason=Reason.ACCEPTED).order_by()
    counts = dict(accepted.values_list("revision").annotate(n=Count("pk")))
    revisions = Revision.objects.filter(campaign=run.campaign_id, number__in=counts).order_by(
        "number"
    )
    return [
        SentText(
            one.number,
            title_of(run.channel, one.contents[0]) if one.contents else "",
            counts[one.number],
        )
        for one in revisions
    ]
