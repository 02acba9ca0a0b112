"""The frame of the console: the workspace's own look, the way between workspaces, the tabs of
people."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from campaigns.models import Contact
from tenants import brand
from tenants.admin.workspaces import WorkspaceForm
from tenants.models import AuditEntry, Workspace
from tenants.scope import scope
from tenants.workspaces import create_workspace
from tests.pages import text
from tests.story import add_people

pytestmark = pytest.mark.once

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40


def save_settings(cast, **fields):
    workspace = cast.workspace
    form = {
        "name": workspace.name, "slug": workspace.slug, "time_zone": "Asia/Kolkata", "default_language": "en",
        "brand_colour": "#c2410c", **fields,
    }  # fmt: skip
    return cast.client("owner").post(
        cast.url(f"tenants/workspace/{workspace.pk}/change/"), form, follow=True
    )


def test_a_workspace_wears_its_own_colour_and_another_does_not(cast):
    save_settings(cast, has_colour="on")
    own = brand.palette("#c2410c")["600"]
    assert f"--color-primary-600: {own}" in text(cast.client("viewer").get(cast.url()))
    assert own not in text(cast.client("outsider").get(f"/w/{cast.other_workspace.slug}/admin/"))
    save_settings(cast)
    assert own not in text(cast.client("viewer").get(cast.url()))


def test_a_logo_is_shown_in_the_frame_and_its_address_changes_with_it(cast):
    save_settings(cast, new_logo=SimpleUploadedFile("logo.png", PNG))
    version = Workspace.objects.get(pk=cast.workspace.pk).logo_version
    address = f"{cast.url('tenants/workspace/logo/')}?v={version}"
    client = cast.client("viewer")
    assert f'src="{address}"' in text(client.get(cast.url()))
    assert client.get(address).content == PNG
    assert cast.client("outsider").get(address).status_code == 404
    save_settings(cast, remove_logo="on")
    assert "workspace/logo/" not in text(client.get(cast.url()))


def test_the_trail_says_who_set_and_removed_the_logo(cast):
    for _ in range(2):  # the same picture again is no change
        save_settings(cast, new_logo=SimpleUploadedFile("logo.png", PNG))
    version = Workspace.objects.get(pk=cast.workspace.pk).logo_version
    save_settings(cast, remove_logo="on")
    with scope(cast.workspace):
        kept = AuditEntry.objects.filter(action__startswith="logo ", actor=cast.owner).order_by(
            "pk"
        )
        assert [(entry.action, entry.changes) for entry in kept] == [
            ("logo changed", {"logo": ["", version]}),
            ("logo removed", {"logo": [version, ""]}),
        ]


def test_a_picture_that_is_none_is_refused_and_nothing_is_saved(cast):
    answer = save_settings(
        cast, name="Other name", new_logo=SimpleUploadedFile("logo.png", b"<svg onload=x>")
    )
    assert "This is not a PNG, JPEG, GIF or WebP picture." in text(answer)
    assert Workspace.objects.get(pk=cast.workspace.pk).name == cast.workspace.name


def test_a_web_address_that_is_taken_in_the_same_moment_is_refused_with_a_sentence(
    cast, monkeypatch
):
    monkeypatch.setattr(WorkspaceForm, "validate_unique", lambda form: None)
    monkeypatch.setattr("tenants.admin.workspaces.check_slug", lambda workspace: None)
    answer = save_settings(cast, name="Other name", slug=cast.other_workspace.slug)
    assert "has just taken this web address" in text(answer)
    assert Workspace.objects.get(pk=cast.workspace.pk).name == cast.workspace.name


def test_the_palette_leads_to_the_users_other_workspaces_only(cast):
    second = create_workspace("Second shop", owner=cast.member)
    create_workspace("Second of somebody else", owner=cast.admin)
    found = text(cast.client("member").get(cast.url("search/?s=second&extended=1")))
    assert f'href="{second.console_path}"' in found
    assert "somebody else" not in found
    assert "/?new" in text(cast.client("member").get(cast.url("search/?s=new+work&extended=1")))


def test_the_button_says_what_it_does(cast):
    client = cast.client("owner")
    assert "Send invitations" in text(client.get(cast.url("tenants/invitation/add/")))
    assert "Create key" in text(client.get(cast.url("tenants/apikey/add/")))
    assert "Create key" not in text(
        client.get(cast.url(f"tenants/workspace/{cast.workspace.pk}/change/"))
    )


def test_people_have_tabs_and_invitations_are_for_those_who_may_invite(cast):
    pages = ["tenants/membership/", "tenants/membership/roles/"]
    for page in pages:
        assert cast.url("tenants/invitation/") in text(cast.client("admin").get(cast.url(page)))
        shown = text(cast.client("viewer").get(cast.url(page)))
        assert cast.url("tenants/invitation/") not in shown
        assert cast.url("tenants/membership/roles/") in shown
    assert cast.url("tenants/membership/roles/") in text(
        cast.client("admin").get(cast.url("tenants/invitation/"))
    )


def test_the_way_here_names_a_row_as_it_is_written(cast):
    (contact,) = add_people(cast.workspace, 1)
    with scope(cast.workspace):
        Contact.objects.update(attributes={})
    page = text(cast.client("viewer").get(cast.url(f"campaigns/contact/{contact.pk}/change/")))
    crumbs = re.findall(r'<span class="pp-crumb">(.*?)</span>', page)
    assert [re.sub("<.*?>", "", crumb) for crumb in crumbs] == ["Audience", "Contacts", "user-0"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("", "Home"),
        ("tenants/membership/", "Members"),
        ("tenants/invitation/", "Members"),
        ("campaigns/campaign/?status__in=draft", "Campaigns"),
    ],
)
def test_the_sidebar_marks_the_page_that_is_shown_or_whose_tab_is(cast, path, shown):
    groups = cast.client("owner").get(cast.url(path)).context["sidebar_navigation"]
    items = [item for group in groups for item in group["items"]]
    assert [item["title"] for item in items if item["active"]] == [shown]
    assert all(item["has_permission"] for item in items)
