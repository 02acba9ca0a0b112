"""`python -m tests.browser.screenshots [folder] [--all]`: pictures of the running demo.

Without --all the four of the README; with it the main pages light, dark and narrow.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.product import ROOT, Product, running_product

README_PAGES = {
    "dashboard": "",
    "editor": "campaigns/campaign/2/change/",
    "run": "campaigns/run/1/change/",
    "phone-wall": "campaigns/run/phone-wall/",
}
MORE_PAGES = {
    "campaigns": "campaigns/campaign/",
    "new-campaign": "campaigns/campaign/add/",
    "review": "campaigns/campaign/2/review/",
    "campaign": "campaigns/campaign/1/change/",
    "templates": "campaigns/template/",
    "import": "campaigns/template/import/",
    "contacts": "campaigns/contact/",
    "runs": "campaigns/run/",
    "recipients": "campaigns/run/1/recipients/",
    "events": "reports/event/",
    "connections": "tenants/connection/",
    "keys": "tenants/apikey/",
    "members": "tenants/membership/",
    "audit": "tenants/auditentry/",
}
LOOKS = {"light": ("light", 1440), "dark": ("dark", 1440), "narrow": ("light", 390)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", action="store_true")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, running_product(Path(name)) as product, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for look, (theme, width) in LOOKS.items() if chosen.all else {"": ("light", 1440)}.items():
            context = browser.new_context(viewport={"width": width, "height": 900}, base_url=product.url)
            context.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
            page = context.new_page()
            sign_in(page, product)
            if look in ("", "light"):
                use_the_phones(page, product)
            for title, path in {**README_PAGES, **(MORE_PAGES if chosen.all else {})}.items():
                page.goto(product.console + path)
                page.wait_for_timeout(1500)
                picture = "-".join(filter(None, (title, look))) + ".png"
                page.screenshot(path=chosen.folder / picture, full_page=chosen.all)
            context.close()
        browser.close()


def sign_in(page: Page, product: Product) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill("priya@biddano.test")
    page.get_by_label("Password").fill(product.password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{product.console}**")


def use_the_phones(page: Page, product: Product) -> None:
    """Let the phones report what an SDK would, so that the figures are those of a used workspace."""
    page.goto(f"{product.console}campaigns/run/phone-wall/")
    page.wait_for_timeout(3000)
    for _ in range(2):
        page.get_by_role("button", name="Tap 10 %").click()
        page.wait_for_timeout(1500)
    page.wait_for_timeout(5000)


if __name__ == "__main__":
    main()
