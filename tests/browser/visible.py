"""What a page shows that no translator reaches: text outside of the pseudo language's brackets
that is not somebody's data."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from babel import Locale

from tests.pseudo import CLOSE, OPEN

# A text in an element of its own inside of a sentence belongs to the sentence.
OUTSIDE = """([open, close]) => {
    const unread = "script,style,noscript,template,code,pre,kbd,textarea,canvas,svg,[dir=auto],[translate=no],"
        + ".material-symbols-outlined";
    const spoken = ["title", "aria-label", "placeholder", "alt"];
    const isShown = (element) => (element.closest("select") ?? element).checkVisibility({ visibilityProperty: true });
    const depths = new Map();
    const found = new Set();
    const blockOf = (element) => {
        let block = element;
        while (block !== document.body && ["inline", "contents"].includes(getComputedStyle(block).display)) {
            block = block.parentElement;
        }
        return block;
    };
    const depthOf = (block) => {
        for (let one = block; one; one = one.parentElement) if (depths.has(one)) return depths.get(one);
        return 0;
    };
    const read = (text, depth) => {
        let outside = "";
        for (const letter of text) {
            if (letter === open) depth += 1;
            else if (letter === close) depth -= 1;
            else if (depth <= 0) outside += letter;
        }
        return [outside.replace(/\\s+/g, " ").trim(), Math.max(0, depth)];
    };
    const note = (text) => { if (/\\p{L}{2}/u.test(text)) found.add(text); };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (element.closest(unread)) continue;
        const block = blockOf(element);
        const [outside, depth] = read(node.data, depthOf(block));
        depths.set(block, depth);
        if (isShown(element)) note(outside);
    }
    for (const name of spoken) {
        for (const element of document.querySelectorAll(`[${name}]`)) {
            if (element.closest(unread) || !isShown(element)) continue;
            note(read(element.getAttribute(name), 0)[0]);
        }
    }
    for (const input of document.querySelectorAll("input[type=submit],input[type=button]")) {
        if (isShown(input)) note(read(input.value, 0)[0]);
    }
    note(read(document.title, 0)[0]);
    return [...found];
}"""
BRANDS = {
    "Alpine",
    "Android",
    "API",
    "APNs",
    "Apple",
    "Chrome",
    "Chromium",
    "CSV",
    "FCM",
    "Firebase",
    "Google",
    "HTTP",
    "iOS",
    "iPhone",
    "JSON",
    "Linux",
    "Liquid",
    "PushPilot",
    "SDK",
    "Unfold",
    "URL",
    "UTC",
    "IST",
    "XLSX",
    "Ctrl",
}
_EN = Locale("en", "GB")
_CALENDAR = {
    name
    for names in (_EN.months, _EN.days)
    for width in ("abbreviated", "wide")
    for name in names["format"][width].values()
}
# Addresses, references, hosts, zones, keys and ends of tokens; "18:05", "3rd", "12 kB"; initials.
_FORMAL = re.compile(
    r"\S+@\S+|https?://\S+|\b\d+(?:\.\d+)+\.\S+|\b\w+(?:\.\w+)+\b|^[A-Z]\w+/[^()]+\(UTC.*"
    r"|\b[A-Z]\w+/[\w/+-]+|\b\w*_\w*\b|…\w+|\b\d\w*|\b[kMGT]?B\b|\b[AP]M$|^\w\w$"
)
_LETTERS = re.compile(r"[^\W\d_]{2}")


def values_of(database: Path) -> set[str]:
    """Every text that a row of the product's own tables holds."""
    found: set[str] = set()
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            if table.startswith(
                ("tenants_", "campaigns_", "delivery_", "reports_", "account_", "usersessions_")
            ):
                rows = connection.execute(f'SELECT * FROM "{table}" LIMIT 5000')
                for row in rows:
                    found.update(_texts(row))
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield " ".join(value.split())
        if value[:1] in "[{":
            try:
                yield from _texts(json.loads(value))
            except ValueError:
                return
    elif isinstance(value, dict):
        yield from _texts(list(value))
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


class Data:
    """What a page may show as it is."""

    def __init__(self, values: Iterable[str]) -> None:
        self.known = {value for value in values if _LETTERS.search(value)} | BRANDS | _CALENDAR
        long = sorted((value for value in self.known if len(value) > 3), key=len, reverse=True)
        self._long = re.compile("|".join(rf"(?<!\w){re.escape(value)}(?!\w)" for value in long))

    def holds(self, text: str) -> bool:
        if text in self.known or text[:1].lower() + text[1:] in self.known:  # as capfirst writes it
            return True
        rest = _FORMAL.sub("", self._long.sub("", text))
        words = re.findall(r"[^\W\d_]+", rest)
        return not _LETTERS.search(rest) or all(word in self.known for word in words)


def outside_of_translations(page: object) -> list[str]:
    return page.evaluate(OUTSIDE, [OPEN, CLOSE])  # type: ignore[attr-defined, no-any-return]
