"""`python -m tests.browser.screenshots [folder] [--all] [--language en-xa]`: pictures of the
running demo.

Without --all the four of the README; with it the main pages light, dark and narrow. The language
en-xa is that of tests/pseudo.py.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests import pseudo
from tests.browser.accounts import prove, sign_out, type_password
from tests.browser.pages import (
    ACCOUNT_PAGES,
    ENTRANCE_PAGES,
    MORE_PAGES,
    PLATFORM_PAGES,
    README_PAGES,
)
from tests.browser.product import ROOT, Product, running_product, with_pseudo

LOOKS = {"light": ("light", 1440), "dark": ("dark", 1440), "narrow": ("light", 390)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--language", default="en", choices=["en", pseudo.LANGUAGE])
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as words,
        running_product(
            Path(name),
            **({} if chosen.language == "en" else with_pseudo(Path(words))),
        ) as product,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for look, (theme, width) in LOOKS.items() if chosen.all else {"": ("light", 1440)}.items():
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                base_url=product.url,
                locale=chosen.language,
            )
            context.add_init_script(
                f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))"
            )
            page = context.new_page()
            camera = Camera(page, chosen.folder, look, full_page=chosen.all)
            if chosen.all:
                camera.take(ENTRANCE_PAGES)
            type_password(page, "priya@biddano.test", product.password)
            page.wait_for_url(f"**{product.console}**")
            if look in ("", "light"):
                use_the_phones(page, product)
            camera.take(README_PAGES, under=product.console)
            if chosen.all:
                camera.take(MORE_PAGES, under=product.console)
                prove_once(page, product)
                camera.take(ACCOUNT_PAGES)
                sign_out(page)
                type_password(page, "operator@pushpilot.test", product.password)
                page.wait_for_url("**/platform/**")
                camera.take(PLATFORM_PAGES)
            context.close()
        browser.close()


@dataclass
class Camera:
    page: Page
    folder: Path
    look: str
    full_page: bool

    def take(self, pages: dict[str, str], *, under: str = "") -> None:
        """A picture of each, named by its title and the look."""
        for title, path in pages.items():
            self.page.goto(under + path)
            self.page.wait_for_timeout(1500 if under else 500)
            picture = "-".join(filter(None, (title, self.look))) + ".png"
            self.page.screenshot(path=self.folder / picture, full_page=self.full_page)


def prove_once(page: Page, product: Product) -> None:
    """Some account pages ask for the password first; for a while they then do not ask again."""
    page.goto(ACCOUNT_PAGES["authenticator"])
    prove(page, product.password)


def use_the_phones(page: Page, product: Product) -> None:
    """Let the phones report what an SDK would, so that the figures are those of a used
    workspace."""
    page.goto(f"{product.console}campaigns/run/phone-wall/")
    page.wait_for_timeout(3000)
    for _ in range(2):
        page.locator("[data-tap-some]").click()
        page.wait_for_timeout(1500)
    page.wait_for_timeout(5000)


if __name__ == "__main__":
    main()
