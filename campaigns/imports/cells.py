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
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.channels import registry, render
from campaigns.channels.base import Channel, Fault, Field, control_problem
from campaigns.imports.files import FileProblem, Row
from campaigns.models import Template, Tone
from pushpilot.lib import languages
from pushpilot.lib.display import format_number, listed
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
_CHOICES = {"category": Template.Category.choices, "tone": Tone.choices}
_EXPLAINED = {
    "name": gettext_lazy(
        "The name in the list of templates. Name, channel and language identify a template."
    ),
    "language": gettext_lazy(
        "A code such as en, hi or pt-BR. If empty: the language of your workspace."
    ),
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
    found = registry.choices() if column == "channel" else _CHOICES.get(column, [])
    return {str(value): str(label) for value, label in found}


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
        having = [str(one.label) for one in registry.CHANNELS.values() if field_of(one, name)]
        only_for = "" if len(having) == len(registry.CHANNELS) else listed(having)
        helps.append(
            ColumnHelp(
                name,
                field.is_required,
                field.aliases,
                str(field.explained),
                limit=field.limit_characters,
                only_for=only_for,
            )
        )
    return helps


def _explained(column: str) -> str:
    if column == "channel":
        return _("If empty: %(channel)s.") % {"channel": registry.DEFAULT}
    return str(_EXPLAINED.get(column, ""))


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
                _(
                    "Row %(number)s: the headings “%(first)s” and “%(second)s” both mean "
                    "%(column)s. Delete or rename one of the columns."
                )
                % {
                    "number": header.number,
                    "first": header.cells[found[column]],
                    "second": heading,
                    "column": column,
                }
            )
        else:
            found[column] = position
    missing = [column for column in (*_REQUIRED, *required) if column not in found]
    if missing:
        raise FileProblem(_missing_columns(missing, header))
    return found, unknown


def _missing_columns(missing: list[str], header: Row) -> str:
    seen = ", ".join(heading[:30] or _("(no heading)") for heading in header.cells[:10])
    return ngettext(
        "The column %(columns)s is missing. Row %(number)s must hold the headings. It holds: "
        "%(seen)s. The sample file shows the expected headings.",
        "The columns %(columns)s are missing. Row %(number)s must hold the headings. It holds: "
        "%(seen)s. The sample file shows the expected headings.",
        len(missing),
    ) % {
        "columns": listed(f"“{column}”" for column in missing),
        "number": header.number,
        "seen": seen,
    }


# --- a template's cells ---------------------------------------------------------------------------
def cell_of(template: Template, column: str) -> str:
    """Empty for a column that the template's channel does not have."""
    if column in COMMON:
        return str(getattr(template, column))
    channel = registry.CHANNELS.get(template.channel)
    if channel and field_of(channel, column):
        return template.text(column)
    return ""


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
        if word in known:
            return word
        return next((key for key in known if known[key].casefold() == word), cell)
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
    field = None
    if channel:
        field = field_of(channel, column)
    if not value:
        is_required = field.is_required if field else column in _REQUIRED
        if is_required:
            return CellError(
                _("The %(column)s is empty.") % {"column": column}, _remedy_for_empty(column, field)
            )
        return None
    if field is None and column not in COMMON:
        if channel:
            return _not_of_the_channel(column, channel)
        return None
    if control := control_problem(column, value):
        return CellError(control.text, control.remedy)
    if known := choices_of(column):
        if value in known:
            return None
        return _no_choice(column, value, list(known))
    if len(value) > (limit := field.limit_characters if field else _LIMITS[column]):
        return CellError(
            ngettext(
                "The %(column)s has %(count)s character. The limit is %(limit)s.",
                "The %(column)s has %(count)s characters. The limit is %(limit)s.",
                len(value),
            )
            % {"column": column, "count": format_number(len(value)), "limit": format_number(limit)},
            ngettext(
                "Shorten it by %(count)s character.",
                "Shorten it by %(count)s characters.",
                len(value) - limit,
            )
            % {"count": format_number(len(value) - limit)},
        )
    if column == "language" and not languages.is_tag(value):
        return CellError(
            _("“%(value)s” is not a language code.") % {"value": value[:40]}, str(languages.REMEDY)
        )
    if field and field.is_personal:
        return _unparsable(value)
    return None


def _not_of_the_channel(column: str, channel: Channel) -> CellError:
    own = [field.name for field in channel.fields]
    return CellError(
        _("%(channel)s has no %(column)s.") % {"channel": channel.label, "column": column},
        _("Empty this cell. %(channel)s has these texts: %(columns)s.")
        % {"channel": channel.label, "columns": listed(own)},
    )


def _remedy_for_empty(column: str, field: Field | None) -> str:
    if known := choices_of(column):
        return _("Write one of: %(values)s.") % {"values": ", ".join(known)}
    if field is None:
        return _("Write a name for the template.")
    return _("Write the field “%(label)s” of the message.") % {"label": field.label}


def _no_choice(column: str, value: str, allowed: list[str]) -> CellError:
    near = difflib.get_close_matches(value.casefold(), allowed, n=1)
    remedy = _("Use one of: %(values)s.") % {"values": ", ".join(allowed)}
    if near:
        remedy = _("Did you mean %(near)s? Use one of: %(values)s.") % {
            "near": near[0],
            "values": ", ".join(allowed),
        }
    return CellError(
        _("“%(value)s” is not a valid %(column)s.") % {"value": value[:40], "column": column},
        remedy,
    )


def _unparsable(value: str) -> CellError | None:
    remedy = _('Write it like {{ first_name | default: "there" }}, with straight quotation marks.')
    try:
        render.compile_text(value)
    except render.RenderError as error:
        if _CURLY_QUOTES.search(value):
            return CellError(
                _("The personalisation has curly quotation marks (“ ”). They cannot be read."),
                remedy,
            )
        return CellError(
            _("The personalisation cannot be read: %(error)s") % {"error": error},
            remedy,
        )
    return None
