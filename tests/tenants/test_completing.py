"""The console's autocomplete: only what a form of the user's asks for, only rows of the
workspace."""

import pytest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from campaigns.admin.campaign.page import CampaignAdmin
from campaigns.admin.template.page import TemplateAdmin
from campaigns.models import Campaign, Template
from delivery.admin.run.page import RunAdmin
from tenants.admin.base import WorkspaceInline
from tenants.scope import scope


@pytest.fixture
def rows(cast):
    for workspace, word in ((cast.workspace, "ours"), (cast.other_workspace, "theirs")):
        with scope(workspace):
            Template.objects.create(
                workspace=workspace,
                name=word,
                category="offer",
                fields={"title": word, "body": word},
            )
            Campaign.objects.create(workspace=workspace, name=word)
    return cast


def complete(cast, who: str, model: str, field: str):
    app, _, name = model.partition(".")
    query = {"app_label": app, "model_name": name, "field_name": field, "term": ""}
    return cast.client(who).get(cast.url("autocomplete/"), query)


def found(response) -> list[str]:
    assert response.status_code == 200
    return [result["text"] for result in response.json()["results"]]


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("tenants.user", "memberships"),  # from the other side
        ("tenants.workspace", "memberships"),
        ("campaigns.run", "campaign"),  # no form has it
        ("campaigns.content", "campaign"),
        ("delivery.message", "run"),
        ("campaigns.campaign", "template"),
        ("campaigns.campaign", ""),
        ("nothing.nothing", "nothing"),
    ],
)
def test_a_relation_that_no_form_asks_for_is_refused(rows, model, field):
    assert complete(rows, "owner", model, field).status_code == 403


def test_a_field_of_a_form_is_completed_for_who_may_fill_it_in(rows, monkeypatch):
    monkeypatch.setattr(CampaignAdmin, "autocomplete_fields", ("template",))
    assert found(complete(rows, "member", "campaigns.campaign", "template")) == ["ours"]
    assert complete(rows, "viewer", "campaigns.campaign", "template").status_code == 403
    assert complete(rows, "other_owner", "campaigns.campaign", "template").status_code == 404


def test_a_field_of_an_inline_is_completed(rows, monkeypatch):
    class CampaignInline(WorkspaceInline):
        model = Campaign
        autocomplete_fields = ("template",)

    monkeypatch.setattr(TemplateAdmin, "inlines", [CampaignInline])
    assert found(complete(rows, "member", "campaigns.campaign", "template")) == ["ours"]
    assert complete(rows, "viewer", "campaigns.campaign", "template").status_code == 403


def test_a_filter_is_completed_for_who_may_see_the_list(rows, monkeypatch):
    monkeypatch.setattr(RunAdmin, "list_filter", [("campaign", AutocompleteSelectFilter)])
    assert found(complete(rows, "viewer", "campaigns.run", "campaign")) == ["ours"]
    monkeypatch.setattr(RunAdmin, "has_view_permission", lambda *args: False)
    assert complete(rows, "viewer", "campaigns.run", "campaign").status_code == 403


def test_the_list_behind_a_field_needs_its_own_right(rows, monkeypatch):
    monkeypatch.setattr(CampaignAdmin, "autocomplete_fields", ("template",))
    monkeypatch.setattr(TemplateAdmin, "has_view_permission", lambda *args, **kwargs: False)
    assert complete(rows, "member", "campaigns.campaign", "template").status_code == 403
