"""Campaigns in the console: the list, the editor, the page of one that is no longer edited,
review and launch."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import ChangeList as DjangoChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display

from campaigns import drafts, removal
from campaigns.admin import slots
from campaigns.admin.campaign import live, reschedule, review
from campaigns.admin.campaign.drafts import suggest_texts
from campaigns.admin.campaign.forms import CampaignForm
from campaigns.admin.campaign.list import CampaignList
from campaigns.admin.campaign.meanwhile import meanwhile_words
from campaigns.admin.campaign.sending import changed_sending
from campaigns.admin.parts import channel_choices
from campaigns.admin.words import audience_words, schedule_words, whom_words
from campaigns.audience.reasons import Reason
from campaigns.channels import registry
from campaigns.contacts.attributes import for_page
from campaigns.models import Campaign, Run, Template
from campaigns.sending import SENDING_FIELDS
from pushpilot.lib.display import format_number, planned_moment, zoned_time
from tenants import roles
from tenants.admin.base import WorkspaceAdmin, after_dialog, require, workspace_of
from tenants.models import User

Status = Campaign.Status
_NAME_CELL = (
    '<a class="cp-row-link" href="{}">'
    '<span class="cp-tile material-symbols-outlined" aria-hidden="true">{}</span>'
    '<span class="cp-two-lines"><strong dir="auto">{}</strong><small '
    'dir="auto">{}</small></span></a>'
)
# of the session: {form_key of an add page: (the draft it made, when it saved it)}
DRAFTS = "campaign_drafts"
DRAFTS_KEPT = 10


class ChangedMeanwhile(Exception):
    """Somebody saved the campaign after this person had opened it. `sentence` says who and what."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class CampaignAdmin(WorkspaceAdmin):
    form, fields = CampaignForm, CampaignForm.Meta.fields
    change_list_template = "campaigns/campaign_list.html"
    change_form_template = "campaigns/campaign_form.html"
    list_display = (
        "name_cell",
        "status_cell",
        "channel_cell",
        "audience_cell",
        "when_cell",
        "result_cell",
    )
    list_display_links = None
    search_fields = ("name", "description")
    search_help_text = gettext_lazy("Search by name or description")
    ordering = ("-id",)
    sortable_by = ()
    actions = None
    actions_row = ("duplicate",)
    actions_detail = ("duplicate",)
    empty_title = gettext_lazy("Write your first campaign")
    empty_text = gettext_lazy("Choose an audience, write the message, check the preview and send.")

    class Media:
        css = {"all": ["campaigns/campaign.css"]}

    # --- the list ---------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        runs = Run.objects.filter(campaign=OuterRef("pk"))
        started = (
            runs.exclude(state=Run.State.PLANNED).exclude(started_at=None).order_by("-intended_at")
        )
        planned = runs.filter(state=Run.State.PLANNED).order_by("intended_at")
        queryset: QuerySet[Campaign] = super().get_queryset(request)
        return queryset.prefetch_related("contents").annotate(
            last_run_id=Subquery(started.values("pk")[:1]),
            next_run_id=Subquery(planned.values("pk")[:1]),
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DjangoChangeList]:
        return CampaignList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response: HttpResponse = super().changelist_view(
            request, {"title": _("Campaigns"), **(extra_context or {})}
        )
        return response

    @display(description=gettext_lazy("Campaign"))
    def name_cell(self, campaign: Any) -> SafeString:
        content = next(iter(campaign.contents.all()), None)
        return format_html(
            _NAME_CELL,
            reverse("admin:campaigns_campaign_change", args=[campaign.pk]),
            registry.icon_of(campaign.channel),
            campaign.name,
            content.title if content and content.title else _("No message yet"),
        )

    @display(description=gettext_lazy("Status"))
    def status_cell(self, campaign: Any) -> SafeString:
        return format_html(
            '<span class="cp-badge" data-status="{}">{}</span>',
            campaign.status,
            campaign.get_status_display(),
        )

    @display(description=gettext_lazy("Channel"))
    def channel_cell(self, campaign: Any) -> str:
        return str(campaign.get_channel_display())

    @display(description=gettext_lazy("Audience"))
    def audience_cell(self, campaign: Any) -> SafeString:
        words = whom_words(campaign)
        return format_html('<span class="cp-clip" title="{}">{}</span>', words, words)

    @display(description=gettext_lazy("When"))
    def when_cell(self, campaign: Any) -> SafeString:
        zone, now = campaign.workspace.zone, timezone.now()
        if campaign.next_run:
            return _two_lines(
                planned_moment(campaign.next_run.intended_at, zone, now), _repeats(campaign)
            )
        if campaign.last_run and campaign.status != Status.DRAFT:
            word = _("Sent") if campaign.status == Status.COMPLETED else _("Started")
            return _two_lines(planned_moment(campaign.last_run.started_at, zone, now), word)
        if campaign.schedule_type == Campaign.Schedule.NOW:
            return _two_lines("—", "")
        return _two_lines(schedule_words(campaign, now), "")

    @display(description=gettext_lazy("Last result"))
    def result_cell(self, campaign: Any) -> str:
        run = campaign.last_run
        if run is None:
            return mark_safe('<span class="cp-quiet">—</span>')
        if not run.is_ended:
            return format_html(
                '<a class="cp-above" href="{}">{}</a>',
                slots.pages.run(run.pk),
                run.get_state_display(),
            )
        if run.is_broadcast:
            if run.count(Reason.ACCEPTED):
                return _("Handed to the provider")
            return _("Not sent")
        accepted, size = run.count(Reason.ACCEPTED), run.audience_size or sum(run.tally.values())
        share = 0
        if size:
            share = 100 * accepted / size
        figures = {"accepted": format_number(accepted), "all": format_number(size)}
        return format_html(
            '<span class="cp-result" title="{}"><span>{}</span><span class="cp-meter"><span '
            'style="width:{}%"></span></span></span>',
            _("The provider accepted %(accepted)s of %(all)s messages") % figures,
            format_html(_("{accepted}<small> of {all}</small>"), **figures),
            f"{share:.1f}",
        )

    # --- the editor -------------------------------------------------------------------------------
    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """What makes the form: it is complete, and no field of it is a choice of rows."""
        meanwhile = getattr(request, "_meanwhile", "")
        return partial(CampaignForm, workspace=workspace_of(request), meanwhile=meanwhile)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`?template=<id>`, the library's “Use”, begins with a template, `?channel=<key>` on a
        channel of its kind."""
        channel = request.GET.get("channel", "")
        given = {}
        if channel in registry.CHANNELS:
            given = {"channel": channel}
        pk = request.GET.get("template", "")
        template = None
        if pk.isdecimal() and len(pk) < 18:
            template = Template.objects.filter(pk=pk).first()
        if template is None or template.channel not in registry.CHANNELS:
            return given
        if channel not in registry.alike(template.channel):
            given = {"channel": template.channel}
        return {
            **given,
            "message": template.fields,
            "template_used": template.pk,
            "tone": template.tone,
        }

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        form = context["adminform"].form
        context["attributes"] = for_page(form.audience.attributes)
        context["channel"] = form.message.channel
        context["channels"] = channel_choices(form.message.channel)
        context["sending_open"] = changed_sending(form.instance) or bool(
            set(form.errors) & set(SENDING_FIELDS)
        )
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        draft = None
        if request.method == "POST":
            draft = self._draft_of_page(request)
        if draft is not None:
            return self.change_view(request, str(draft.pk), form_url, extra_context)
        extra = {"title": _("New campaign"), **self._editor(request, None), **(extra_context or {})}
        response: HttpResponse = super().add_view(request, form_url, extra)
        return response

    def _draft_of_page(self, request: HttpRequest) -> Campaign | None:
        """The draft that this add page has made already: its person went on, and came back with
        the browser's Back."""
        pk, seen = request.session.get(DRAFTS, {}).get(request.POST.get("form_key", ""), (None, ""))
        draft: Campaign | None = self.get_object(request, str(pk)) if pk else None
        if draft is None or draft.status != Status.DRAFT:
            return None
        if not request.POST.get("seen"):
            given = request.POST.copy()
            given["seen"] = seen
            request.POST = given  # type: ignore[assignment]
        return draft

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        campaign = self.get_object(request, object_id)
        if campaign is None or not self.has_view_permission(request, campaign):
            raise Http404("no such campaign")
        may_edit = self.has_change_permission(request, campaign) and campaign.is_editable
        wants_edit = (
            campaign.status == Status.DRAFT or "edit" in request.GET or request.method == "POST"
        )
        if not may_edit or not wants_edit:
            if request.method == "POST":
                return self._too_late(request, campaign)
            return self.page(
                request,
                "campaigns/campaign_page.html",
                campaign.name,
                **review.overview(request, campaign),
            )
        extra = {"title": campaign.name, **self._editor(request, campaign), **(extra_context or {})}
        try:
            response: HttpResponse = super().change_view(request, object_id, form_url, extra)
        except drafts.NotEditable:
            campaign.refresh_from_db()
            return self._too_late(request, campaign)
        except ChangedMeanwhile as changed:
            request._meanwhile = changed.sentence  # type: ignore[attr-defined]
            response = super().change_view(request, object_id, form_url, extra)
        return response

    def _too_late(self, request: HttpRequest, campaign: Campaign) -> HttpResponse:
        if not self.has_change_permission(request, campaign):
            raise PermissionDenied(_("Your role may not edit campaigns."))
        words = _(
            "Nothing was saved, because the status of the campaign is “%(status)s”. Cancel the "
            "send before you edit the campaign."
        )
        messages.error(request, words % {"status": campaign.get_status_display()})
        return redirect("admin:campaigns_campaign_change", campaign.pk)

    def _editor(self, request: HttpRequest, campaign: Campaign | None) -> dict[str, Any]:
        """What the editor's template needs beside the form."""
        workspace = workspace_of(request)
        zone, pk = workspace.zone, {}
        saved: dict[str, Any] = {"runs": [], "may_delete": False, "panels": [], "saved_rule": ""}
        if campaign is not None:
            campaign.workspace = workspace
            zone, pk = campaign.zone, {"campaign": campaign.pk}
            saved = {
                "runs": review.runs_of(campaign),
                "may_delete": not removal.why_not(campaign),
                "panels": [panel(request, campaign) for panel in slots.CAMPAIGN_PANELS],
                "saved_rule": audience_words(campaign.audience_rule),
            }
        return {
            **saved,
            "pages": slots.pages,
            "undo_secs": review.undo_secs(),
            "zone_name": zone.key,
            "zone_now": zoned_time(timezone.now(), zone),
            "can_send": roles.can(request.user, roles.SEND, workspace),
            "live": {
                "audience": reverse("admin:campaigns_campaign_audience"),
                "dates": reverse("admin:campaigns_campaign_dates"),
                "templates": reverse("admin:campaigns_campaign_templates"),
                "drafts": reverse("admin:campaigns_campaign_drafts"),
                **pk,
            },
        }

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Inside changeform_view's transaction: the row is locked, then looked at again, then
        written."""
        if change:
            held = drafts.hold(obj)
            if form.would_undo(held):
                raise ChangedMeanwhile(meanwhile_words(request, held))
        else:
            obj.created_by = request.user
        drafts.write(obj, [form.written()], by=_person(request))
        if key := form.cleaned_data["form_key"]:
            made = request.session.get(DRAFTS, {}) | {key: (obj.pk, obj.updated_at.isoformat())}
            request.session[DRAFTS] = dict(list(made.items())[-DRAFTS_KEPT:])

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: Any = None
    ) -> HttpResponse:
        return self.response_change(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if "_review" in request.POST:
            return redirect("admin:campaigns_campaign_review", obj.pk)
        messages.success(request, _("The draft “%(campaign)s” is saved.") % {"campaign": obj})
        return redirect("admin:campaigns_campaign_change", obj.pk)

    # --- pages and answers of our own -------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        def wrapped(name: str, route: str, view: Any) -> Any:
            return path(route, self.admin_site.admin_view(view), name=f"campaigns_campaign_{name}")

        return [
            wrapped("audience", "audience/", self.audience_answer),
            wrapped("dates", "dates/", self.dates_answer),
            wrapped("templates", "templates/", self.templates_answer),
            wrapped("drafts", "drafts/", self.drafts_answer),
            wrapped("review", "<int:pk>/review/", self.review_view),
            wrapped("schedule", "<int:pk>/schedule/", partial(reschedule.page, self)),
            *super().get_urls(),
        ]

    def _live_form(self, request: HttpRequest) -> CampaignForm:
        """The form over what a page posts while somebody types. Raises PermissionDenied for who
        may not edit."""
        workspace = require(request, roles.EDIT)
        pk = request.POST.get("campaign", "")
        campaign = None
        if pk.isdecimal():
            campaign = self.get_object(request, pk)
        return live.form_of(workspace, request.POST, campaign)

    def audience_answer(self, request: HttpRequest) -> JsonResponse:
        return live.count_audience(workspace_of(request), self._live_form(request))

    def dates_answer(self, request: HttpRequest) -> JsonResponse:
        return live.next_dates(workspace_of(request), self._live_form(request))

    def drafts_answer(self, request: HttpRequest) -> JsonResponse:
        form = self._live_form(request)
        return suggest_texts(request, workspace_of(request), form)

    def templates_answer(self, request: HttpRequest) -> JsonResponse:
        require(request, roles.VIEW)
        return live.find_templates(request)

    def review_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        campaign = self.found(request, str(pk))
        campaign.workspace = workspace_of(request)
        if request.method == "POST":
            return review.launch(request, campaign)
        if not campaign.is_editable:
            return redirect("admin:campaigns_campaign_change", pk)
        return self.page(
            request,
            "campaigns/review.html",
            _("Review: %(campaign)s") % {"campaign": campaign},
            **review.review(request, campaign),
        )

    def has_duplicate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_add_permission(request)

    # --- copy and delete --------------------------------------------------------------------------
    @action(
        description=gettext_lazy("Duplicate"),
        icon="content_copy",
        permissions=["duplicate"],
        dialog={
            "title": gettext_lazy("Duplicate this campaign?"),
            "description": gettext_lazy(
                "The copy is a draft with the same message, audience and schedule."
            ),
            "form_submit_text": gettext_lazy("Duplicate"),
        },
    )
    def duplicate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        require(request, roles.EDIT)
        campaign = self.found(request, object_id)
        copy = drafts.duplicate(campaign, by=_person(request))
        messages.success(
            request, _("This draft is a copy of “%(campaign)s”.") % {"campaign": campaign}
        )
        return after_dialog(request, reverse("admin:campaigns_campaign_change", args=[copy.pk]))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        campaign = self.get_object(request, object_id)
        may_delete = campaign is not None and self.has_delete_permission(request, campaign)
        if may_delete and (kept := removal.why_not(campaign)):
            refused = _("“%(campaign)s” is not deleted.") % {"campaign": campaign}
            messages.error(request, f"{refused} {kept}")
            return redirect("admin:campaigns_campaign_change", campaign.pk)
        response: HttpResponse = super().delete_view(request, object_id, extra_context)
        return response

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Without its runs, which go with it: Django would read every recipient of them, and
        stop at a revision."""
        return [str(campaign) for campaign in objs], {_("Campaigns"): len(objs)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        if kept := removal.remove(obj, by=_person(request)):  # scheduled in this moment
            raise PermissionDenied(kept)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        """Nothing: the verb writes the trail."""


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _two_lines(first: str, second: str) -> SafeString:
    cell = '<span class="cp-two-lines cp-when"><span title="{}">{}</span><small>{}</small></span>'
    return format_html(cell, first, first, second)


def _repeats(campaign: Campaign) -> str:
    """Also whose clocks a schedule follows, if not those of the workspace."""
    own = ""
    if campaign.time_zone not in ("", campaign.workspace.time_zone):
        own = campaign.time_zone
    return " · ".join(filter(None, [_("Repeats") if campaign.is_series else "", own]))
