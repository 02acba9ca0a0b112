"""The checks that refuse an unsafe console page at start: one planted bad class each."""

import pytest
from django.contrib import admin
from django.core.checks import run_checks
from django.test import RequestFactory
from import_export.admin import ImportExportMixin
from import_export.resources import ModelResource
from unfold.admin import TabularInline
from unfold.decorators import action

from campaigns.models import Campaign, Contact, Content
from pushpilot.sites import ConsoleSite, console
from tenants.admin.base import WorkspaceAdmin, WorkspaceInline, reads_only
from tenants.scope import scope

pytestmark = pytest.mark.django_db
DIALOG = {"title": "Sure?"}


def ids(page: type[WorkspaceAdmin]) -> list[str]:
    return [message.id for message in page(Campaign, ConsoleSite(name="bad")).check()]


class LooseInline(TabularInline):
    model = Content


class ScopedInline(WorkspaceInline):
    model = Content


class LooseResource(ModelResource):
    class Meta:
        model = Campaign


class ScopedResource(ModelResource):
    class Meta:
        model = Campaign

    def __init__(self, workspace, **kwargs):
        super().__init__(**kwargs)


class ScopedImport(ImportExportMixin):
    resource_classes = [ScopedResource]

    def get_resource_kwargs(self, request, *args, **kwargs):
        return {}

    def has_import_permission(self, request):
        return False

    def has_export_permission(self, request):
        return False


def test_every_page_of_the_console_passes():
    assert [message for page in console._registry.values() for message in page.check()] == []


def test_raw_ids_are_refused():
    class Bad(WorkspaceAdmin):
        raw_id_fields = ("template",)

    assert ids(Bad) == ["tenants.E001"]


def test_an_inline_that_is_not_scoped_is_refused():
    class Bad(WorkspaceAdmin):
        inlines = (LooseInline,)

    class Good(WorkspaceAdmin):
        inlines = (ScopedInline,)

    assert ids(Bad) == ["tenants.E002"]
    assert ids(Good) == []


@pytest.mark.parametrize(
    "place", ["actions_list", "actions_row", "actions_detail", "actions_submit_line", "actions"]
)
def test_an_action_without_permissions_is_refused(place):
    class Bad(WorkspaceAdmin):
        @action(description="Explode", dialog=DIALOG)
        def explode(self, request, *args):
            return None

    setattr(Bad, place, ("explode",))
    assert ids(Bad) == ["tenants.E003"]


@pytest.mark.parametrize("place", ["actions_list", "actions_row", "actions_detail"])
def test_an_action_that_runs_on_get_is_refused(place):
    class Bad(WorkspaceAdmin):
        @action(description="Explode", permissions=["change"])
        def explode(self, request, *args):
            return None

    class Link(WorkspaceAdmin):
        @reads_only
        @action(description="Look", permissions=["view"])
        def look(self, request, *args):
            return None

    setattr(Bad, place, ("explode",))
    setattr(Link, place, ("look",))
    assert ids(Bad) == ["tenants.E004"]
    assert ids(Link) == []


def test_a_resource_that_knows_no_workspace_is_refused():
    class Bad(ScopedImport, WorkspaceAdmin):
        resource_classes = [LooseResource]

    class Good(ScopedImport, WorkspaceAdmin):
        pass

    assert ids(Bad) == ["tenants.E005"]
    assert ids(Good) == []


def test_the_default_resource_and_rights_of_import_export_are_refused():
    class Bad(ImportExportMixin, WorkspaceAdmin):
        pass

    assert ids(Bad) == ["tenants.E005"] * 4


def test_the_console_takes_nothing_but_workspace_pages():
    class Other(admin.ModelAdmin):
        pass

    with pytest.raises(TypeError, match="is no WorkspaceAdmin"):
        ConsoleSite(name="bad").register(Campaign, Other)


def test_the_system_check_of_django_looks_at_the_console(monkeypatch):
    monkeypatch.setattr(type(console._registry[Campaign]), "raw_id_fields", ("template",))
    assert "tenants.E001" in [message.id for message in run_checks(tags=["admin"])]


# --- what pages and inlines inherit ---------------------------------------------------------------
class CampaignPage(WorkspaceAdmin):
    inlines = (ScopedInline,)


def request_of(cast, name):
    request = RequestFactory().get("/")
    request.workspace, request.user = cast.workspace, getattr(cast, name)
    return request


def test_an_inline_is_shown_by_role_and_holds_rows_of_the_workspace_only(cast):
    page = CampaignPage(Campaign, ConsoleSite(name="good"))
    campaigns = {}
    for workspace in (cast.workspace, cast.other_workspace):
        with scope(workspace):
            campaigns[workspace] = Campaign.objects.create(workspace=workspace, name="Offer")
            Content.objects.create(
                workspace=workspace,
                campaign=campaigns[workspace],
                fields={"title": "x", "body": "y"},
            )
    with scope(cast.workspace):
        own = campaigns[cast.workspace]
        inline = page.get_inline_instances(request_of(cast, "member"), own)[0]
        assert inline.has_add_permission(request_of(cast, "member"), own)
        assert not inline.has_add_permission(request_of(cast, "viewer"), own)
        assert not inline.has_change_permission(
            request_of(cast, "member"), campaigns[cast.other_workspace]
        )
        assert [row.workspace for row in inline.get_queryset(request_of(cast, "member"))] == [
            cast.workspace
        ]


def test_rows_saved_by_an_inline_belong_to_the_workspace(inside):
    page = CampaignPage(Campaign, ConsoleSite(name="good"))
    request = request_of(inside, "member")
    campaign = Campaign.objects.create(workspace=inside.workspace, name="Offer")
    posted = {
        "contents-TOTAL_FORMS": "1", "contents-INITIAL_FORMS": "0", "contents-0-language": "en",
        "contents-0-variant": "A", "contents-0-channel": "app_push", "contents-0-fields": '{"title": "Hello"}',
    }  # fmt: skip
    formset = page.get_inline_instances(request, campaign)[0].get_formset(request, campaign)(
        data=posted, instance=campaign
    )
    assert formset.is_valid(), formset.errors
    page.save_formset(request, None, formset, True)
    assert Content.objects.get().workspace == inside.workspace


def test_a_form_finds_a_key_that_is_taken_in_the_workspace(inside):
    Contact.objects.create(workspace=inside.workspace, external_id="asha")
    page = WorkspaceAdmin(Contact, ConsoleSite(name="good"))
    form = page.get_form(request_of(inside, "member"), fields=("external_id",))
    assert not form({"external_id": "asha"}).is_valid()
    assert form({"external_id": "ravi"}).is_valid()


def test_choices_of_a_foreign_key_are_rows_of_the_workspace(cast):
    page = WorkspaceAdmin(Content, ConsoleSite(name="good"))
    for workspace in (cast.workspace, cast.other_workspace):
        with scope(workspace):
            Campaign.objects.create(workspace=workspace, name="Offer")
    with scope(cast.workspace):
        campaigns = page.get_field_queryset(
            None, Content._meta.get_field("campaign"), request_of(cast, "member")
        )
        assert [row.workspace for row in campaigns] == [cast.workspace]
        people = page.get_field_queryset(
            None, Campaign._meta.get_field("created_by"), request_of(cast, "member")
        )
        assert cast.outsider not in people
        assert cast.viewer in people
