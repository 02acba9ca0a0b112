"""No page, dialog or document speaks of what the product cannot do yet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenants import roles
from tenants.admin.people.members import ROLE_WORDS
from tests.pages import text

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
# No code approves, bills, keeps quiet hours, caps a frequency, or sends by these channels.
PROMISES = re.compile(
    r"approv(e|al)|billing|quiet hours|holdout|frequency cap|(free|pro|enterprise) plan|(?<!as )\bsoon\b(?! as)"
    r"|\bSMS\b|WhatsApp",
    re.IGNORECASE,
)
CONSOLE = {
    "roles": "tenants/membership/roles/",
    "invite": "tenants/invitation/add/",
    "invitations": "tenants/invitation/",
    "settings": "tenants/workspace/{pk}/change/",
    "hand over": "tenants/workspace/{pk}/transfer/",
    "home": "",
    "new campaign": "campaigns/campaign/add/",
    "campaigns": "campaigns/campaign/",
    "devices": "campaigns/contact/devices/",
    "new key": "tenants/apikey/add/",
    "trail": "tenants/auditentry/",
}
PLATFORM = ("", "tenants/workspace/", "tenants/workspace/{pk}/change/", "admin/logentry/")


def promises(page: object) -> list[str]:
    without_addresses = re.sub('href="[^"]*"', "", text(page))
    return [found.group() for found in PROMISES.finditer(without_addresses)]


@pytest.mark.parametrize("path", CONSOLE.values(), ids=CONSOLE)
def test_no_page_of_the_console_promises_what_does_not_exist(cast, path):
    page = cast.client("owner").get(cast.url(path.format(pk=cast.workspace.pk)))
    assert page.status_code == 200
    assert promises(page) == []


@pytest.mark.parametrize("path", PLATFORM)
def test_no_page_of_the_platform_promises_what_does_not_exist(cast, path):
    page = cast.client("operator").get(f"/platform/{path.format(pk=cast.workspace.pk)}")
    assert page.status_code == 200
    assert promises(page) == []


def test_a_new_campaign_offers_the_channels_that_can_be_sent_and_no_others(cast):
    page = cast.client("member").get(cast.url("campaigns/campaign/add/"))
    assert [channel["value"] for channel in page.context["channels"]] == ["app_push", "web_push"]


def test_no_role_is_described_by_what_does_not_exist():
    shown = {words for words, _ in roles.table()}
    hidden = {roles.CAPABILITIES[name] for name in roles.NOT_YET}
    assert not shown & hidden
    described = [
        *shown,
        *map(str, ROLE_WORDS.values()),
        (ROOT / "docs" / "roles.md").read_text(encoding="utf-8"),
    ]
    assert [words for words in described if PROMISES.search(words)] == []
