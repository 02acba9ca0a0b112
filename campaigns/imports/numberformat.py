"""What a spreadsheet shows for a number: number formats as ECMA-376 (18.8.31) describes them, in
English.

Colours, fills and the width of blanks are left out. What depends on the machine of the reader
(the short date) comes out as ISO 8601.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache

__all__ = ["NotShown", "shown_number", "shown_text"]

GENERAL = "General"
FORMAT_LIMIT = 255  # characters; a sheet's own limit
# formats 14 and 22: the reader's locale
_SYSTEM = {"mm-dd-yy": "yyyy-mm-dd", "m/d/yy h:mm": "yyyy-mm-dd hh:mm"}
_MONTHS, _DAYS = list(calendar.month_name)[1:], list(calendar.day_name)
_TOKEN = re.compile(
    r"""
    "(?P<quoted>[^"]*)"? | \\(?P<escaped>.) | _(?P<blank>.) | \*(?P<fill>.)
    | \[\$(?P<currency>[^\]\-]*)(?:-[^\]]*)?\] | \[(?P<condition>[<>=]+-?[\d.]+)\]
    | \[(?P<elapsed>h+|m+|s+)\] | \[(?P<colour>[^\]]*)\]
    | (?P<general>General) | (?P<half>AM/PM|A/P) | (?P<exponent>E[+-]) | (?P<date>y+|m+|d+|h+|s+)
    | (?P<digit>[0#?]) | (?P<sign>[.,%/@]) | (?P<other>.)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_LITERALS = ("quoted", "escaped", "other")


class NotShown(ValueError):
    """A sheet has no text for this number either: it shows ##### instead."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # literal, currency …: a group of _TOKEN; `sign` and `digit` hold one character
    text: str


@dataclass(frozen=True, slots=True)
class _Section:
    tokens: tuple[_Token, ...]
    condition: str = ""

    def has(self, *kinds: str) -> bool:
        return any(token.kind in kinds for token in self.tokens)

    def holds(self, sign: str) -> bool:
        return any(token.kind == "sign" and token.text == sign for token in self.tokens)


def shown_text(text: str, code: str) -> str:
    """A text in a cell with this format."""
    sections = _sections(code)
    section = sections[3] if len(sections) > 3 else sections[-1]
    if not section.holds("@"):
        return text
    return "".join(text if token == _Token("sign", "@") else token.text for token in section.tokens)


def shown_number(value: float, code: str, *, from_1904: bool = False) -> str:
    """A number in a cell with this format. Raises NotShown."""
    sections = _sections(code)
    section, number = _chosen(sections, Decimal(repr(value)))
    if section.has("date", "elapsed", "half"):
        return _moment(section, float(value) + (1462 if from_1904 else 0))
    if section.has("general") or section.holds("@"):
        plain = general(number)
        return "".join(
            plain if token.kind == "general" or token.text == "@" else token.text
            for token in section.tokens
        )
    if not section.has("digit"):
        return "".join(token.text for token in section.tokens)
    if section.has("exponent"):
        text = _scientific(section, abs(number))
    elif section.holds("/"):
        text = _fraction(section, abs(number))
    else:
        text = _decimal(section, abs(number))
    if number < 0 and re.search("[1-9]", text):
        return f"-{text}"
    return text


def general(number: Decimal) -> str:
    """A number as a cell without a format shows it; whole ones in full."""
    rounded = (
        +number if number == number.to_integral_value() else Decimal(format(float(number), ".15g"))
    )
    if rounded:
        return format(rounded.normalize(), "f")
    return "0"


@lru_cache(maxsize=256)
def _sections(code: str) -> tuple[_Section, ...]:
    code = _SYSTEM.get(code, code) if len(code) <= FORMAT_LIMIT else GENERAL
    sections: list[list[_Token]] = [[]]
    for found in _TOKEN.finditer(code or GENERAL):
        kind, text = found.lastgroup or "other", found[found.lastgroup or 0]
        if kind == "other" and text == ";":
            sections.append([])
        elif kind in _LITERALS:
            sections[-1].append(_Token("literal", text))
        elif kind == "blank":
            sections[-1].append(_Token("literal", " "))
        elif kind not in ("fill", "colour"):
            sections[-1].append(_Token(kind, text))
    return tuple(_section(tokens) for tokens in sections)


def _section(tokens: list[_Token]) -> _Section:
    condition = next((token.text for token in tokens if token.kind == "condition"), "")
    kept = [token for token in tokens if token.kind != "condition"]
    # then E, d or m is a letter like any other
    if not any(token.kind in ("date", "elapsed") for token in kept):
        kept = [_Token("literal", token.text) if token.kind == "half" else token for token in kept]
    return _Section(tuple(kept), condition)


def _chosen(sections: tuple[_Section, ...], number: Decimal) -> tuple[_Section, Decimal]:
    """(the section for a number, the number with the sign that is still to be shown)"""
    conditional = [section for section in sections[:3] if section.condition]
    if conditional:
        for section in conditional:
            if _holds(section.condition, number):
                return section, number
        rest = [section for section in sections[:3] if not section.condition]
        return (rest[-1] if rest else sections[0]), number
    if len(sections) > 1 and number < 0:
        return sections[1], abs(number)
    if len(sections) > 2 and number == 0:
        return sections[2], number
    return sections[0], number


def _holds(condition: str, number: Decimal) -> bool:
    operator = condition.rstrip("-0123456789.")
    limit = Decimal(condition[len(operator) :] or 0)
    return {
        "<": number < limit,
        "<=": number <= limit,
        ">": number > limit,
        ">=": number >= limit,
        "=": number == limit,
        "<>": number != limit,
    }.get(operator, False)


# --- numbers --------------------------------------------------------------------------------------
def _decimal(section: _Section, number: Decimal) -> str:
    comma = _Token("sign", ",")
    last = max(at for at, token in enumerate(section.tokens) if token.kind == "digit")
    is_grouped = comma in section.tokens[:last]
    number /= 1000 ** section.tokens[last:].count(comma)
    number *= 100 ** section.tokens.count(_Token("sign", "%"))
    tokens = [token for token in section.tokens if token != comma]
    point = next(
        (at for at, token in enumerate(tokens) if token == _Token("sign", ".")), len(tokens)
    )
    whole, rest = tokens[:point], tokens[point:]
    places = sum(token.kind == "digit" for token in rest)
    rounded = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    digits, _, decimals = format(rounded, "f").partition(".")
    return _whole(whole, digits.lstrip("0"), is_grouped=is_grouped) + _places(rest, decimals)


def _whole(tokens: list[_Token], digits: str, *, is_grouped: bool) -> str:
    """The part before the point: digits fill the placeholders from the right, the first one
    takes all that are left."""
    first = next((at for at, token in enumerate(tokens) if token.kind == "digit"), -1)
    if first < 0:
        return "".join(token.text for token in tokens) + digits
    out: list[str] = []
    count = 0
    for at in range(len(tokens) - 1, -1, -1):
        if tokens[at].kind != "digit":
            out.append(tokens[at].text)
            continue
        taken = digits if at == first else digits[-1:]
        digits = digits[: len(digits) - len(taken)]
        for digit in reversed(taken or {"0": "0", "?": " "}.get(tokens[at].text, "")):
            out.append("," if is_grouped and count and count % 3 == 0 else "")
            out.append(digit)
            count += 1
    return "".join(reversed(out))


def _places(tokens: list[_Token], decimals: str) -> str:
    """The point and what is behind it."""
    out: list[str] = []
    at = 0
    for token in tokens:
        if token.kind != "digit":
            out.append(token.text)
            continue
        is_needed = token.text == "0" or decimals[at:].strip("0")
        out.append(decimals[at] if is_needed else {"?": " "}.get(token.text, ""))
        at += 1
    return "".join(out)


def _scientific(section: _Section, number: Decimal) -> str:
    tokens = list(section.tokens)
    at = next(index for index, token in enumerate(tokens) if token.kind == "exponent")
    before, behind = tokens[:at], tokens[at + 1 :]
    point = next((index for index, token in enumerate(before) if token.text == "."), len(before))
    step = max(1, sum(token.kind == "digit" for token in before[:point]))
    places = sum(token.kind == "digit" for token in before[point:])
    power = 0
    if number:
        power = number.adjusted() // step * step
    mantissa = number.scaleb(-power).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if mantissa >= 10**step:
        power += step
        mantissa = number.scaleb(-power).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    plus = ""
    if tokens[at].text.endswith("+"):
        plus = "+"
    sign = plus
    if power < 0:
        sign = "-"
    exponent = _whole(behind, str(abs(power)).lstrip("0"), is_grouped=False)
    return f"{_decimal(_Section(tuple(before)), mantissa)}E{sign}{exponent}"


def _fraction(section: _Section, number: Decimal) -> str:
    """“1 1/2” for `# ?/?`; without a place for whole numbers “3/2”."""
    code = "".join(token.text for token in section.tokens)
    found = re.search(r"(?P<whole>[#0?]+ +)?[#0?]+ ?/ ?(?P<below>[#0?]+|\d+)", code)
    if found is None:
        return general(number)
    below = found["below"]
    exact = Fraction(number)
    is_fixed = bool(below.strip("0#?"))
    if is_fixed:
        most = int(below)
        best = Fraction(round(exact * most), most)
    else:
        most = 10 ** len(below) - 1
        best = exact.limit_denominator(max(1, most))
    whole = 0
    if found["whole"]:
        whole = int(best)
    rest = best - whole
    shown = ""
    if rest or not found["whole"]:
        shown = f"{rest.numerator}/{rest.denominator}"
    filled = " ".join(part for part in (str(whole) if whole or not shown else "", shown) if part)
    return code[: found.start()] + filled + code[found.end() :]


# --- dates and times ------------------------------------------------------------------------------
def _moment(section: _Section, serial: float) -> str:
    tokens = list(section.tokens)
    if serial < 0:
        raise NotShown("a date before 1900")
    places = _second_places(tokens)
    # of the smallest unit shown, so that 8:59:59.9999 is 9:00
    ticks = round(serial * 86400 * 10**places)
    secs, fraction = divmod(ticks, 10**places)
    days, of_day = divmod(secs, 86400)
    # 1900 was no leap year, but sheets count its 29 February.
    if days > 2_958_465:
        raise NotShown("a date after 9999")
    day = date(1899, 12, 30 if days >= 60 else 31) + timedelta(days=days)
    hour, minute, second = of_day // 3600, of_day // 60 % 60, of_day % 60
    shown_hour = hour
    if section.has("half"):
        shown_hour = hour % 12 or 12
    out = []
    for at, token in enumerate(tokens):
        text = token.text.lower()
        if token.kind == "date":
            if text[0] == "m" and _is_minute(tokens, at):
                out.append(f"{minute:0{len(text)}}"[-2:])
            elif text[0] in "ymd":
                out.append(_of_day(day, text))
            else:
                shown = second
                if text[0] == "h":
                    shown = shown_hour
                out.append(f"{shown:0{min(2, len(text))}}")
        elif token.kind == "elapsed":
            total = secs // {"h": 3600, "m": 60, "s": 1}[text[0]]
            out.append(f"{total:0{len(text)}}")
        elif token.kind == "half":
            out.append(("AM" if hour < 12 else "PM")[: 2 if "/" in text[2:3] else 1])
        elif token.kind == "digit":
            out.append("")  # the places of the seconds, written with their point
        elif (
            token == _Token("sign", ".") and at + 1 < len(tokens) and tokens[at + 1].kind == "digit"
        ):
            out.append(f".{fraction:0{places}}")
        else:
            out.append(token.text)
    return "".join(out)


def _second_places(tokens: list[_Token]) -> int:
    """How many places of a second are shown: 3 for ss.000."""
    places = 0
    for at, token in enumerate(tokens):
        follows_point = at > 0 and (
            tokens[at - 1] == _Token("sign", ".") or tokens[at - 1].kind == "digit"
        )
        places += token.kind == "digit" and follows_point
    return min(places, 3)


def _is_minute(tokens: list[_Token], at: int) -> bool:
    """`m` is a minute behind an hour or before a second, else a month."""
    if len(tokens[at].text) > 2:
        return False
    times = [token for token in tokens[:at] if token.kind in ("date", "elapsed")]
    after = [token for token in tokens[at + 1 :] if token.kind in ("date", "elapsed")]
    return bool(times and times[-1].text[0] in "hH") or bool(after and after[0].text[0] in "sS")


def _of_day(day: date, text: str) -> str:
    count = len(text)
    if text[0] == "y":
        if count > 2:
            return f"{day.year:04}"
        return f"{day.year % 100:02}"
    if text[0] == "m":
        name = _MONTHS[day.month - 1]
        return {1: str(day.month), 2: f"{day.month:02}", 3: name[:3], 5: name[0]}.get(count, name)
    name = _DAYS[day.weekday()]
    return {1: str(day.day), 2: f"{day.day:02}", 3: name[:3]}.get(count, name)
