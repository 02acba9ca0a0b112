"""A translator gets every sentence whole, and in each of its plural forms."""

from __future__ import annotations

import ast
import re

import pytest

from tests import pseudo, translations
from tests.house.sources import ROOT, modules

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(bool(translations.MISSING), reason=translations.WHY_SKIPPED),
]

# A count before a word that is no "of" or "in" is before a noun, and a noun has plural forms.
COUNTED = re.compile(
    r"(?:%\((?:\w+_)?(?:count|total|left|most|n)\)s|%d) (?!of |in |at |and |to |or )[a-z]"
)
CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext"}
SINGULAR = {
    "%(count)s h": "a unit of time",
    "%(count)s min": "a unit of time",
    "%(count)s s": "a unit of time",
    "%(count)s yesterday": "no noun",
    "An account has at most %d addresses. Remove one first.": "allauth fills it with a setting",
}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    return translations.extract(tmp_path_factory.mktemp("sources"))


def test_makemessages_has_nothing_to_complain_of(extracted):
    assert extracted.complaints == ""
    assert len(extracted.catalogue("django")) > 1000
    assert len(extracted.catalogue("djangojs")) > 5


def test_msgfmt_has_nothing_to_complain_of(extracted):
    for domain, file in extracted.files.items():
        filled = file.with_suffix(".filled.po")
        pseudo.write(pseudo.translated([extracted.catalogue(domain)]), filled)
        assert translations.check_format(filled) == ""


def test_a_count_before_a_noun_has_plural_forms(extracted):
    found = {
        message.id
        for domain in translations.DOMAINS
        for message in extracted.catalogue(domain)
        if isinstance(message.id, str) and COUNTED.search(message.id)
    }
    assert found - SINGULAR.keys() == set()
    assert SINGULAR.keys() - found == set(), "these stand in no catalogue any more"


def test_no_sentence_hides_inside_an_f_string():
    """xgettext reads an f-string as one text and misses a call in it."""
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for _module, path in modules()
        for text in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in CALLS
    ]
    assert found == []


def test_a_pseudo_translation_keeps_what_programs_read():
    sentence = '<a href="%(url)s">%(count)s people</a> have 5 %% of {all} &amp; more'
    translation = pseudo.translate(sentence)
    for kept in ('<a href="%(url)s">%(count)s ', "</a>", "%%", "{all}", "&amp;"):
        assert kept in translation
    assert "people" not in translation
    assert (translation[0], translation[-1]) == (pseudo.OPEN, pseudo.CLOSE)
    assert 1.3 < len(pseudo.translate("x" * 100)) / 100 < 1.5
    assert pseudo.translate("\nTwo\nlines\n").startswith(f"\n{pseudo.OPEN}")


@pytest.mark.parametrize(
    ("sentence", "is_found"),
    [
        ("%(count)s people", True),
        ("Remove all %(contact_count)s contacts", True),
        ("At most %d addresses", True),
        ("%(count)s of %(total)s", False),
        ("%(name)s people", False),
    ],
)
def test_a_count_is_recognised(sentence, is_found):
    assert bool(COUNTED.search(sentence)) is is_found
