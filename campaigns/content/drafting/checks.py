"""What no draft may do, whichever engine wrote it: say a number, a code, a link or a promise that
is not in the brief, personalise with what nobody has, or break the rules of its channel."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from campaigns.channels import render
from campaigns.channels.base import Channel, Message
from campaigns.content.drafting.brief import Brief
from campaigns.content.drafting.phrases import EMOJI_BUDGETS

OUTPUT = re.compile(
    r"""\{\{-?\s*(?P<name>[A-Za-z_]\w*)\s*(?:\|\s*default\s*:\s*(?P<quote>["'])(?P<default>.*?)(?P=quote)\s*)?-?\}\}"""
)
EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf]\ufe0f?(?:\u200d[\U0001f000-\U0001faff\u2600-\u27bf]\ufe0f?)*"
)
LINK_FIELD = "deep_link"
"""The field of a channel that a tap opens, where it has one."""
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_LINK = re.compile(r"[a-z][a-z0-9+.-]*://\S+|\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b\S*", re.IGNORECASE)
_CODE = re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])[A-Z0-9_-]{4,}(?![\w-])")
_LINK_END = ".,;:!?)]'’…।"


def faults(fields: Mapping[str, str], brief: Brief) -> list[str]:
    """Why this draft is not shown, for logs and tests; empty: it is."""
    return [*_of_the_channel(fields, brief.channel), *_of_the_texts(fields, brief)]


def _of_the_channel(fields: Mapping[str, str], channel: Channel) -> Iterator[str]:
    message: Message = fields
    known = {field.name for field in channel.fields}
    yield from (f"{name} is no field of {channel.key}" for name in fields if name not in known)
    yield from (f"{field}: {sentence}" for field, sentence in channel.problems(message))
    if channel.is_empty(message):
        yield "it is empty"
    if channel.size(message) > channel.limit_bytes:
        yield f"it has {channel.size(message)} bytes"


def _of_the_texts(fields: Mapping[str, str], brief: Brief) -> Iterator[str]:
    emoji = 0
    for name, source in fields.items():
        if name == LINK_FIELD:
            if source != brief.slots.get("link"):
                yield f"the brief has no link {source}"
            continue
        yield from _personalisation(source, brief)
        text = without_liquid(source)
        emoji += len(EMOJI.findall(text))
        yield from (f"the brief does not say {word}" for word in inventions(text, brief))
    if emoji > EMOJI_BUDGETS[brief.tone]:
        yield f"{emoji} emoji are too many for {brief.tone}"


def _personalisation(source: str, brief: Brief) -> Iterator[str]:
    try:
        render.compile_text(source)
    except render.RenderError as error:
        yield f"it cannot be personalised: {error}"
        return
    for variable, copes in render.variables_of(source).items():
        if variable not in brief.variables:
            yield f"nobody has {variable}"
        elif not copes:
            yield f"{variable} has no default"
    if render.is_dynamic(OUTPUT.sub("", source)):
        yield "it has more than plain variables"


def without_liquid(source: str) -> str:
    """What a person without any data reads."""
    return OUTPUT.sub(lambda match: match["default"] or "", source)


def inventions(text: str, brief: Brief) -> Iterator[str]:
    """The numbers, links, codes and promises of a text that the brief does not have."""
    links = set(_links(brief.words))
    yield from (link for link in _links(text) if link.casefold() not in links)
    said = set(_NUMBER.findall(plain_digits(brief.words)))
    yield from (number for number in _NUMBER.findall(plain_digits(text)) if number not in said)
    words = brief.words
    yield from (code for code in _CODE.findall(text) if not _says(words, code))
    granted = brief.phrases.granted(brief.category)
    for match in brief.phrases.claims.finditer(text):
        claim = match[0]
        if not _says(words, claim) and not (granted and granted.fullmatch(claim)):
            yield claim


def plain_digits(text: str) -> str:
    """With 0 to 9 for the digits of every script."""
    return "".join(
        str(unicodedata.digit(sign)) if sign.isdecimal() and not sign.isascii() else sign
        for sign in text
    )


def _says(words: str, claim: str) -> bool:
    known = re.escape(claim.casefold())
    return re.search(rf"(?<!\w){known}(?!\w)", words) is not None


def _links(text: str) -> list[str]:
    return [found.rstrip(_LINK_END) for found in _LINK.findall(text)]
