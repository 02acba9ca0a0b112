"""The columns of a template file: their names in the wild, how a cell is tidied, what is wrong
with it.

The admin's form asks the same questions, so that a template gets the same sentences wherever it
is written.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.core.exceptions import ValidationError

from campaigns.channels import registry, render
from campaigns.channels.base import Channel, Fault, Field, control_problem
from campaigns.imports.files import FileProblem, Row
from campaigns.models import Template, Tone
from pushpilot.lib import languages
from pushpilot.lib.spelling import BLANK, fold, name_key, trim, unix_lines

COMMON = ("name", "channel", "language", "category", "tone")
_REQUIRED = ("name", "category")
_ALIASES: dict[str, tuple[str, ...]] = {
    "name": ("template", "template name"),
    "channel": ("message channel",),
    "language": ("lang", "locale", "language code"),
    "category": ("template category",),
    "tone": ("voice", "tone of voice", "mood"),
}
_LIMITS = {
    field.name: field.max_length or 0 for field in Template._meta.fields if field.name in COMMON
}
_CHOICES: dict[str, dict[str, str]] = {
    "category": dict(Template.Category.choices),
    "tone": dict(Tone.choices),
}
_EXPLAINED = {
    "name": "What you find the template by. With the channel and the language it identifies the "
    "template.",
    "language": "A code such as en, hi or pt-BR. Empty: your workspace's language.",
}

_CURLY_QUOTES = re.compile(r"\{[{%][^}]*[“”„‘’]")
_TO_SPACE = re.compile(f"{BLANK}+")


class CellError(ValidationError):
    """What is wrong with one cell (`text`) and what to do about it (`remedy`)."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(f"{text} {remedy}")
        self.text, self.remedy = text, remedy


# --- the heading ----------------------------------------------------------------------------------
def heading_key(heading: str) -> str:
    """ "Image URL", "image_url" and "IMAGE-URL " are one heading."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", heading).casefold())


def fields() -> dict[str, Field]:
    """{column: field} of all channels; where two have a column of the same name, of the first."""
    return _fields(tuple(registry.CHANNELS.values()))


@lru_cache  # a file asks for every cell
def _fields(channels: tuple[Channel, ...]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for field in (field for channel in channels for field in channel.fields):
        found.setdefault(field.name, field)
    return found


def columns() -> tuple[str, ...]:
    """Of a file that holds templates of every channel."""
    return (*COMMON, *fields())


def choices_of(column: str) -> dict[str, str]:
    """{value: label}; nothing for a column that takes any text."""
    return dict(registry.choices()) if column == "channel" else _CHOICES.get(column, {})


@dataclass(frozen=True, slots=True)
class ColumnHelp:
    """What a page says about a column; `limit` None: nothing to count. `only_for`: the channels
    that have it, if not all do."""

    name: str
    is_required: bool
    aliases: tuple[str, ...]
    explained: str
    choices: tuple[str, ...] = ()
    limit: int | None = None
    only_for: str = ""


def column_helps() -> list[ColumnHelp]:
    helps = [
        ColumnHelp(
            name,
            name in _REQUIRED,
            _ALIASES[name],
            _explained(name),
            tuple(choices_of(name)),
            _LIMITS[name] if name == "name" else None,
        )
        for name in COMMON
    ]
    for name in columns()[len(COMMON) :]:
        field = fields()[name]
        having = [one.label for one in registry.CHANNELS.values() if field_of(one, name)]
        only_for = "" if len(having) == len(registry.CHANNELS) else ", ".join(having)
        helps.append(
            ColumnHelp(
                name,
                field.is_required,
                field.aliases,
                field.explained,
                limit=field.limit_characters,
                only_for=only_for,
            )
        )
    return helps


def _explained(column: str) -> str:
    return f"Empty: {registry.DEFAULT}." if column == "channel" else _EXPLAINED.get(column, "")


def field_of(channel: Channel, column: str) -> Field | None:
    return next((field for field in channel.fields if field.name == column), None)


def _headings(channels: list[Channel]) -> dict[str, str]:
    """{heading_key: column}. A column's own name goes before an alias, an earlier channel's
    alias before a later's."""
    own = {field.name: field.aliases for channel in reversed(channels) for field in channel.fields}
    known: dict[str, str] = {}
    for column in (*COMMON, *own):
        known.setdefault(heading_key(column), column)
    for column, aliases in (
        *_ALIASES.items(),
        *((one.name, one.aliases) for each in channels for one in each.fields),
    ):
        for alias in aliases:
            known.setdefault(heading_key(alias), column)
    return known


def map_header(header: Row) -> tuple[dict[str, int], list[str]]:
    """({column: position}, headings that mean nothing to us). Raises FileProblem for missing and
    doubled columns.

    A file without a column for the channel holds templates of the standard one, and only its
    columns mean anything.
    """
    standard = registry.channel_of(registry.DEFAULT)
    known, required = (
        _headings([standard]),
        [field.name for field in standard.fields if field.is_required],
    )
    if any(known.get(heading_key(heading)) == "channel" for heading in header.cells):
        known, required = _headings(list(registry.CHANNELS.values())), []
    found: dict[str, int] = {}
    unknown = []
    for position, heading in enumerate(header.cells):
        column = known.get(heading_key(heading))
        if column is None:
            unknown += [heading] if heading else []
        elif column in found:
            raise FileProblem(
                f"Row {header.number}: the columns “{header.cells[found[column]]}” and “{heading}” "
                f"both mean {column}. Delete or rename one of them."
            )
        else:
            found[column] = position
    missing = [column for column in (*_REQUIRED, *required) if column not in found]
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


# --- a template's cells ---------------------------------------------------------------------------
def cell_of(template: Template, column: str) -> str:
    """Empty for a column that the template's channel does not have."""
    if column in COMMON:
        return str(getattr(template, column))
    channel = registry.CHANNELS.get(template.channel)
    return template.text(column) if channel and field_of(channel, column) else ""


def put_cell(template: Template, column: str, value: str) -> None:
    if column in COMMON:
        setattr(template, column, value)
    else:
        template.put({column: value})


# --- a cell ---------------------------------------------------------------------------------------
def tidy(column: str, cell: str) -> str:
    """The value that a cell means. What is not understood comes back as it is; `cell_errors`
    says so."""
    cell = trim(unix_lines(cell))
    field = fields().get(column)
    if field is None or not field.has_lines:
        cell = _TO_SPACE.sub(" ", cell)
    if column == "name":
        return fold(cell)
    if column == "language":
        return languages.tidy(cell)
    if known := choices_of(column):
        word = cell.casefold()
        return (
            word
            if word in known
            else next((key for key in known if known[key].casefold() == word), cell)
        )
    return cell


def key_of(name: str, language: str, channel: str = registry.DEFAULT) -> tuple[str, str, str]:
    """Templates of a workspace with the same key are one template."""
    return name_key(name), languages.tidy(language), channel


def cell_errors(values: Mapping[str, str], channel: str = registry.DEFAULT) -> dict[str, CellError]:
    """{column: what is wrong} of tidied values; columns that `values` lacks are not looked at."""
    known = registry.CHANNELS.get(channel)
    found = {column: _error(column, value, known) for column, value in values.items()}
    errors = {column: error for column, error in found.items() if error is not None}
    if known is not None:
        texts = {
            column: value
            for column, value in values.items()
            if field_of(known, column) and column not in errors
        }
        for column, text in known.problems(texts):
            if column in texts:
                fault = text if isinstance(text, Fault) else Fault(text)
                errors.setdefault(column, CellError(fault.text, fault.remedy))
    return errors


def _error(column: str, value: str, channel: Channel | None) -> CellError | None:
    field = field_of(channel, column) if channel else None
    if not value:
        is_required = field.is_required if field else column in _REQUIRED
        return (
            CellError(f"The {column} is empty.", _remedy_for_empty(column, field))
            if is_required
            else None
        )
    if field is None and column not in COMMON:
        return _not_of_the_channel(column, channel) if channel else None
    if control := control_problem(column, value):
        return CellError(control.text, control.remedy)
    if known := choices_of(column):
        return None if value in known else _no_choice(column, value, list(known))
    if len(value) > (limit := field.limit_characters if field else _LIMITS[column]):
        return CellError(
            f"The {column} has {len(value):,} characters; the limit is {limit:,}.",
            f"Shorten it by {len(value) - limit:,}.",
        )
    if column == "language" and not languages.is_tag(value):
        return CellError(f"“{value[:40]}” is not a language code.", languages.REMEDY)
    return _unparsable(value) if field and field.is_personal else None


def _not_of_the_channel(column: str, channel: Channel) -> CellError:
    own = ", ".join(field.name for field in channel.fields)
    return CellError(
        f"{channel.label} has no {column}.",
        f"Empty this cell; the texts of {channel.label} are: {own}.",
    )


def _remedy_for_empty(column: str, field: Field | None) -> str:
    if known := choices_of(column):
        return f"Write one of: {', '.join(known)}."
    if field is None:
        return "Write a name to find the template by."
    what = field.explained or f"{field.label}."
    return f"Write the {what[:1].lower()}{what[1:]}"


def _no_choice(column: str, value: str, allowed: list[str]) -> CellError:
    near = difflib.get_close_matches(value.casefold(), allowed, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return CellError(
        f"“{value[:40]}” is not a valid {column}.", f"{hint}Use one of: {', '.join(allowed)}."
    )


def _unparsable(value: str) -> CellError | None:
    remedy = 'Write it like {{ first_name | default: "there" }}, with straight quotation marks.'
    try:
        render.compile_text(value)
    except render.RenderError as error:
        if _CURLY_QUOTES.search(value):
            return CellError(
                "The personalisation has curly quotation marks (“ ”), which cannot be read.", remedy
            )
        return CellError(f"The personalisation cannot be read: {str(error).rstrip('.')}.", remedy)
    return None
