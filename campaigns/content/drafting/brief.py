"""The brief of a draft: what a person wrote, read into slots. A draft may say nothing beyond it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from campaigns.channels.base import Channel
from campaigns.content.drafting import phrases
from campaigns.content.drafting.phrases import Phrases

SLOTS = ("offer", "code", "deadline", "product", "occasion", "link")
_LINK = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s{}<>\"“”]+", re.IGNORECASE)
_QUOTED = re.compile(r"[“\"«]([^“”\"«»{}]{2,60})[”\"»]")
_PERCENT = re.compile(r"(?<![\d.,])(\d[\d.,]*)\s?(?:%|percent\b)", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
_SHOUTED = re.compile(r"\b[^\W\d_]{4,}\b")


@dataclass(frozen=True)
class Brief:
    """`language` is the tag that the draft is for, `phrases` its lines. `variables`: the names
    that a text may be personalised with. The same brief makes the same drafts; another `seed`
    others."""

    prompt: str
    channel: Channel
    language: str
    phrases: Phrases
    category: str
    tone: str
    slots: Mapping[str, str] = field(default_factory=dict)
    variables: frozenset[str] = frozenset()
    seed: int = 0

    @property
    def group(self) -> str:
        return phrases.GROUPS[self.tone]

    @cached_property
    def words(self) -> str:
        """All that a draft may claim, without its case."""
        return " \n ".join((self.prompt, *self.slots.values())).casefold()


def in_one_line(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()


def read_slots(prompt: str, own: Phrases) -> dict[str, str]:
    """{slot: its words in the prompt}. Of a prompt in English for another language only what
    reads the same in both: link, code, occasion, and a share such as 20 %."""
    found = _read(prompt, own)
    english = phrases.of_language("en")
    if own is not english:
        theirs = _read(prompt, english)
        found = {slot: theirs[slot] for slot in ("code",) if slot in theirs} | found
        if "offer" not in found and "%" in theirs.get("offer", ""):
            number = _PERCENT.search(theirs["offer"])
            if number:
                found["offer"] = own.percent_off(number[1])
    if link := _LINK.search(prompt):
        found["link"] = link[0].rstrip(".,;:!?)]'’")
    return found


def _read(prompt: str, own: Phrases) -> dict[str, str]:
    without_links = _LINK.sub(" ", prompt)
    found = {}
    for slot, reader in own.readers.items():
        if match := reader.search(without_links):
            value = next(group for group in reversed(match.groups()) if group)
            found[slot] = value.strip(" ,.")
    if "product" not in found and (quoted := _QUOTED.search(without_links)):
        found["product"] = quoted[1].strip()
    if yours := own.read_yours(without_links):
        found.setdefault("product", yours)
    if found.get("product") == found.get("code"):
        found.pop("product", None)
    return {slot: value for slot, value in found.items() if value}


def read_category(prompt: str, own: Phrases, slots: Mapping[str, str]) -> str:
    """What the prompt names; else what its slots say; else news."""
    for one in (own, phrases.of_language("en")):
        if found := one.category_of(prompt):
            return found
    if "offer" in slots or "code" in slots:
        return "offer"
    if "occasion" in slots:
        return "festive"
    return "news"


def read_tone(prompt: str, own: Phrases) -> str:
    """What the prompt names, "" if it names none."""
    return own.tone_of(prompt) or phrases.of_language("en").tone_of(prompt)


def calmed(text: str, budget: int) -> str:
    """The text in small letters if it has more words in capitals than the tone allows; one word
    may be a name."""
    words = _SHOUTED.findall(text)
    if len(text.split()) > 1 and sum(word.isupper() for word in words) > budget:
        return text.lower()
    return text
