"""The columns of a template file: their names in the wild, how a cell is tidied, what is wrong with it.

The admin's form asks the same questions, so that a template gets the same sentences wherever it is written.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping

from django.core.exceptions import ValidationError

from campaigns.channels import registry, render
from campaigns.channels.base import Fault, control_problem
from campaigns.channels.push import schema
from campaigns.imports.files import FileProblem, Row
from campaigns.models import Template, Tone
from pushpilot.lib import languages
from pushpilot.lib.display import format_number
from pushpilot.lib.spelling import BLANK, fold, name_key, trim, unix_lines

FIELDS = {field.name: field for field in registry.channel_of(registry.DEFAULT).fields}
COLUMNS = ("name", "language", "category", "tone", *FIELDS)
REQUIRED = ("name", "category", "title", "body")
ALIASES: dict[str, tuple[str, ...]] = {
    "name": ("template", "template name"),
    "language": ("lang", "locale", "language code"),
    "category": ("template category",),
    "tone": ("voice", "tone of voice", "mood"),
    "title": ("headline", "heading", "subject"),
    "body": ("subtitle", "message", "text", "content", "description"),
    "image_url": ("image", "picture", "image link", "big picture"),
    "deep_link": ("link", "url", "launch url", "target url", "destination"),
}
LIMITS: dict[str, int] = {
    **{field.name: field.max_length or 0 for field in Template._meta.fields if field.name in COLUMNS},
    **{name: field.limit_characters for name, field in FIELDS.items()},
}
CHOICES: dict[str, dict[str, str]] = {
    "category": dict(Template.Category.choices),
    "tone": dict(Tone.choices),
}
PERSONALISED = tuple(name for name, field in FIELDS.items() if field.is_personal)
_ADDRESSES: dict[str, Callable[[str], Fault]] = {
    "image_url": schema.image_problem,
    "deep_link": schema.link_problem,
}

_CURLY_QUOTES = re.compile(r"\{[{%][^}]*[“”„‘’]")
_TO_SPACE = re.compile(f"{BLANK}+")


class CellError(ValidationError):
    """What is wrong with one cell (`text`) and what to do about it (`remedy`)."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(f"{text} {remedy}")
        self.text, self.remedy = text, remedy


# --- the heading ---------------------------------------------------------------------------------------
def heading_key(heading: str) -> str:
    """ "Image URL", "image_url" and "IMAGE-URL " are one heading."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", heading).casefold())


_KNOWN = {heading_key(name): column for column in COLUMNS for name in (column, *ALIASES[column])}


def map_header(header: Row) -> tuple[dict[str, int], list[str]]:
    """({column: position}, headings that mean nothing to us). Raises FileProblem for missing and doubled columns."""
    found: dict[str, int] = {}
    unknown = []
    for position, heading in enumerate(header.cells):
        column = _KNOWN.get(heading_key(heading))
        if column is None:
            unknown += [heading] if heading else []
        elif column in found:
            raise FileProblem(
                f"Row {header.number}: the columns “{header.cells[found[column]]}” and “{heading}” both mean {column}."
                " Delete or rename one of them."
            )
        else:
            found[column] = position
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        raise FileProblem(_missing_columns(missing, header))
    return found, unknown


def _missing_columns(missing: list[str], header: Row) -> str:
    what = f"column “{missing[0]}” is" if len(missing) == 1 else f"columns {_listed(missing)} are"
    seen = ", ".join(heading[:30] or "(no heading)" for heading in header.cells[:10])
    return (
        f"The {what} missing. Row {header.number} must hold the headings; we read there: {seen}."
        " The sample file shows the headings that are expected."
    )


def _listed(words: list[str]) -> str:
    quoted = [f"“{word}”" for word in words]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


# --- a template's cells --------------------------------------------------------------------------------
def cell_of(template: Template, column: str) -> str:
    return template.text(column) if column in FIELDS else str(getattr(template, column))


def put_cell(template: Template, column: str, value: str) -> None:
    if column in FIELDS:
        template.put({column: value})
    else:
        setattr(template, column, value)


# --- a cell --------------------------------------------------------------------------------------------
def tidy(column: str, cell: str) -> str:
    """The value that a cell means. What is not understood comes back as it is; `problems_of` says so."""
    cell = trim(unix_lines(cell))
    if column != "body":
        cell = _TO_SPACE.sub(" ", cell)
    if column == "name":
        return fold(cell)
    if column == "language":
        return languages.tidy(cell)
    if column in CHOICES:
        word = cell.casefold()
        labels = {label.casefold(): value for value, label in CHOICES[column].items()}
        return word if word in CHOICES[column] else labels.get(word, cell)
    return cell


def key_of(name: str, language: str) -> tuple[str, str]:
    """Templates of a workspace with the same key are one template."""
    return name_key(name), languages.tidy(language)


def problems_of(values: Mapping[str, str]) -> dict[str, CellError]:
    """{column: what is wrong} of tidied values; columns that `values` lacks are not looked at."""
    found = {column: _problem(column, value) for column, value in values.items() if column in COLUMNS}
    return {column: error for column, error in found.items() if error is not None}


def _problem(column: str, value: str) -> CellError | None:
    if not value:
        return CellError(f"The {column} is empty.", _remedy_for_empty(column)) if column in REQUIRED else None
    if control := control_problem(column, value):
        return CellError(control.text, control.remedy)
    if len(value) > LIMITS[column]:
        over = len(value) - LIMITS[column]
        return CellError(
            f"The {column} has {format_number(len(value))} characters; the limit is {format_number(LIMITS[column])}.",
            f"Shorten it by {format_number(over)}.",
        )
    if column in CHOICES and value not in CHOICES[column]:
        return _no_choice(column, value)
    if column == "language" and not languages.is_tag(value):
        return CellError(f"“{value[:40]}” is not a language code.", languages.REMEDY)
    fault = _ADDRESSES[column](value) if column in _ADDRESSES else Fault()
    if fault:
        return CellError(fault.text, fault.remedy)
    return _unparsable(value) if column in PERSONALISED else None


def _remedy_for_empty(column: str) -> str:
    if column in CHOICES:
        return f"Write one of: {', '.join(CHOICES[column])}."
    return {"name": "Write a name to find the template by.", "title": "Write the first line of the message."}.get(
        column, "Write the text of the message."
    )


def _no_choice(column: str, value: str) -> CellError:
    allowed = list(CHOICES[column])
    near = difflib.get_close_matches(value.casefold(), allowed, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return CellError(f"“{value[:40]}” is not a valid {column}.", f"{hint}Use one of: {', '.join(allowed)}.")


def _unparsable(value: str) -> CellError | None:
    remedy = 'Write it like {{ first_name | default: "there" }}, with straight quotation marks.'
    try:
        render.compile_text(value)
    except render.RenderError as error:
        if _CURLY_QUOTES.search(value):
            return CellError("The personalisation has curly quotation marks (“ ”), which cannot be read.", remedy)
        return CellError(f"The personalisation cannot be read: {str(error).rstrip('.')}.", remedy)
    return None
