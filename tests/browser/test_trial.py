"""“Send test” in a real browser: from a message that nobody has saved, and from a connection."""

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize("width", [1440, 390])
def test_what_is_typed_goes_to_a_device_and_the_answer_is_shown(product, sign_in, width):
    page = sign_in("priya@biddano.test", width=width, height=900)
    page.goto(f"{product.console}campaigns/campaign/add/")
    page.locator("#id_name").fill("Typed only")
    page.locator("#id_title").fill("Only typed")
    page.locator("#id_body").fill("Nobody has saved this.")
    if width < 1000:
        page.get_by_role("button", name="Preview", exact=True).click()
    page.get_by_role("button", name="Send test").click()
    dialog = page.get_by_role("dialog", name="Send test")
    dialog.get_by_label("Or a token").fill("sbx_ok_browser1")
    dialog.get_by_label("Or a token").press("Enter")
    answer = dialog.get_by_role("status").get_by_role("listitem")
    expect(answer).to_have_attribute("data-state", "accepted")
    dialog.get_by_label("Or a token").fill("sbx_unregistered_1")
    dialog.get_by_role("button", name="Send now").click()
    expect(answer).to_have_attribute("data-state", "refused")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    assert page.url.endswith("/campaign/add/"), "Enter sent the test, not the page"


def test_a_connection_sends_a_greeting(product, sign_in):
    page = sign_in("priya@biddano.test")
    page.goto(f"{product.console}tenants/connection/")
    page.get_by_role("link", name="Sandbox").first.click()
    page.wait_for_url("**/change/")
    page.get_by_role("button", name="Send test").click()
    dialog = page.get_by_role("dialog", name="Send test")
    dialog.get_by_label("Or a token").fill("sbx_ok_browser1")
    dialog.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("The provider accepted the message.")).to_be_visible()
