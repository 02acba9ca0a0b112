"""The product in the pseudo language: every text comes from a translation, and longer words fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.accounts import prove, sign_out, type_password
from tests.browser.pages import (
    ACCOUNT_PAGES,
    ENTRANCE_PAGES,
    MORE_PAGES,
    PLATFORM_PAGES,
    README_PAGES,
)
from tests.browser.visible import Data, outside_of_translations, values_of
from tests.pseudo import LANGUAGE
from tests.translations import MISSING, WHY_SKIPPED

pytestmark = pytest.mark.skipif(bool(MISSING), reason=WHY_SKIPPED)
NARROW = 390
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
# How many texts of a page are not translated yet; a figure only ever falls, until its entry goes.
LEFT: dict[str, int] = {}


def test_every_page_speaks_the_language_and_has_room_for_it(product, browser):
    context = browser.new_context(locale=LANGUAGE, base_url=product.url)
    walk = Walk(context.new_page())
    walk.look_at(ENTRANCE_PAGES)
    type_password(walk.page, "priya@biddano.test", product.password)
    walk.page.wait_for_url(f"**{product.console}**")
    walk.look_at(README_PAGES | MORE_PAGES, under=product.console)
    walk.look_at_errors(f"{product.console}campaigns/campaign/add/", "button[name=_review]")
    walk.page.goto(ACCOUNT_PAGES["authenticator"])
    prove(walk.page, product.password)
    walk.look_at(ACCOUNT_PAGES)
    sign_out(walk.page)
    type_password(walk.page, "operator@pushpilot.test", product.password)
    walk.page.wait_for_url("**/platform/**")
    walk.look_at(PLATFORM_PAGES)
    context.close()
    data = Data(values_of(Path(product.environment["DATA_DIR"]) / "pushpilot.sqlite3"))
    left = {
        name: [text for text in texts if not data.holds(text)] for name, texts in walk.shown.items()
    }
    more = [f"{name}: {texts}" for name, texts in left.items() if len(texts) > LEFT.get(name, 0)]
    assert "\n".join((*more, *walk.wide)) == ""


class Walk:
    """Through pages, and what they show outside of translations or beyond their edge."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.shown: dict[str, list[str]] = {}
        self.wide: list[str] = []

    def look_at(self, pages: dict[str, str], *, under: str = "") -> None:
        for name, path in pages.items():
            self.page.set_viewport_size({"width": NARROW, "height": 900})
            self.page.goto(under + path)
            assert self.page.locator("html").get_attribute("lang") == LANGUAGE
            over = [self.page.evaluate(TOO_WIDE)]
            self.page.set_viewport_size({"width": 1440, "height": 900})
            over.append(self.page.evaluate(TOO_WIDE))
            self.wide += [f"{name} is {pixels} px too wide" for pixels in over if pixels > 0]
            self.shown[name] = outside_of_translations(self.page)

    def look_at_errors(self, path: str, button: str) -> None:
        self.page.goto(path)
        self.page.locator(button).click()
        self.page.locator("[aria-invalid=true], .errorlist, .cp-errors").first.wait_for()
        self.shown[f"errors of {path}"] = outside_of_translations(self.page)
