"""Texts suggested from a prompt: what the dialog shows, and what a click puts into the form."""

from __future__ import annotations

from playwright.sync_api import expect

PROMPT = "20% off on all sweets until Sunday, code SWEET20, https://shop.example/sale"


def test_a_click_on_a_draft_fills_the_form_and_the_preview(product, sign_in):
    page = sign_in("priya@biddano.test")
    page.goto(f"{product.console}campaigns/campaign/add/")
    page.get_by_role("button", name="Suggest texts").click()
    dialog = page.locator("dialog[data-drafts]")
    dialog.get_by_role("button", name="Suggest", exact=True).click()
    expect(dialog.get_by_role("status")).to_have_attribute("data-state", "error")

    dialog.get_by_label("What is the message about?").fill(PROMPT)
    dialog.get_by_role("button", name="Suggest", exact=True).click()
    drafts = dialog.locator("[data-draft-list] button")
    expect(drafts).to_have_count(3)
    expect(dialog.get_by_role("status")).to_contain_text("SWEET20")
    first = drafts.all_inner_texts()
    dialog.get_by_role("button", name="Other texts").click()
    expect(drafts.first).not_to_have_text(first[0], use_inner_text=True)

    words = drafts.nth(1).locator("strong").inner_text()
    drafts.nth(1).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_label("Title", exact=True)).to_have_value(words)
    assert "SWEET20" in page.locator("#id_body").input_value()
    expect(page.locator("#id_deep_link")).to_have_value("https://shop.example/sale")
    expect(page.locator("#id_tone")).to_have_value("cheerful")
    expect(page.get_by_role("complementary", name="Preview")).to_contain_text("SWEET20")

    page.locator("#id_name").fill("From a draft")
    page.get_by_role("button", name="Save draft").click()
    page.wait_for_url("**/change/")
    expect(page.get_by_label("Title", exact=True)).to_have_value(words)
