"""Spellings: which texts are one name or one id, and which characters no text of ours holds.

Every door that takes a name, an id or a text asks here, so that all of them agree.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["BLANK", "control_character", "fold", "name_key", "trim", "unix_lines"]

# White space without the control characters that Python and `\s` count among it: those are refused,
# not trimmed away.
BLANK = r"[^\S\x0b\x0c\x1c-\x1f\x85]"
# They show nothing and mean nothing inside a key. Joiners are not among them: Hindi, Persian and
# emoji need them.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
)
_JOINERS = "\u200c\u200d"
_BLANKS = re.compile(f"{BLANK}+")
_UNSEEN = re.compile(f"[{_INVISIBLE}]+")
_WHITE = (
    " \t\n\r\u00a0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)
_BREAKS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_NOT_IN_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_C0_NAMES = """
NULL, START OF HEADING, START OF TEXT, END OF TEXT, END OF TRANSMISSION, ENQUIRY, ACKNOWLEDGE,
ALERT, BACKSPACE, CHARACTER TABULATION, LINE FEED, LINE TABULATION, FORM FEED, CARRIAGE RETURN,
SHIFT OUT, SHIFT IN, DATA LINK ESCAPE, DEVICE CONTROL ONE, DEVICE CONTROL TWO, DEVICE CONTROL THREE,
DEVICE CONTROL FOUR, NEGATIVE ACKNOWLEDGE, SYNCHRONOUS IDLE, END OF TRANSMISSION BLOCK, CANCEL, END
OF MEDIUM, SUBSTITUTE, ESCAPE, INFORMATION SEPARATOR FOUR, INFORMATION SEPARATOR THREE, INFORMATION
SEPARATOR TWO, INFORMATION SEPARATOR ONE
"""
_C0 = [" ".join(name.split()) for name in _C0_NAMES.split(",")]


def fold(text: str) -> str:
    """The one spelling of a name or id: composed (NFC), without invisible characters, without
    blanks around it.

    Case stays: “carol” and “Carol” are two ids.
    """
    if text.isascii():
        return trim(text)
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text)).strip(_WHITE + _JOINERS)


def name_key(name: str) -> str:
    """The same for names that people take for one: whatever their case, their blanks and how
    they are composed."""
    return fold(fold(_BLANKS.sub(" ", name)).casefold())


def trim(text: str) -> str:
    """The text without the white space around it: NBSP and zero-width marks too, control
    characters not."""
    return text.strip(f"{_WHITE}\u200b\u2060\ufeff")


def unix_lines(text: str) -> str:
    """Every line break is a newline: those of Windows, of old Macs, of slides and of pages."""
    return _BREAKS.sub("\n", text)


def control_character(text: str, *, one_line: bool = False) -> str:
    """The first control character in a text, such as "U+001B ESCAPE"; "" if there is none.

    Tabs and line breaks count only in what must be one line.
    """
    found = (_NOT_IN_LINE if one_line else _CONTROL).search(text)
    if found is None:
        return ""
    code = ord(found[0])
    return f"U+{code:04X} {_name_of(code)}"


def _name_of(code: int) -> str:
    if code < len(_C0):
        return _C0[code]
    if code == 0x7F:
        return "DELETE"
    if code < 0xA0:
        return "CONTROL CHARACTER"
    return unicodedata.name(chr(code), "NONCHARACTER")
