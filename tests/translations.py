"""The sentences of the product, as a translator gets them; read from a copy of its sources, since
makemessages writes beside what it reads."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from tests.house.sources import LAYERS, ROOT, committed_files

TOOLS = ("xgettext", "msgfmt", "msguniq", "msgmerge", "msgattrib")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
if MISSING and "ALL_TOOLS" in os.environ:  # .ci/run: what decides must not be skipped
    raise RuntimeError(f"gettext's {', '.join(MISSING)} is missing")
WHY_SKIPPED = "gettext is missing: apt-get install gettext"
LOCALE = "en_XA"
DOMAINS = {"django": "html,txt,py", "djangojs": "js"}
_UNDECIDED = "nplurals=INTEGER; plural=EXPRESSION;"
_ENGLISH = "nplurals=2; plural=(n != 1);"


class Marked:
    """In the place of Django's catalogue of a language: every text stands in brackets."""

    def __init__(self, language: str) -> None:
        self._language = language

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        return f"⟦{singular if number == 1 else plural}⟧"

    def to_language(self) -> str:
        return self._language


@dataclass
class Extracted:
    """What `makemessages` said beyond its usual line, and its file for each domain."""

    complaints: str
    files: dict[str, Path]

    def catalogue(self, domain: str) -> Catalog:
        with self.files[domain].open("rb") as file:
            return read_po(file, locale="en")


def extract(folder: Path, *others: Path) -> Extracted:
    """Run makemessages over a copy of the product in `folder`; `others` are packages beside ours
    that have no catalogue of their own."""
    copy_sources(folder)
    for package in others:
        unread = shutil.ignore_patterns("locale", "static", "__pycache__")
        shutil.copytree(package, folder / "others" / package.name, ignore=unread)
    (folder / "pushpilot" / "locale").mkdir()
    complaints, files = "", {}
    for domain, extensions in DOMAINS.items():
        complaints += _make_messages(folder, domain, extensions)
        file = folder / "pushpilot" / "locale" / LOCALE / "LC_MESSAGES" / f"{domain}.po"
        # Django knows the plural forms of real languages only.
        file.write_text(file.read_text(encoding="utf-8").replace(_UNDECIDED, _ENGLISH), "utf-8")
        files[domain] = file
    return Extracted(complaints, files)


def copy_sources(folder: Path) -> None:
    packages = {layer.split(".")[0] for layer in LAYERS}
    for file in committed_files():
        place = file.relative_to(ROOT)
        if place.parts[0] in packages or place.name == "manage.py":
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / place)


def _make_messages(folder: Path, domain: str, extensions: str) -> str:
    command = ["manage.py", "makemessages", "-l", LOCALE, "-d", domain, "-e", extensions]
    done = subprocess.run(
        [sys.executable, *command, "--no-color"], cwd=folder, capture_output=True, text=True
    )
    usual = "" if done.returncode else rf"processing locale {LOCALE}\n"
    return re.sub(f"^{usual}", "", done.stdout) + done.stderr


def check_format(file: Path) -> str:
    """What msgfmt says of a catalogue."""
    done = subprocess.run(
        ["msgfmt", "--check-format", "-o", "/dev/null", file], capture_output=True, text=True
    )
    return done.stdout + done.stderr
