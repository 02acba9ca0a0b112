"""Runs in the console: the list, and the live page of one with its balanced account and its buttons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import models
from django.db.models import Count, Max, Min
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from unfold.decorators import display

from campaigns import plan
from campaigns.admin.words import audience_words, moment_words
from campaigns.models import Campaign, Run
from campaigns.reasons import FAILED, Reason
from delivery.admin import progress, recipients, slots, wall
from delivery.admin.codes import meaning
from delivery.models import Message, Shard
from pushpilot.lib.words import counted
from tenants import audit, roles
from tenants.admin.base import ReadOnlyAdmin, require, workspace_of
from tenants.models import User

SHARDS_SHOWN = 200
CODES_SHOWN = 12
State = Run.State


@dataclass(frozen=True, slots=True)
class Verb:
    """A button of the run page: what it does and what it says. `do` returns False if the run has moved meanwhile."""

    do: Callable[[Run, User], bool]
    done: str
    too_late: str


VERBS = {
    "pause": Verb(
        lambda run, by: plan.pause(run, by=by),
        "Paused. Nothing new goes out; resume continues exactly where it stopped.",
        "Nothing to pause",
    ),
    "resume": Verb(lambda run, by: plan.resume(run, by=by), "Resumed. Sending goes on.", "Nothing to resume"),
    "cancel": Verb(
        lambda run, by: plan.cancel(run, by=by),
        "Cancelled. Who was not sent to yet ends as “Cancelled”.",
        "Nothing to cancel",
    ),
    "undo": Verb(
        lambda run, by: run.state == State.PLANNED and plan.cancel(run, by=by),
        "Undone: nobody got anything. The campaign is a draft again.",
        "Too late to undo",
    ),
    "send-now": Verb(
        lambda run, by: plan.send_right_away(run, by=by, now=timezone.now()),
        "On its way.",
        "Nothing to hurry",
    ),
}


class RunAdmin(ReadOnlyAdmin):
    list_display = ("campaign_column", "state_column", "when", "audience", "accepted", "failed")
    list_display_links = ("campaign_column",)
    list_filter = ("state",)
    search_fields = ("campaign__name",)
    ordering = ("-intended_at", "-pk")
    empty_title = "No campaign has been sent yet"
    empty_text = "Each send of a campaign is a run. Its page shows who got it, who did not, and why."
    empty_icon = "send"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """Without the connection's credentials: a join would decrypt them for every row, and fail under a lost key."""
        related = ("workspace", "campaign", "connection", "revision", "planned_by")
        return super().get_queryset(request).select_related(*related).defer("connection__sealed")

    # --- the list ---------------------------------------------------------------------------------------
    @display(description="Campaign", header=True)
    def campaign_column(self, run: Run) -> list[str]:
        contents = run.revision.contents
        return [run.campaign.name, str(contents[0].get("title", ""))[:80] if contents else "", run.campaign.name[:2]]

    @display(description="State", label={**progress.TONES}, ordering="state")
    def state_column(self, run: Run) -> tuple[str, str]:
        return run.state, run.get_state_display()

    @display(description="When", ordering="intended_at")
    def when(self, run: Run) -> str:
        return moment_words(run.started_at or run.intended_at, run.workspace.zone, timezone.now())

    @display(description="Audience", ordering="audience_size", empty_value="–")
    def audience(self, run: Run) -> str | None:
        return None if run.audience_size is None else f"{run.audience_size:,}"

    @display(description="Accepted", empty_value="–")
    def accepted(self, run: Run) -> str | None:
        return f"{run.count(Reason.ACCEPTED):,}" if run.finished_at else None

    @display(description="Failed", empty_value="–")
    def failed(self, run: Run) -> str | None:
        return f"{run.count(*FAILED):,}" if run.finished_at else None

    # --- addresses --------------------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        def page(view: Callable[..., HttpResponseBase]) -> Any:
            return self.admin_site.admin_view(view)

        own = [
            path("phone-wall/", page(partial(wall.page, self)), name="phone_wall"),
            path("phone-wall/received/", page(wall.received), name="phone_wall_received"),
            path("phone-wall/key/", page(wall.key), name="phone_wall_key"),
            path("<int:pk>/progress/", page(self.progress_view), name="campaigns_run_progress"),
            path("<int:pk>/errors/", page(self.errors_view), name="campaigns_run_errors"),
            path("<int:pk>/recipients/", page(self.recipients_view), name="campaigns_run_recipients"),
            path("<int:pk>/recipients.csv", page(self.export_view), name="campaigns_run_export"),
            *(
                path(f"<int:pk>/{verb}/", page(self.act_view), {"verb": verb}, name=f"campaigns_run_{verb}")
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

    # --- one run ----------------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> TemplateResponse:
        run, now = self._run(request, object_id), timezone.now()
        where = self._progress(request, run)
        return self.page(
            request,
            "delivery/run.html",
            str(run.campaign),
            object=run,
            run=run,
            progress=where,
            data=where.as_json(),
            audience_words=audience_words(run.audience_rule),
            moments=[(label, moment_words(at, run.workspace.zone, now)) for label, at in _moments(run) if at],
            shards=Shard.objects.filter(run=run).order_by("first_id")[:SHARDS_SHOWN],
            panels=slots.panels(request, run) if run.started_at else [],
            may_send=roles.can(request.user, roles.SEND, run.workspace),
            is_recurring=run.campaign.schedule_type == Campaign.Schedule.RECURRING,
            has_wall=run.connection is not None and run.connection.is_sandbox,
        )

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        """Asked every second by each open run page, until the run has ended."""
        where = self._progress(request, self._run(request, pk))
        return JsonResponse(where.as_json(), headers={"Cache-Control": "no-store"})

    def _progress(self, request: HttpRequest, run: Run) -> progress.Progress:
        return progress.read(run, timezone.now(), may_send=roles.can(request.user, roles.SEND, run.workspace))

    def errors_view(self, request: HttpRequest, pk: int) -> TemplateResponse:
        """The provider's codes with counts and examples, as a piece of the run page. Reads every row of the run, so
        it is asked for once the run has ended, or on demand."""
        run = self._run(request, pk)
        rows = Message.objects.filter(run=run).exclude(error_code="").order_by().values("reason", "error_code")
        counted_rows = rows.annotate(n=Count("pk"), first=Min("pk"), last=Max("pk")).order_by("-n")[: CODES_SHOWN + 1]
        found: list[dict[str, Any]] = [dict(row) for row in counted_rows]
        ends = {row[end] for row in found for end in ("first", "last")}
        examples = Message.objects.select_related("contact", "endpoint").in_bulk(ends)
        for row in found:
            reason = Reason(row["reason"])
            row |= {"label": reason.label, "slug": reason.slug, "meaning": meaning(reason, row["error_code"])}
            row["examples"] = [examples[pk] for pk in sorted({row["first"], row["last"]})]
        context = {"run": run, "groups": found[:CODES_SHOWN], "has_more": len(found) > CODES_SHOWN}
        return TemplateResponse(request, "delivery/run_errors.html", context)

    def act_view(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """Pause, resume, cancel, undo, send right away."""
        require(request, roles.SEND)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        run, button = self._run(request, pk), VERBS[verb]
        if button.do(run, request.user):  # type: ignore[arg-type]
            messages.success(request, button.done)
        else:
            state = Run.objects.get(pk=run.pk).get_state_display().lower()
            messages.info(request, f"{button.too_late}: meanwhile the run is “{state}”.")
        return redirect("admin:campaigns_run_change", run.pk)

    # --- its recipients ---------------------------------------------------------------------------------
    def recipients_view(self, request: HttpRequest, pk: int) -> TemplateResponse:
        run = self._run(request, pk)
        wanted = recipients.read_filter(request.GET, run)
        rows, following = recipients.page_of(run, wanted)
        account = self._progress(request, run).account
        return self.page(
            request,
            "delivery/recipients.html",
            "Recipients",
            object=run,
            run=run,
            rows=rows,
            following=following,
            wanted=wanted,
            choices=recipients.choices(account),
            total=counted(account.audience, "recipient") if account else "",
            may_export=roles.can(request.user, roles.EXPORT, run.workspace),
        )

    def export_view(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """The recipients that the filter shows, as CSV, streamed."""
        require(request, roles.EXPORT)
        run = self._run(request, pk)
        wanted = recipients.read_filter(request.GET, run)
        audit.record(
            workspace_of(request), "recipients exported", run.campaign, by=request.user,  # type: ignore[arg-type]
            detail={"run": run.pk, "filter": wanted.query},
        )  # fmt: skip
        lines = recipients.csv_lines(run, wanted)
        return StreamingHttpResponse(
            lines,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="run-{run.pk}-recipients.csv"'},
        )


def _moments(run: Run) -> list[tuple[str, datetime | None]]:
    return [("Planned for", run.intended_at), ("Started", run.started_at), ("Ended", run.finished_at)]
