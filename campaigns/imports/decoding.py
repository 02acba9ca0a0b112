"""Text out of bytes: what a file says of itself, else UTF-8, else the most probable of the
encodings in use.

An encoding that was only assumed is named, so that a person can look at a sample and choose
another one.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable

from charset_normalizer import from_bytes
from django.utils.translation import gettext_lazy

from pushpilot.lib.display import Words

__all__ = ["ENCODINGS", "decode", "samples_of"]

# What spreadsheets and old programs write, by Python's names; a person may choose any of them.
ENCODINGS: dict[str, Words] = {
    "utf_8": gettext_lazy("Unicode (UTF-8)"),
    "utf_16_le": gettext_lazy("Unicode (UTF-16, little-endian)"),
    "utf_16_be": gettext_lazy("Unicode (UTF-16, big-endian)"),
    "cp1252": gettext_lazy("Western European (Windows-1252)"),
    "cp1250": gettext_lazy("Central European (Windows-1250)"),
    "cp1251": gettext_lazy("Cyrillic (Windows-1251)"),
    "koi8_r": gettext_lazy("Cyrillic (KOI8-R)"),
    "cp1253": gettext_lazy("Greek (Windows-1253)"),
    "cp1254": gettext_lazy("Turkish (Windows-1254)"),
    "cp1255": gettext_lazy("Hebrew (Windows-1255)"),
    "cp1256": gettext_lazy("Arabic (Windows-1256)"),
    "cp874": gettext_lazy("Thai (Windows-874)"),
    "cp932": gettext_lazy("Japanese (Shift-JIS)"),
    "euc_jp": gettext_lazy("Japanese (EUC-JP)"),
    "cp949": gettext_lazy("Korean (EUC-KR)"),
    "gb18030": gettext_lazy("Chinese, simplified (GB18030)"),
    "big5": gettext_lazy("Chinese, traditional (Big5)"),
}
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DETECTABLE = [name for name in ENCODINGS if not name.startswith("utf")]
# What the rows' own language column says about their encoding; a short text alone is often
# ambiguous.
_OF_LANGUAGE = {
    "ja": ("cp932", "euc_jp"),
    "ko": ("cp949",),
    "zh": ("gb18030", "big5"),
    "ru": ("cp1251", "koi8_r"),
    "uk": ("cp1251",),
    "bg": ("cp1251",),
    "sr": ("cp1251", "cp1250"),
    "el": ("cp1253",),
    "tr": ("cp1254",),
    "he": ("cp1255",),
    "ar": ("cp1256",),
    "fa": ("cp1256",),
    "th": ("cp874",),
    "pl": ("cp1250",),
    "cs": ("cp1250",),
    "hu": ("cp1250",),
    "sk": ("cp1250",),
    "ro": ("cp1250",),
    "hr": ("cp1250",),
    "sl": ("cp1250",),
}
_LANGUAGE_CELL = re.compile(rb"[,;\t|]\s*\"?([a-z]{2})(?:[-_][A-Za-z]{2,4})?\"?\s*(?=[,;\t|])")
_DETECTED_BYTES = 128 * 1024  # of a file; the detection takes 0.1 s for them
_TOO_MESSY = 0.2  # charset-normalizer's own limit of a text that is one
SAMPLES, SAMPLE_LENGTH = 3, 60


def decode(data: bytes, chosen: str = "") -> tuple[str, str]:
    """(text, the encoding that was assumed; "" if there is no doubt). `chosen` is a person's word.

    Raises UnicodeDecodeError if the bytes are no text.
    """
    if chosen:
        return data.decode(chosen).removeprefix("\ufeff"), chosen
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding), ""
    if wide := _wide(data):
        return data.decode(wide), wide
    try:
        return data.decode(), ""
    except UnicodeDecodeError:
        pass
    for encoding in _candidates(data):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:  # the sample could be read, the rest cannot
            continue
    return data.decode("cp1252"), "cp1252"


def samples_of(text: str) -> list[str]:
    """Some cells with letters beyond ASCII: by these a person sees whether the encoding is
    right."""
    cells = (cell.strip() for cell in re.split(r'[,;\t|"\r\n]+', text[: 1024 * 1024]))
    telling = dict.fromkeys(cell[:SAMPLE_LENGTH] for cell in cells if not cell.isascii())
    return list(telling)[:SAMPLES]


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every other byte of plain letters is zero."""
    head = data[:4096]
    if head.count(0) * 5 < len(head):
        return ""
    if head[1::2].count(0) > head[0::2].count(0):
        return "utf_16_le"
    return "utf_16_be"


def _candidates(data: bytes) -> Iterable[str]:
    """Encodings that these bytes may be in, the most probable first."""
    sample = (
        data if len(data) <= _DETECTED_BYTES else data[: data.rfind(b"\n", 0, _DETECTED_BYTES) + 1]
    )
    matches = [
        match for match in from_bytes(sample, cp_isolation=_DETECTABLE) if match.chaos <= _TOO_MESSY
    ]
    # Western before the others whose letters are the same here.
    found = {
        name: match
        for match in matches
        for name in match.could_be_from_charset
        if name in ENCODINGS
    }
    hinted = _hinted(sample)

    def doubt(name: str) -> tuple[bool, float, float, bool]:
        return (
            name not in hinted,
            round(found[name].chaos, 2),
            -found[name].coherence,
            name != "cp1252",
        )

    return sorted(found, key=doubt)


def _hinted(sample: bytes) -> tuple[str, ...]:
    languages = Counter(found.decode() for found in _LANGUAGE_CELL.findall(sample))
    common = next(
        (language for language, _ in languages.most_common() if language in _OF_LANGUAGE), ""
    )
    return _OF_LANGUAGE.get(common, ())
