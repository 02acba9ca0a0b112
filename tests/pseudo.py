"""A language that is made of English: accents on the letters, 40 % longer, in brackets.

A text without brackets is one that no translator reaches; a page that breaks is one that has no
room for German. It exists for tests and for whoever looks at their pages in it:
`python -m tests.browser.screenshots pictures --all --language en-xa`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

import allauth
import django
import import_export
import unfold
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from tests import translations

LANGUAGE = "en-xa"
OPEN, CLOSE = "⟦", "⟧"
_ACCENTS = str.maketrans("aceinouyszACEINOUYSZ", "åçéîñöûýšžÅÇÉÎÑÖÛÝŠŽ")
_KEPT = re.compile(r"%\(\w+\)[a-z]|%[.\d]*[a-z%]|\{[^}]*\}|<[^>]*>|&#?\w+;|https?://\S+", re.DOTALL)
_LONGER = 0.4
_FILLER = "lörém ïpsûm dölör šît åmét "


def translate(sentence: str) -> str:
    body = sentence.strip()
    before, _, after = sentence.partition(body)
    kept, parts = _KEPT.findall(body), _KEPT.split(body)
    letters = [part.translate(_ACCENTS) for part in parts]
    filler = "".join(islice(cycle(_FILLER), round(_LONGER * sum(map(len, parts)))))
    whole = "".join(part + keep for part, keep in zip(letters, [*kept, ""], strict=True))
    return f"{before}{OPEN}{whole}{f' {filler.strip()}' if filler.strip() else ''}{CLOSE}{after}"


def translated(catalogues: Iterable[Catalog]) -> Catalog:
    """All their messages, in the pseudo language."""
    made = Catalog(locale="en")
    for message in (one for catalogue in catalogues for one in catalogue if one.id):
        made.add(message.id, _translation(message), context=message.context)
    return made


def _translation(message: Message) -> str | tuple[str, ...]:
    if isinstance(message.id, str):
        return translate(message.id)
    return tuple(translate(form) for form in message.id)


def write(catalogue: Catalog, file: Path) -> None:
    """As .po; with the suffix .mo as programs read it."""
    with file.open("wb") as opened:
        (write_mo if file.suffix == ".mo" else write_po)(opened, catalogue)


def make(folder: Path) -> Path:
    """Both catalogues of the language, with the words of the libraries whose pages we show, in a
    folder for LOCALE_PATHS."""
    extracted = translations.extract(folder / "sources", Path(unfold.__file__).parent)
    place = folder / "locale" / translations.LOCALE / "LC_MESSAGES"
    place.mkdir(parents=True)
    for domain in translations.DOMAINS:
        catalogues = [extracted.catalogue(domain), *_of_libraries(domain)]
        write(translated(catalogues), place / f"{domain}.mo")
    return folder / "locale"


def _of_libraries(domain: str) -> Iterator[Catalog]:
    """Their words; whatever language a file translates them into."""
    packages = [Path(package.__file__ or "").parent for package in (django, allauth, import_export)]
    files = [file for package in packages for file in package.rglob(f"en/LC_MESSAGES/{domain}.po")]
    if domain == "django":
        files.append(packages[-1] / "locale" / "de" / "LC_MESSAGES" / "django.po")
    for path in files:
        with path.open("rb") as file:
            yield read_po(file, locale="en")
