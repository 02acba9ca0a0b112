"""The offline engine: drafts of templates and phrases, the same ones for the same brief."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from campaigns.channels.base import Channel
from campaigns.channels.render import is_dynamic
from campaigns.content.drafting import checks, phrases
from campaigns.content.drafting.brief import Brief

DRAFTS = 3
FROM_TEMPLATES = 2  # at most; the others open in another way
# What phones show of a title and of a text; longer only if no shorter draft can be made.
TITLE_SHOWN, BODY_SHOWN = 50, 150
_SLOT = re.compile(r"\{(\w+)\}")
_SENTENCE = re.compile(r"(?<=[.!?।…])\s+")
_SAID = ("offer", "code", "deadline")
"""What every draft says, if the brief has it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A template that a draft may begin with."""

    pk: int
    is_own: bool
    tone: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """`fields` as the channel names them; `template` is the one that it came from."""

    fields: dict[str, str]
    template: int | None = None


Engine = Callable[[Brief, Sequence[Sample]], Iterable[Draft]]


def template_drafts(brief: Brief, samples: Sequence[Sample]) -> list[Draft]:
    """At most three drafts that begin differently, those of own templates first."""
    kept: list[Draft] = []
    begun: set[str] = set()

    def keep(candidates: Iterable[Draft], most: int) -> None:
        for draft in candidates:
            if len(kept) >= most:
                return
            beginnings = set(_beginnings(draft, brief.channel))
            if not begun & beginnings and not checks.faults(draft.fields, brief):
                kept.append(draft)
                begun.update(beginnings)

    keep(_short(_of_templates(brief, samples), brief), FROM_TEMPLATES)
    keep(_short(_of_phrases(brief), brief), DRAFTS)
    keep(_of_phrases(brief), DRAFTS)
    return kept


def _beginnings(draft: Draft, channel: Channel) -> Iterator[str]:
    """The first word of the title and the first words of the text, with the field's name."""
    for name, most in ((channel.title_field, 1), (_body_of(channel), 3)):
        said = checks.without_liquid(draft.fields.get(name, "")).casefold()
        words = [word for word in said.split() if any(map(str.isalnum, word))]
        if words:
            yield f"{name}: {' '.join(words[:most])}"


def _short(candidates: Iterable[Draft], brief: Brief) -> Iterator[Draft]:
    """Those that a phone shows in full."""
    title, body = brief.channel.title_field, _body_of(brief.channel)
    for draft in candidates:
        lengths = [len(checks.without_liquid(draft.fields.get(name, ""))) for name in (title, body)]
        if lengths[0] <= TITLE_SHOWN and lengths[1] <= BODY_SHOWN:
            yield draft


def _body_of(channel: Channel) -> str:
    """The field for the text below the title, "" if all is said in one."""
    names = (field.name for field in channel.fields if field.has_lines)
    return next((name for name in names if name != channel.title_field), "")


# --- of phrases -----------------------------------------------------------------------------------
def _of_phrases(brief: Brief) -> Iterator[Draft]:
    """The fullest drafts first, then shorter ones: for each title, with each opening."""
    own, more = _lines(brief, "titles")
    titles = _ranked(brief, [*own, *more], more if brief.group == "urgent" else [])
    own, more = _lines(brief, "openings")
    openings = _ranked(brief, [*own, *more], more if brief.group == "urgent" else own)
    for title in titles:
        fitting = [one for one in openings if not (is_dynamic(title) and is_dynamic(one))]
        bodies = [list(_bodies(brief, title, opening)) for opening in fitting]
        for form in itertools.zip_longest(*bodies):
            for sentences in form:
                if sentences:
                    yield Draft(_fields(brief, _with_emoji(title, brief), sentences))


def _lines(brief: Brief, part: str) -> tuple[list[str], list[str]]:
    """(those of the category, those of the tone)."""
    return brief.phrases.lines(part, brief.category), brief.phrases.lines(part, brief.group)


def _ranked(brief: Brief, lines: Sequence[str], liked: Sequence[str]) -> list[str]:
    """The lines that the brief can fill, filled; the line that says most of the brief first."""
    found = []
    for line in lines:
        text = _filled(line, brief)
        if text is not None:
            says = len({slot.lower() for slot in _SLOT.findall(line)} - {"name"})
            found.append((-min(says, 2) - (line in liked), _lot(brief, line), text))
    return [text for _score, _lot_of_it, text in sorted(found)]


def _lot(brief: Brief, line: str) -> str:
    words = f"{brief.seed}\0{brief.prompt}\0{brief.language}\0{line}"
    return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()


def _filled(line: str, brief: Brief) -> str | None:
    """None if the brief lacks a slot of it."""
    values = {**brief.slots}
    if brief.phrases.name and "first_name" in brief.variables:
        values["name"] = brief.phrases.name
    if any(slot.lower() not in values for slot in _SLOT.findall(line)):
        return None

    def value(match: re.Match[str]) -> str:
        slot = match[1]
        text = values[slot.lower()]
        if slot[0].isupper():
            return text[:1].upper() + text[1:]
        if slot == "offer" and text[1:2].islower():
            return text[:1].lower() + text[1:]
        return text

    return _SLOT.sub(value, line)


def _bodies(brief: Brief, title: str, opening: str) -> Iterator[list[str]]:
    """The sentences of the text: all of them, then fewer and shorter ones."""
    lines = [found for part in _parts(brief, title) if (found := _lines_of(brief, part))]
    actions = sorted(_lines_of(brief, "action"), key=lambda line: _lot(brief, opening + line))
    full, short = [found[0] for found in lines], [found[-1] for found in lines]
    yield [opening, *full, *actions[:1]]
    yield [opening, *full]
    yield [opening, *short]
    if full:
        yield full
        yield short


def _parts(brief: Brief, title: str) -> list[str]:
    """What follows the opening: what the title does not say of the brief."""
    parts = list(_missing(brief, title))
    product = brief.slots.get("product", "")
    if not product or _is_said(product, title):
        return parts
    offer = _lines_of(brief, "offer")
    if "offer" not in parts:
        return ["scope" if "offer" in brief.slots else "product", *parts]
    if offer and _is_said(product, offer[0]):
        return parts
    return ["offer", "product", *parts[1:]]


def _missing(brief: Brief, text: str) -> Iterator[str]:
    """What the text does not say of the brief and every draft has to."""
    for slot in _SAID:
        if slot in brief.slots and not _is_said(brief.slots[slot], text):
            yield slot


def _lines_of(brief: Brief, part: str) -> list[str]:
    """The lines of a part that the brief can fill, from long to short."""
    found = (_filled(line, brief) for line in brief.phrases.lines(part, brief.group))
    return [line for line in found if line is not None]


def _is_said(value: str, text: str) -> bool:
    return value.casefold() in text.casefold()


def _with_emoji(title: str, brief: Brief) -> str:
    """Cheerful and festive titles end in an emoji, every other friendly one too."""
    choices = phrases.EMOJI.get(brief.category, ())
    lot = int(_lot(brief, f"emoji of {title}")[:8], 16)
    is_often = phrases.EMOJI_BUDGETS[brief.tone] > 1
    may_have = brief.tone == "friendly" and lot % 2 == 0
    if choices and (is_often or may_have) and not checks.EMOJI.search("".join(brief.words)):
        return f"{title} {choices[lot % len(choices)]}"
    return title


def _fields(brief: Brief, title: str, sentences: Sequence[str]) -> dict[str, str]:
    """The message; what has no field of its own is said in the text."""
    channel = brief.channel
    body, link = _body_of(channel), brief.slots.get("link", "")
    has_link = any(field.name == checks.LINK_FIELD for field in channel.fields)
    spoken = [*sentences, *([link] if link and not has_link else [])]
    if body:
        fields = {channel.title_field: title, body: " ".join(spoken)}
    else:
        end = "" if title.endswith(("?", "!", "…", "।")) or not spoken else "."
        fields = {channel.title_field: " ".join([f"{title}{end}", *spoken])}
    if link and has_link:
        fields[checks.LINK_FIELD] = link
    return fields


# --- of templates ---------------------------------------------------------------------------------
def _of_templates(brief: Brief, samples: Sequence[Sample]) -> Iterator[Draft]:
    """Own templates before global ones, those of the tone before those of none."""
    ranked = sorted(
        samples,
        key=lambda one: (not one.is_own, one.tone != brief.tone, _lot(brief, str(one.pk))),
    )
    body = _body_of(brief.channel)
    for sample in ranked:
        title = _kept(sample.fields.get(brief.channel.title_field, ""), brief, whole=True)
        text = _kept(sample.fields.get(body, ""), brief, whole=False)
        if not title or (body and not text):
            continue
        lines = (_lines_of(brief, slot) for slot in _missing(brief, f"{title} {text}"))
        sentences = [*([text] if body else []), *(found[-1] for found in lines if found)]
        budget = phrases.EMOJI_BUDGETS[brief.tone]
        title = _with_fewer_emoji(title, budget)
        left = budget - len(checks.EMOJI.findall(title))
        sentences = [_with_fewer_emoji(one, left) for one in sentences]
        yield Draft(_fields(brief, title, sentences), sample.pk)


def _kept(source: str, brief: Brief, *, whole: bool) -> str:
    """What of a text may be said: its slots filled, up to the first sentence that says more than
    the brief. With `whole` all of it or nothing."""
    text = _refilled(source, brief)
    kept: list[str] = []
    for sentence in _SENTENCE.split(text):
        if next(checks.inventions(checks.without_liquid(sentence), brief), None) is not None:
            break
        kept.append(sentence)
    else:
        return text
    if whole:
        return ""
    return " ".join(kept)


def _refilled(source: str, brief: Brief) -> str:
    """The text with the brief's slots for its variables, and without variables that nobody has;
    "" if it cannot do without one."""
    lost = []

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if name in brief.slots:
            return brief.slots[name]
        if name in brief.variables and default:
            return match[0]
        if not default:
            lost.append(name)
        return default or ""

    text = checks.OUTPUT.sub(value, source)
    if lost or is_dynamic(checks.OUTPUT.sub("", text)):
        return ""
    return text


def _with_fewer_emoji(text: str, budget: int) -> str:
    for extra in list(checks.EMOJI.finditer(text))[max(0, budget) :][::-1]:
        text = f"{text[: extra.start()].rstrip()}{text[extra.end() :]}"
    return text.strip()
