"""The words of templates that no translator reaches: outside of `translate` and
`blocktranslate`."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from django.template.base import Lexer, TokenType

ATTRIBUTES = {"title", "aria-label", "placeholder", "alt", "label", "data-label"}
_BRAND = "PushPilot"
_UNREAD = {"script", "style", "code", "pre"}
_WITHOUT_END = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
_WORD = re.compile(r"[^\W\d_]{2}")
_OPEN = re.compile(r"(blocktrans(?:late)?|comment)\b")


class _Words(HTMLParser):
    """Collects (line, words) of what a person reads."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[int, str]] = []
        self._within: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        for name in ATTRIBUTES & values.keys():
            self._note(values[name])
        if tag not in _WITHOUT_END:
            self._within.append((tag, values.get("class", "")))

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if any(tag in _UNREAD or "material-symbols" in classes for tag, classes in self._within):
            return
        self._note(data)

    def _note(self, text: str) -> None:
        if _WORD.search(text.replace(_BRAND, "")):
            self.found.append((self.getpos()[0], " ".join(text.split())))


def bare_words(source: str) -> list[tuple[int, str]]:
    """(line, words) that stand outside of a translation."""
    plain, closing = [], ""
    for token in Lexer(source).tokenize():
        opened = _OPEN.match(token.contents) if token.token_type == TokenType.BLOCK else None
        if token.token_type != TokenType.TEXT:
            plain.append("\n" * _lines(token))
        elif closing:
            plain.append("\n" * token.contents.count("\n"))
        else:
            plain.append(token.contents)
        if opened and not closing:
            closing = f"end{opened.group(1)}"
        elif closing and token.contents == closing:
            closing = ""
    words = _Words()
    words.feed("".join(plain))
    words.close()
    return words.found


def bare_words_of(files: list[Path]) -> dict[Path, list[tuple[int, str]]]:
    """{template: its bare words}, without those that have none."""
    found = {file: bare_words(file.read_text(encoding="utf-8")) for file in files}
    return {file: words for file, words in found.items() if words}


def _lines(token: object) -> int:
    return str(getattr(token, "contents", "")).count("\n")
