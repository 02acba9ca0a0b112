"""What holds for every page: it fits a phone, a wide table shows that it goes on, and each of
its icons is one."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.accounts import prove, sign_out, type_password
from tests.browser.pages import (
    ACCOUNT_PAGES,
    ENTRANCE_PAGES,
    MORE_PAGES,
    PLATFORM_PAGES,
    README_PAGES,
)

# A name that the icon font does not know is drawn as letters, many times as wide as an icon.
FAULTS = """() => {
    const wide = document.documentElement.scrollWidth - innerWidth;
    const drawn = [...document.querySelectorAll(".material-symbols-outlined")];
    const widthOf = (icon) => {
        const letters = document.createRange();
        letters.selectNodeContents(icon);
        return letters.getBoundingClientRect().width;
    };
    const frameOf = (table) => {
        for (let node = table.parentElement; node; node = node.parentElement) {
            if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX !== "visible") return node;
        }
        return null;
    };
    const cut = [...document.querySelectorAll("table")].map(frameOf).filter(
        (frame) => frame && frame !== document.documentElement
            && !getComputedStyle(frame).backgroundAttachment.includes("local"),
    );
    const unknown = drawn.filter((icon) => widthOf(icon) > 1.6 * parseFloat(getComputedStyle(icon).fontSize));
    return [
        ...(wide > 0 ? [`${wide} px wider than the phone`] : []),
        ...cut.map((frame) => `a table is cut without a hint in .${frame.className}`),
        ...unknown.map((icon) => `no such icon: ${icon.textContent.trim()}`),
    ];
}"""


def test_every_page_fits_a_phone_and_knows_its_icons(product, sign_in):
    page = sign_in("priya@biddano.test", width=390)
    found: list[str] = []
    for path in [*README_PAGES.values(), *MORE_PAGES.values()]:
        found += faults(page, product.console + path)
    for path in ACCOUNT_PAGES.values():
        page.goto(path)
        prove(page, product.password)
        found += faults(page, path)
    sign_out(page)
    for path in ENTRANCE_PAGES.values():
        found += faults(page, path)
    type_password(page, "operator@pushpilot.test", product.password)
    page.wait_for_url("**/platform/**")
    for path in PLATFORM_PAGES.values():
        found += faults(page, path)
    assert "\n".join(found) == ""


def faults(page: Page, path: str) -> list[str]:
    response = page.goto(path)
    page.evaluate("document.fonts.ready")
    found = [] if response and response.ok else ["it answers with an error"]
    return [f"{path}: {fault}" for fault in (*found, *page.evaluate(FAULTS))]
