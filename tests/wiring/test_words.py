"""The catalogue of the scripts' words."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from pushpilot.lib import words
from tests.pages import text

pytestmark = pytest.mark.once

ADDRESS = re.compile(r"/words/en\.js\?v=\w{12}")


def test_every_page_loads_the_catalogue_before_our_scripts(cast):
    pages = [
        Client().get("/accounts/login/"),
        cast.client("viewer").get(cast.url()),
        cast.client("viewer").get(cast.url("campaigns/run/phone-wall/")),
        Client().get("/nowhere/"),
    ]
    for page in pages:
        scripts = re.findall(r'<script[^>]* ?src="([^"]+)"', text(page))
        ours = [at for at, script in enumerate(scripts) if "pushpilot/app.js" in script]
        assert ours
        assert ADDRESS.fullmatch(scripts[ours[0] - 1])


def test_a_cache_may_keep_the_catalogue_and_it_names_nobody():
    answer = Client().get(words.address())
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert not answer.cookies
    assert Client().get("/words/xx.js").status_code == 404


def test_the_catalogue_has_our_words_and_its_address_follows_them(settings, tmp_path):
    before = words.address()
    folder = tmp_path / "en" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "djangojs.mo").write_bytes(compiled({"Copied": "Got it"}))
    settings.LOCALE_PATHS = [tmp_path]
    words._script.cache_clear()
    try:
        assert '"Copied": "Got it"' in text(Client().get("/words/en.js"))
        assert words.address() != before
    finally:
        words._script.cache_clear()


def compiled(catalogue: dict[str, str]) -> bytes:
    """A .mo file, as msgfmt writes it."""
    header = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=n != 1;\n"
    pairs = sorted(
        (one.encode(), other.encode()) for one, other in {"": header, **catalogue}.items()
    )
    start = 28 + 16 * len(pairs)
    tables, texts = [b"", b""], b""
    for side in (0, 1):
        for pair in pairs:
            tables[side] += len(pair[side]).to_bytes(4, "little")
            tables[side] += (start + len(texts)).to_bytes(4, "little")
            texts += pair[side] + b"\0"
    head = (0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return b"".join(part.to_bytes(4, "little") for part in head) + b"".join(tables) + texts
