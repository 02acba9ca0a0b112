"""Chromium against the running product."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.product import Product, running_product, with_pseudo
from tests.translations import MISSING

# Without the networking flags Chromium looks up its maker's hosts at every start.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SignIn = Callable[..., Page]
# Sessions are taken over from test to test while they are younger: pages that ask for the password
# again must see a fresh one.
TAKEN_OVER_SECS = 300


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    words = {} if MISSING else with_pseudo(tmp_path_factory.mktemp("pseudo"))
    with running_product(folder, SEND_UNDO_SECS="2", **words) as product:
        yield product


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if chromium is None:
        pytest.fail("Chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sessions() -> dict[str, tuple[float, list[Any]]]:
    """{address of a person: (when they signed in, their cookies)}."""
    return {}


@pytest.fixture
def sign_in(
    browser: Browser, product: Product, sessions: dict[str, tuple[float, list[Any]]]
) -> Iterator[SignIn]:
    """sign_in("priya@biddano.test", width=…, theme="dark") → a page in the console. Errors on a
    page fail the test. With afresh=True by the password, in a session of its own."""
    contexts = []
    faults: list[str] = []

    def open_page(
        email: str,
        *,
        width: int = 1440,
        height: int = 900,
        theme: str = "light",
        afresh: bool = False,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, base_url=product.url
        )
        context.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda said: (
                faults.append(f"{page.url}: {said.text}") if said.type == "error" else None
            ),
        )
        since, cookies = sessions.get(email, (-math.inf, []))
        if not afresh and time.monotonic() - since < TAKEN_OVER_SECS:
            context.add_cookies(cookies)
            page.goto(product.console)
            if "/accounts/login/" not in page.url:  # else a test has ended that session
                return page
        page.goto("/accounts/login/")
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill(product.password)
        page.get_by_role("button", name="Sign in").first.click()
        page.wait_for_url(f"**{product.console}**")
        if not afresh:
            sessions[email] = time.monotonic(), context.cookies()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
