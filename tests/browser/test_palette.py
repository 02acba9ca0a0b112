"""The command palette (Ctrl-K) in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

PHONE_WALL = re.compile(r"/campaigns/run/phone-wall/$")


@pytest.fixture
def page(product, sign_in) -> Page:
    return sign_in("priya@biddano.test")


def field(page: Page) -> Locator:
    return page.locator("#search-input-command")


def open_palette(page: Page) -> Locator:
    page.keyboard.press("Control+k")
    expect(field(page)).to_be_focused()
    return field(page)


def hits(page: Page) -> Locator:
    return page.locator("#command-results-list li:has(a)")


def test_typing_and_enter_open_the_first_hit(page):
    open_palette(page).press_sequentially("phone wall")
    expect(hits(page)).to_have_count(1)
    expect(hits(page).first).to_have_class(re.compile("active"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(PHONE_WALL)


def test_enter_before_the_answer_waits_for_the_hits_of_what_was_typed(page):
    open_palette(page)
    expect(hits(page).nth(3)).to_be_visible()
    page.route("**/search/**", lambda route: (page.wait_for_timeout(600), route.continue_()))
    page.keyboard.type("phone wall", delay=1)
    page.keyboard.press("Enter")
    expect(page).to_have_url(PHONE_WALL)


def test_the_arrows_choose_another_hit(page):
    open_palette(page).press_sequentially("campaign")
    expect(hits(page).nth(2)).to_be_visible()
    expect(hits(page).first).to_have_class(re.compile("active"))
    second = hits(page).nth(1).locator("a").get_attribute("href")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(re.escape(second) + "$"))


def test_enter_without_a_hit_stays_on_the_page(page):
    before = page.url
    open_palette(page).press_sequentially("no such thing")
    expect(page.locator("#command-results-list")).to_be_visible()
    expect(hits(page)).to_have_count(0)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert page.url == before


def test_escape_empties_the_field_then_closes_and_the_next_opening_begins_anew(page):
    box = open_palette(page)
    box.press_sequentially("phone wall")
    expect(hits(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(box).to_have_value("")
    expect(hits(page).nth(3)).to_be_visible()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    assert page.evaluate("!document.body.classList.contains('overflow-hidden')")
    open_palette(page)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/campaigns/campaign/add/$"))


def test_a_frame_that_comes_late_does_not_keep_the_keyboard_from_the_palette(page):
    page.evaluate(
        "const draw = requestAnimationFrame;"
        "window.requestAnimationFrame = (show) => setTimeout(() => show && draw(show), 200)"
    )
    open_palette(page)


def test_ctrl_k_opens_the_palette_inside_a_text_field_too_and_a_second_time_changes_nothing(
    page, product
):
    page.goto(f"{product.console}campaigns/campaign/add/")
    page.get_by_label("Name").fill("Half written")
    page.get_by_label("Name").focus()
    box = open_palette(page)
    page.keyboard.press("Control+k")
    expect(box).to_be_focused()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    assert page.evaluate("!document.body.classList.contains('overflow-hidden')")
    expect(page.get_by_label("Name")).to_have_value("Half written")
