"""A message in a real browser: its direction, where a phone cuts it, and the preview on a small
screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

ARABIC, HEBREW = "تخفيضات نهاية الأسبوع", "משלוח חינם עד יום ראשון"
LONG = "Free delivery on every order until Sunday midnight, in all shops of the town. " * 8
# Points of text across, of what a 393 pt iPhone and a 412 dp Android phone give it: 377 pt of note
# less icon and edges.
IPHONE_TEXT, ANDROID_TEXT = 377 - 38 - 10 - 2 * 14, 380 - 24 - 12 - 2 * 16


def direction(locator: Locator) -> str:
    return str(locator.evaluate("node => getComputedStyle(node).direction"))


def lines(locator: Locator) -> int:
    return round(
        locator.evaluate(
            "node => node.clientHeight / parseFloat(getComputedStyle(node).lineHeight)"
        )
    )


@pytest.fixture
def page(product, sign_in) -> Page:
    page = sign_in("priya@biddano.test")
    page.goto(f"{product.console}campaigns/campaign/add/")
    return page


def test_a_right_to_left_text_is_laid_out_right_to_left_where_it_is_written_and_shown(
    page, product
):
    page.get_by_label("Name").fill(HEBREW)
    page.get_by_label("Title", exact=True).fill(ARABIC)
    page.locator("#id_body").fill(HEBREW)
    note = page.locator("[data-note]")
    expect(note).to_contain_text(ARABIC)
    shown = (
        "#id_name",
        "#id_title",
        "#id_body",
        "[data-note] [data-title]",
        "[data-note] [data-body]",
    )
    assert {place: direction(page.locator(place)) for place in shown} == dict.fromkeys(shown, "rtl")

    page.locator("#id_title").fill("Weekend sale")
    expect(note).to_contain_text("Weekend sale")
    assert (
        direction(page.locator("#id_title")),
        direction(page.locator("[data-note] [data-title]")),
    ) == ("ltr", "ltr")
    page.locator("#id_title").fill(ARABIC)
    page.get_by_role("button", name="Save draft").click()
    page.wait_for_url("**/change/")
    page.goto(f"{product.console}campaigns/campaign/")
    for text in (HEBREW, ARABIC):
        assert direction(page.get_by_text(text, exact=True).first) == "rtl"


def test_the_preview_cuts_where_the_phone_cuts(page):
    page.get_by_label("Title", exact=True).fill(LONG[:110])
    page.locator("#id_body").fill(LONG)
    title, body = page.locator("[data-note] [data-title]"), page.locator("[data-note] [data-body]")
    expect(body).to_contain_text("in all shops of the town. Free")

    def seen(device: str, scene: str) -> tuple[int, int]:
        page.get_by_role("button", name=device, exact=True).click()
        page.get_by_role("button", name=scene, exact=True).click()
        return lines(title), lines(body)

    def points_across(size: int) -> float:
        return body.evaluate(
            f"node => {size} * node.clientWidth / parseFloat(getComputedStyle(node).fontSize)"
        )

    assert (seen("iPhone", "Lock screen"), seen("iPhone", "Home screen")) == ((1, 4), (1, 2))
    assert points_across(15) == pytest.approx(IPHONE_TEXT, abs=4)
    assert seen("iPhone", "Expanded")[1] > 8
    assert (seen("Android", "Lock screen"), seen("Android", "Home screen")) == ((1, 1), (1, 1))
    assert points_across(14) == pytest.approx(ANDROID_TEXT, abs=4)
    assert seen("Android", "Expanded") == (1, 8)


@pytest.mark.parametrize(
    "path", ["campaign/add/", "campaign/11/change/", "campaign/11/review/", "campaign/13/change/"]
)
def test_on_a_phone_the_preview_is_one_tap_away(product, sign_in, path):
    page = sign_in("priya@biddano.test", width=390, height=844)
    page.goto(f"{product.console}campaigns/{path}")
    preview = page.get_by_role("complementary", name="Preview")
    expect(preview).to_be_hidden()
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(preview.locator("[data-screen]")).to_be_in_viewport(ratio=0.9)
    assert page.evaluate("scrollY") == 0
    page.keyboard.press("Escape")
    expect(preview).to_be_hidden()


def test_beside_the_form_the_preview_needs_no_button(page):
    expect(page.get_by_role("complementary", name="Preview")).to_be_visible()
    expect(page.get_by_role("button", name="Preview", exact=True)).to_be_hidden()
