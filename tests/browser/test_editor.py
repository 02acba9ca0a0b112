"""The campaign editor in a real browser: the way back from the review, and texts with emoji."""

from __future__ import annotations

import re

from playwright.sync_api import expect


def test_back_from_the_review_edits_the_same_draft_and_shows_what_was_typed(product, sign_in):
    page = sign_in("priya@biddano.test")
    page.goto(f"{product.console}campaigns/campaign/add/")
    page.get_by_label("Name").fill("There and back")
    page.get_by_label("Title", exact=True).fill("🎉 Sale")
    page.locator("#id_body").fill("Until Sunday")
    page.locator("details.cp-more > summary").first.click()
    page.get_by_label("Collapse key").fill("sale")
    page.get_by_role("button", name="Review and send").click()
    expect(page).to_have_url(re.compile(r"/review/$"))
    reviewed = page.url

    page.go_back()
    expect(page.get_by_label("Title", exact=True)).to_have_value("🎉 Sale")
    expect(page.locator("[data-count-for=id_title]")).to_have_text("6/120")
    expect(page.get_by_role("complementary", name="Preview")).to_contain_text("Until Sunday")
    expect(page.get_by_label("Collapse key")).to_be_visible()
    asks = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert not page.evaluate(asks)
    page.locator("#id_body").fill("Until Monday")
    assert page.evaluate(asks)
    page.get_by_role("button", name="Review and send").click()
    expect(page).to_have_url(reviewed)
    expect(page.get_by_role("complementary", name="Preview")).to_contain_text("Until Monday")


def test_a_title_takes_as_many_emoji_as_its_counter_says(product, sign_in):
    page = sign_in("priya@biddano.test")
    page.goto(f"{product.console}campaigns/campaign/add/")
    title = page.get_by_label("Title", exact=True)
    title.press_sequentially("🎉" * 61)
    expect(page.locator("[data-count-for=id_title]")).to_have_text("61/120")
    page.get_by_label("Name").evaluate(
        "input => { input.value = 'a' + String.fromCharCode(0) + 'b'; }"
    )
    page.get_by_role("button", name="Save draft").click()
    page.wait_for_url("**/change/")
    expect(page.get_by_label("Name")).to_have_value("ab")
