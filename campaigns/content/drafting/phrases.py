"""What drafts in a language are made of: the lines of `<language>.toml` beside this module."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pushpilot.lib import languages

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "es", "hi", "pt")
GROUPS = {
    "formal": "plain",
    "informative": "plain",
    "friendly": "warm",
    "cheerful": "warm",
    "festive": "warm",
    "urgent": "urgent",
}
"""{tone: the name of its lines}."""
EMOJI_BUDGETS = {
    "formal": 0,
    "informative": 0,
    "friendly": 1,
    "cheerful": 2,
    "festive": 2,
    "urgent": 1,
}
CAPITALS_BUDGETS = {
    "formal": 0,
    "informative": 0,
    "friendly": 0,
    "cheerful": 1,
    "festive": 1,
    "urgent": 2,
}
"""How many words in capitals a value of the brief keeps, beside the code."""
EMOJI = {
    "festive": ("🎉", "✨"),
    "weekend": ("🎈", "☀️"),
    "retention": ("👋", "💛"),
    "pharma": ("🌿", "💚"),
    "welcome": ("👋", "🙌"),
    "offer": ("🛍️", "✨"),
    "reminder": ("🔔", "👀"),
    "news": ("📣", "✨"),
}
TONES = {
    "festive": "festive",
    "weekend": "cheerful",
    "retention": "friendly",
    "pharma": "informative",
    "welcome": "friendly",
    "offer": "cheerful",
    "reminder": "informative",
    "news": "informative",
}
"""{category: the tone that it has if nobody chooses one}."""
# How a code is written, in every language.
_CODE = r"(?-i:(?=[A-Z0-9_-]*[A-Z])[A-Z0-9][A-Z0-9_-]{2,24})"
_BROKEN = re.compile(r"\n\s*")
# For `re`, the vowel signs of Devanagari are no letters.
_LETTER = r"[\w\u0900-\u0963\u0966-\u097f]"
_BEFORE, _AFTER = rf"(?<!{_LETTER})", rf"(?!{_LETTER})"


@dataclass(frozen=True)
class Phrases:
    """The lines of one language, and how its prompts are read."""

    language: str
    said: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The reader's first name, with what stands for a name that nobody knows; "" in a language
        that has no such word for everybody."""
        return str(self.said.get("name", ""))

    def percent_off(self, number: str) -> str:
        return str(self.said["percent_off"]).replace("{number}", number)

    def lines(self, part: str, key: str) -> list[str]:
        """Of a part of a message, for a category or a group of tones; what follows an opening
        from long to short."""
        found: list[str] = self.said[part].get(key, [])
        return found

    # --- reading ----------------------------------------------------------------------------------
    @cached_property
    def claims(self) -> re.Pattern[str]:
        """Words that promise something, and names of occasions."""
        names = "|".join(map(re.escape, self.said["occasions"]["names"]))
        return _whole_words(f"{self.said['claims']['words']}|{names}")

    def granted(self, category: str) -> re.Pattern[str] | None:
        """The claims that lie in the category itself."""
        words = self.said["claims"].get(category)
        if words:
            return _whole_words(words)
        return None

    @cached_property
    def readers(self) -> dict[str, re.Pattern[str]]:
        """{slot: its pattern in a prompt}; the last group that matched is the value."""
        reads = self.said["reads"]
        offer = f"(?:{'|'.join(reads['offer'])})"
        date = reads["date"].replace("MONTH", reads["month"])
        found = {
            "offer": f"{_BEFORE}({offer}){_AFTER}",
            "code": _BEFORE + reads["code"].replace("CODE", _CODE),
            "deadline": _BEFORE + reads["deadline"].replace("DATE", date) + _AFTER,
            "product": _BEFORE + reads["product"].replace("OFFER", offer),
            "occasion": f"{_BEFORE}({'|'.join(map(re.escape, self._occasions))}){_AFTER}",
        }
        return {slot: _compiled(pattern) for slot, pattern in found.items()}

    def read_yours(self, prompt: str) -> str:
        """What somebody is reminded of, as its reader calls it; "" if the prompt tells nothing."""
        reads = self.said["reads"]
        found = _whole_words(reads["yours"]).search(prompt) if "yours" in reads else None
        if found:
            return str(reads["your"]).replace("{product}", found[1].strip())
        return ""

    @cached_property
    def _occasions(self) -> list[str]:
        """The longest first: "Lunar New Year" is not "New Year"."""
        return sorted(self.said["occasions"]["names"], key=len, reverse=True)

    def category_of(self, prompt: str) -> str:
        """The first category with a word in the prompt, "" if there is none."""
        return self._first("categories", prompt)

    def tone_of(self, prompt: str) -> str:
        return self._first("tones", prompt)

    def _first(self, part: str, prompt: str) -> str:
        words: Mapping[str, str] = self.said[part]
        return next((key for key in words if _whole_words(words[key]).search(prompt)), "")


@lru_cache(maxsize=512)
def _whole_words(words: str) -> re.Pattern[str]:
    return _compiled(f"{_BEFORE}(?:{words}){_AFTER}")


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_BROKEN.sub("", pattern), re.IGNORECASE)


@lru_cache
def of_language(language: str) -> Phrases:
    """Of one of LANGUAGES."""
    file = FOLDER / f"{language}.toml"
    return Phrases(language, tomllib.loads(file.read_text(encoding="utf-8")))


def for_tag(tag: str) -> Phrases | None:
    """Those that a reader of this language reads; None: nobody has written any yet."""
    known = [language for language in languages.fallbacks(tag) if language in LANGUAGES]
    if known:
        return of_language(known[0])
    return None
