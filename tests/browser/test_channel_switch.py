"""Choosing a channel whose part of the form has other inputs, in a real browser. The toy channel
is no part of the product, so that a server of this process answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from campaigns.channels import registry
from campaigns.models import Campaign, Template
from tenants.models import User, Workspace
from tenants.scope import scope
from tenants.workspaces import create_workspace
from tests.pages import signed_in_now
from tests.toy.channel import Pager

Open = Callable[[str], Page]


@pytest.fixture(scope="session", autouse=True)
def database_beside_the_browser() -> Iterator[None]:
    """Playwright runs an event loop in this thread, where Django else refuses to ask the
    database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture
def workspace(transactional_db) -> Workspace:
    """Without the triggers that keep the audit trail: they would refuse to empty the database
    after the test."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = "
            "'tenants_auditentry'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP TRIGGER "{name}"')
    return create_workspace(
        "Night", owner=User.objects.create_user("owner@night.test", "correct horse")
    )


@pytest.fixture
def open_page(workspace, live_server, browser: Browser, monkeypatch) -> Iterator[Open]:
    """open_page("campaigns/campaign/add/") → the page, as the owner, on a console with the
    pager."""
    monkeypatch.setitem(registry.CHANNELS, Pager.key, Pager())
    signed_in_now(client := Client(), workspace.owner)
    cookie = client.cookies["sessionid"].value
    context = browser.new_context(base_url=live_server.url)
    context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    faults: list[str] = []

    def opened(path: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"/w/{workspace.slug}/admin/{path}")
        return page

    yield opened
    context.close()
    assert faults == []


def test_another_channel_shows_its_inputs_and_keeps_name_audience_and_schedule(
    workspace, open_page: Open
) -> None:
    page = open_page("campaigns/campaign/add/")
    page.get_by_label("Name").fill("Night shift")
    page.locator("#id_title").fill("Only on push")
    page.get_by_text("Matching people").click()
    page.locator("#id_audience_value").fill("Pune")
    page.get_by_text("At a time").click()
    page.locator("#id_scheduled_at").fill("2031-01-06T09:00")
    page.get_by_text("Web push").click()
    # the same inputs: the page stays
    expect(page.locator("#id_title")).to_have_value("Only on push")

    page.get_by_text("Pager").click()
    page.locator("#id_line").fill("Come in")
    expect(page.locator("#id_title")).to_have_count(0)
    expect(page.get_by_label("Name")).to_have_value("Night shift")
    expect(page.locator("#id_audience_value")).to_have_value("Pune")
    expect(page.locator("#id_scheduled_at")).to_have_value("2031-01-06T09:00")
    expect(page.locator(".cp-errors:not([hidden])")).to_have_count(0)
    expect(page.locator("[data-field=line]")).to_have_text("Come in")

    page.get_by_text("App push").click()
    expect(page.locator("#id_title")).to_have_value("Only on push")
    page.get_by_text("Pager").click()
    expect(page.locator("#id_line")).to_have_value("Come in")
    page.locator("#id_audience_value").fill("")
    page.get_by_text("Everyone", exact=True).click()
    page.get_by_role("button", name="Save draft").click()
    page.wait_for_url("**/change/")
    with scope(workspace):
        made = Campaign.objects.get()
        assert (made.name, made.channel, made.contents.get().fields) == (
            "Night shift",
            "pager",
            {"line": "Come in"},
        )


def test_enter_in_an_input_saves_a_template_of_the_channel_chosen(
    workspace, open_page: Open
) -> None:
    page = open_page("campaigns/template/add/")
    page.get_by_label("Name").fill("Night shift")
    page.get_by_text("Pager").click()
    page.locator("#id_line").fill("Come in")
    expect(page.get_by_label("Name")).to_have_value("Night shift")
    page.get_by_label("Category").select_option("reminder")
    page.locator("#id_line").press("Enter")
    page.wait_for_url("**/campaigns/template/")
    with scope(workspace):
        assert list(Template.objects.values_list("channel", "fields")) == [
            ("pager", {"line": "Come in"})
        ]
