"""The words of scripts that no translator reaches: texts outside of `gettext` and `ngettext`."""

from __future__ import annotations

import re
from pathlib import Path

# Comments, texts and regular expressions; what stands first decides. A text in backquotes may hold
# others in its ${…}, one level deep.
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|\$\{(?:`[^`]*`|[^`{}]|\{[^}]*\})*\}|[^`\\])*`)
    |(?P<pattern>(?<=[(,=:\[!&|?{};\n])\s*/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*)""",
    re.VERBOSE | re.DOTALL,
)
_MARKED = re.compile(r"\b(?:n?p?gettext)\(\s*(?:[\"'`].*[\"'`],\s*)?$", re.DOTALL)
_PLACEHOLDER = re.compile(r"\$\{(?:`[^`]*`|[^{}]|\{[^}]*\})*\}")
# Two words with a blank between them, or one that begins as a sentence does.
_WORDS = re.compile(r"[^\W\d_]{2,}[,.:]? +[^\W\d_]|^\W*[A-Z][a-z]+\W*$")
# A word beside a value.
_WORD = re.compile(r"(?:^| )[^\W\d_]{2,}(?: |$)")
# Selectors, attributes, styles, names of headers and zones.
_FOR_PROGRAMS = re.compile(
    r"[\[\]{}=#<>]|^\(|^\.|-serif|^[A-Z]\w*-|^(?:HTTP|Bearer) |^[A-Z][a-z]+/"
)
_CLASSES = re.compile(r"[a-z]+-[a-z-]+(?: [a-z-]+)*")
_NAMES = {
    "Accept",
    "AbortError",
    "Android",
    "Authorization",
    "Enter",
    "Escape",
    "phone wall",
    "button ",
}


def bare_script_words(source: str) -> list[tuple[int, str]]:
    """(line, words) that stand outside of a translation."""
    found = []
    for token in _TOKEN.finditer(source):
        if token["text"] is None:
            continue
        before = source[max(0, token.start() - 300) : token.start()]
        text = token["text"][1:-1]
        if _is_said(text) and not _MARKED.search(before.rpartition(";")[2]):
            found.append((source.count("\n", 0, token.start()) + 1, text))
    return found


def _is_said(text: str) -> bool:
    plain = _PLACEHOLDER.sub("", text)
    if plain in _NAMES or _FOR_PROGRAMS.search(plain) or _CLASSES.fullmatch(plain):
        return False
    return bool(_WORDS.search(plain) or (plain != text and _WORD.search(plain)))


def bare_script_words_of(files: list[Path]) -> dict[Path, list[tuple[int, str]]]:
    found = {file: bare_script_words(file.read_text(encoding="utf-8")) for file in files}
    return {file: words for file, words in found.items() if words}
