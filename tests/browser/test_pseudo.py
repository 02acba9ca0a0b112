"""Every page of tests/browser/pages.py in the pseudo language, loaded once: every text comes from a
translation, longer words fit, and axe-core finds it accessible in light and dark. Of unpictured
pages only the last holds; test_accounts.py asks it of account pages behind a second factor."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.accounts import prove, sign_out, type_password
from tests.browser.axe import violations
from tests.browser.pages import (
    ACCOUNT_PAGES,
    ENTRANCE_PAGES,
    MORE_PAGES,
    PLATFORM_PAGES,
    README_PAGES,
    UNPICTURED_PAGES,
    UNPICTURED_PLATFORM_PAGES,
)
from tests.browser.visible import Data, outside_of_translations, values_of
from tests.pseudo import LANGUAGE
from tests.translations import MISSING, WHY_SKIPPED

pytestmark = pytest.mark.skipif(bool(MISSING), reason=WHY_SKIPPED)
NARROW = 390
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
# How many texts of a page are not translated yet; a figure only ever falls, until its entry goes.
LEFT: dict[str, int] = {}


def test_every_page_speaks_the_language_has_room_for_it_and_is_accessible(product, browser):
    context = browser.new_context(locale=LANGUAGE, base_url=product.url)
    walk = Walk(context.new_page())
    walk.look_at(ENTRANCE_PAGES)
    type_password(walk.page, "priya@biddano.test", product.password)
    walk.page.wait_for_url(f"**{product.console}**")
    walk.look_at(README_PAGES | MORE_PAGES, under=product.console)
    walk.ask_axe(UNPICTURED_PAGES, under=product.console)
    walk.look_at_errors(f"{product.console}campaigns/campaign/add/", "button[name=_review]")
    walk.page.goto(ACCOUNT_PAGES["authenticator"])
    prove(walk.page, product.password)
    walk.look_at(ACCOUNT_PAGES)
    sign_out(walk.page)
    type_password(walk.page, "operator@pushpilot.test", product.password)
    walk.page.wait_for_url("**/platform/**")
    walk.look_at(PLATFORM_PAGES)
    walk.ask_axe(UNPICTURED_PLATFORM_PAGES)
    context.close()
    data = Data(values_of(Path(product.environment["DATA_DIR"]) / "pushpilot.sqlite3"))
    left = {
        name: [text for text in texts if not data.holds(text)] for name, texts in walk.shown.items()
    }
    more = [f"{name}: {texts}" for name, texts in left.items() if len(texts) > LEFT.get(name, 0)]
    assert "\n".join((*more, *walk.wide, *walk.inaccessible)) == ""


class Walk:
    """Through pages, and what they show outside of translations, beyond their edge or to few."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.shown: dict[str, list[str]] = {}
        self.wide: list[str] = []
        self.inaccessible: list[str] = []

    def look_at(self, pages: dict[str, str], *, under: str = "") -> None:
        for name, path in pages.items():
            self.page.set_viewport_size({"width": NARROW, "height": 900})
            self._open(under + path)
            assert self.page.locator("html").get_attribute("lang") == LANGUAGE
            over = [self.page.evaluate(TOO_WIDE)]
            self.page.set_viewport_size({"width": 1440, "height": 900})
            over.append(self.page.evaluate(TOO_WIDE))
            self.wide += [f"{name} is {pixels} px too wide" for pixels in over if pixels > 0]
            self._read(name)

    def look_at_errors(self, path: str, button: str) -> None:
        self.page.goto(path)
        self.page.locator(button).click()
        self.page.locator("[aria-invalid=true], .errorlist, .cp-errors").first.wait_for()
        self._read(f"errors of {path}")

    def ask_axe(self, pages: dict[str, str], *, under: str = "") -> None:
        for path in pages.values():
            self._open(under + path)
            self.inaccessible += violations(self.page)

    def _open(self, path: str) -> None:
        response = self.page.goto(path)
        assert response is not None
        assert (response.status, response.url.endswith(path)) == (200, True)

    def _read(self, name: str) -> None:
        self.shown[name] = outside_of_translations(self.page)
        self.inaccessible += violations(self.page)
