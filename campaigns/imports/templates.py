"""Template files: what importing each row would do, and writing them in one transaction.

Three doors (the console, the command line, `make demo`) call `preview` and `commit`; both run
the same TemplateResource, so a row has the same status at each. The workspace comes from the
caller, never from the file.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import tablib
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from import_export import instance_loaders, resources
from import_export.fields import Field as Column
from import_export.results import Result, RowResult

from campaigns.channels import registry
from campaigns.imports.cells import (
    COMMON,
    CellError,
    cell_errors,
    cell_of,
    columns,
    key_of,
    map_header,
    put_cell,
    tidy,
)
from campaigns.imports.files import Table
from campaigns.models import Template
from pushpilot.lib import spreadsheets
from pushpilot.lib.display import format_number, listed
from tenants import audit
from tenants.models import User, Workspace

logger = logging.getLogger(__name__)

BATCH_ROWS = 1_000
# Columns of the dataset that no file can name.
_NUMBER, _OVERFLOW, _FAULTS = "#row", "#overflow", "#faults"
_STORED = (*COMMON, "name_key", "fields", "title", "updated_at")
REFUSED_BECAUSE = "refused because"  # the heading of a column of ours, in a file of refused rows
MEANWHILE = gettext_lazy(
    "Somebody changed these templates at the same moment, so nothing was "
    "imported. Check the file once more."
)


class RowStatus(StrEnum):
    ERROR = "error"
    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class RowError:
    column: str
    value: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Change:
    column: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RowReport:
    number: int
    status: RowStatus
    values: Mapping[str, str]
    changes: list[Change]
    errors: list[RowError]


@dataclass(slots=True)
class Report:
    """What an import would do, or did. With one error nothing is written; `failure` concerns no
    single row."""

    rows: list[RowReport]
    notes: list[str]
    failure: str = ""
    counts: dict[RowStatus, int] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = {
            status: sum(row.status == status for row in self.rows) for status in RowStatus
        }

    @property
    def has_errors(self) -> bool:
        return bool(self.failure or self.counts[RowStatus.ERROR])

    @property
    def to_write(self) -> int:
        return self.counts[RowStatus.NEW] + self.counts[RowStatus.CHANGED]

    def summary(self) -> str:
        """ "12 new, 3 changed, 2 unchanged"."""
        counts = {str(status): format_number(self.counts[status]) for status in RowStatus}
        return _("%(new)s new, %(changed)s changed, %(unchanged)s unchanged") % counts


def preview(table: Table, workspace: Workspace | None) -> Report:
    """What importing would do; writes nothing and takes no lock. Raises FileProblem for a
    heading without meaning.

    `workspace` None is the global library, which only code outside of any workspace may write.
    """
    return _run(table, workspace, dry_run=True)


def check_header(table: Table) -> None:
    """Raises FileProblem if the heading lacks a column or names one twice."""
    map_header(table.header)


def commit(
    table: Table,
    workspace: Workspace | None,
    *,
    by: User | None,
    source: str,
    good_only: bool = False,
) -> Report:
    """Import everything, or nothing when the report has an error; with `good_only` the rows
    without an error.

    The audit entry is part of the transaction.
    """
    with transaction.atomic():
        report = _run(table, workspace, dry_run=False, good_only=good_only)
        is_written = not report.failure and (good_only or not report.has_errors)
        if workspace is not None and report.to_write and is_written:
            counts = {
                str(status): report.counts[status]
                for status in (RowStatus.NEW, RowStatus.CHANGED, RowStatus.UNCHANGED)
            }
            if refused := report.counts[RowStatus.ERROR]:
                counts["refused"] = refused
            audit.record(workspace, "templates imported", source, by=by, detail=counts)
    return report


def refused_rows(table: Table, report: Report) -> list[list[str]]:
    """The rows with errors as a table to correct and import again: the file's own columns, and
    what is wrong."""
    errors = {row.number: row.errors for row in report.rows if row.status == RowStatus.ERROR}
    width = max(len(row.cells) for row in (table.header, *table.rows))
    lines = [[*table.header.cells, *[""] * (width - len(table.header.cells)), REFUSED_BECAUSE]]
    for row in table.rows:
        if row.number in errors:
            why = " ".join(f"{found.text} {found.remedy}".strip() for found in errors[row.number])
            lines.append([*row.cells, *[""] * (width - len(row.cells)), why])
    return lines


def _run(
    table: Table, workspace: Workspace | None, *, dry_run: bool, good_only: bool = False
) -> Report:
    dataset, notes = _dataset(table, workspace)
    resource = TemplateResource(workspace=workspace)
    if dry_run:
        # import_data would open a transaction, which on SQLite holds the write lock that sends
        # need.
        result = resource.import_data_inner(
            dataset,
            dry_run=True,
            raise_errors=False,
            using_transactions=False,
            collect_failed_rows=False,
        )
    else:
        result = resource.import_data(
            dataset, use_transactions=True, rollback_on_validation_errors=not good_only
        )
    rows = [_row_report(row) for row in result.rows]
    return Report(rows, [*table.notes, *notes, *_notes_on_guards(rows)], _failure(result))


def _failure(result: Result) -> str:
    for base in result.base_errors:
        if not isinstance(base.error, IntegrityError):
            raise base.error
        logger.info("a template import met a concurrent one: %s", base.error)
        return str(MEANWHILE)
    return ""


def _dataset(table: Table, workspace: Workspace | None) -> tuple[tablib.Dataset, list[str]]:
    """The table under our column names, every cell tidied; a row that names no language or
    channel has the default."""
    positions, unknown = map_header(table.header)
    unknown = [heading for heading in unknown if heading != REFUSED_BECAUSE]
    defaults = {
        "language": workspace.default_language if workspace else "en",
        "channel": registry.DEFAULT,
    }
    named_columns = [column for column in columns() if column in positions or column in defaults]
    unnamed = [
        at
        for at in range(table.width)
        if at >= len(table.header.cells) or not table.header.cells[at]
    ]
    has_unnamed = False
    is_ours = REFUSED_BECAUSE in table.header.cells
    dataset = tablib.Dataset(headers=[_NUMBER, _OVERFLOW, _FAULTS, *named_columns])
    for row in table.rows:
        cells = row.cells + [""] * (table.width - len(row.cells))
        cells = [_without_guard(cell) for cell in cells] if is_ours else cells
        has_unnamed = has_unnamed or any(cells[at] for at in unnamed)
        values = {column: tidy(column, cells[at]) for column, at in positions.items()}
        values |= {column: values.get(column) or default for column, default in defaults.items()}
        overflow = "\n".join(cell for cell in cells[table.width :] if cell)
        faults = {fault.position: CellError(fault.text, fault.remedy) for fault in row.faults}
        named = {column: faults[at] for column, at in positions.items() if at in faults}
        dataset.append([row.number, overflow, named, *(values[column] for column in named_columns)])
    return dataset, _notes_on(unknown, has_unnamed=has_unnamed)


def _without_guard(cell: str) -> str:
    """The cell of a file of refused rows, without the apostrophe that kept it from being a
    formula."""
    if cell.startswith("'") and spreadsheets.safe(cell[1:]) == cell:
        return cell[1:]
    return cell


def _notes_on(unknown: list[str], *, has_unnamed: bool) -> list[str]:
    names = [f"“{heading[:40]}”" for heading in unknown[:10]]
    if len(unknown) > 10:
        more = len(unknown) - 10
        words = ngettext("%(count)s more column", "%(count)s more columns", more)
        names.append(words % {"count": format_number(more)})
    if has_unnamed:
        names.append(_("one column without a heading"))
    if not names:
        return []
    return [
        _("PushPilot ignores columns that templates do not have: %(names)s.")
        % {"names": listed(names)}
    ]


def _notes_on_guards(rows: list[RowReport]) -> list[str]:
    """A new row may come from an export of another workspace: nobody can tell whether its
    apostrophe is text."""
    new = [row for row in rows if row.status == RowStatus.NEW]
    guarded = sum(any(_without_guard(cell) != cell for cell in row.values.values()) for row in new)
    if not guarded:
        return []
    words = ngettext(
        "%(count)s new row has a text that begins with an apostrophe before a formula sign, as an "
        "export writes it. The apostrophe stays in the text. To import the text without it, delete "
        "it in the file.",
        "%(count)s new rows have texts that begin with an apostrophe before a formula sign, as an "
        "export writes them. The apostrophes stay in the texts. To import the texts without them, "
        "delete them in the file.",
        guarded,
    )
    return [words % {"count": format_number(guarded)}]


def _row_report(result: TemplateRow) -> RowReport:
    values = {
        column: value for column, value in result.row_values.items() if not column.startswith("#")
    }
    number = result.row_values[_NUMBER]
    if result.errors:  # no fault of the file: ours
        raise result.errors[0].error
    if result.validation_error is not None:
        errors = _row_errors(result.validation_error, values)
        return RowReport(number, RowStatus.ERROR, values, [], errors)
    status = {
        RowResult.IMPORT_TYPE_NEW: RowStatus.NEW,
        RowResult.IMPORT_TYPE_UPDATE: RowStatus.CHANGED,
    }.get(result.import_type, RowStatus.UNCHANGED)
    return RowReport(
        number, status, values, result.changes if status == RowStatus.CHANGED else [], []
    )


def _row_errors(error: ValidationError, values: Mapping[str, str]) -> list[RowError]:
    known = columns()
    order = [*known, *error.error_dict]
    found = []
    for column in sorted(error.error_dict, key=order.index):
        shown = ""
        if column in known:
            shown = column
        for each in error.error_dict[column]:
            text, remedy = " ".join(each.messages), _("Correct the cell and try again.")
            if isinstance(each, CellError):
                text, remedy = each.text, each.remedy
            found.append(RowError(shown, values.get(column, ""), text, remedy))
    return found


class TemplateRow(RowResult):
    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []


class _ByKey(instance_loaders.BaseInstanceLoader):
    """All templates of the workspace in one query; import-export's own cache knows only
    one-column keys."""

    def __init__(self, resource: TemplateResource, dataset: tablib.Dataset | None = None) -> None:
        super().__init__(resource, dataset)
        self.known: dict[tuple[str, str, str], Template] = {}
        self.exported: dict[tuple[str, str, str], Template] = {}
        for template in resource.get_queryset().order_by("-pk"):
            self.known[template.name_key, template.language, template.channel] = template
            self.exported[
                key_of(spreadsheets.safe(template.name), template.language, template.channel)
            ] = template

    def get_instance(self, row: Mapping[str, Any]) -> Template | None:
        key = _key_of_row(row)
        return self.known.get(key) or self.exported.get(key)


class TemplateResource(resources.ModelResource):
    """Templates of one workspace, or with None the global library. Key: name in any case,
    language, channel."""

    class Meta:
        model = Template
        fields = COMMON
        import_id_fields = ("name", "language", "channel")
        instance_loader_class = _ByKey
        clean_model_instances = True
        use_bulk = True
        batch_size = BATCH_ROWS
        skip_unchanged = report_skipped = True
        # a deep copy per row; the changes are found field by field instead
        skip_diff = skip_html_diff = True
        store_row_values = True
        name = "Templates"

    def __init__(self, *, workspace: Workspace | None) -> None:
        super().__init__()
        self.fields = {column: Column(column_name=column) for column in columns()}
        self.workspace = workspace
        self._first_row: dict[tuple[str, str, str], int] = {}
        self._changes: list[Change] = []

    @classmethod
    def get_row_result_class(cls) -> type[RowResult]:
        return TemplateRow

    def get_queryset(self) -> models.QuerySet[Template]:
        return Template.objects.filter(workspace=self.workspace)

    def init_instance(self, row: Any = None) -> Template:
        return Template(workspace=self.workspace)

    # --- one row ----------------------------------------------------------------------------------
    def before_import(self, dataset: tablib.Dataset, **kwargs: Any) -> None:
        for row in dataset.dict:
            if row["name"]:
                self._first_row.setdefault(_key_of_row(row), row[_NUMBER])

    def import_instance(self, instance: Template, row: Mapping[str, Any], **kwargs: Any) -> None:
        """Puts the row's cells on the instance. Raises ValidationError with a CellError per bad
        column."""
        before = {column: cell_of(instance, column) for column in columns() if column in row}
        values = {column: _meant(column, row[column], before[column]) for column in before}
        self._changes = [
            Change(column, before[column], value)
            for column, value in values.items()
            if before[column] != value
        ]
        for change in self._changes:
            put_cell(instance, change.column, change.after)
        # What a template holds already is none of the file's faults: older versions took what is
        # refused today.
        if instance._state.adding:
            known = registry.CHANNELS.get(row["channel"])
            said = values
            if known:
                said = {field.name: "" for field in known.fields if field.is_required} | values
        else:
            said = {change.column: change.after for change in self._changes}
        errors: dict[str, Any] = {**cell_errors(said, row["channel"]), **row[_FAULTS]}
        if row[_OVERFLOW]:
            errors["__all__"] = _overflow(row[_OVERFLOW])
        first = self._first_row.get(_key_of_row(row), row[_NUMBER])
        if first != row[_NUMBER]:
            errors.setdefault("name", _doubled(first, row))
        if errors:
            raise ValidationError(errors)

    def skip_row(
        self, instance: Template, original: Any, row: Any, import_validation_errors: Any = None
    ) -> bool:
        return instance.pk is not None and not self._changes and not import_validation_errors

    def validate_instance(
        self, instance: Template, import_validation_errors: Any = None, validate_unique: bool = True
    ) -> None:
        """Without full_clean's questions to the database, four a row (5,000 rows: 1.1 s instead
        of 11): the loader has settled the key, the caller the workspace, and the table's
        constraint stands behind both."""
        errors = dict(import_validation_errors or {})
        try:
            instance.clean_fields(exclude={"workspace", *errors})
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def after_import_row(self, row: Any, row_result: TemplateRow, **kwargs: Any) -> None:
        row_result.changes = self._changes

    # --- writing ----------------------------------------------------------------------------------
    def bulk_update(
        self,
        using_transactions: bool,
        dry_run: bool,
        raise_errors: bool,
        batch_size: Any = None,
        result: Any = None,
    ) -> None:
        """By upsert on the primary key: Django's bulk_update takes 7.6 s for 5,000 rows, this
        0.2 s."""
        if not self.update_instances or dry_run:
            return
        now = timezone.now()
        for instance in self.update_instances:
            instance.updated_at = now
        try:
            Template.objects.bulk_create(
                self.update_instances,
                batch_size=batch_size,
                update_conflicts=True,
                unique_fields=["id"],
                update_fields=_STORED,
            )
        except IntegrityError as error:
            self.handle_import_error(result, error, raise_errors)
        finally:
            self.update_instances.clear()

    def after_import(self, dataset: tablib.Dataset, result: Result, **kwargs: Any) -> None:
        """Keys always come from the database, so its sequences need no reset."""

    # --- export -----------------------------------------------------------------------------------
    def export_field(self, field: Any, instance: Template, **kwargs: Any) -> str:
        return spreadsheets.safe(cell_of(instance, field.column_name))


def _key_of_row(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return key_of(row["name"], row["language"], row["channel"])


def _meant(column: str, cell: str, before: str) -> str:
    """What a tidied cell says: the stored value, if that is what a file makes of it.

    So line breaks of Windows change nothing, nor does the apostrophe that our export puts before
    a formula. Any other apostrophe is part of the text.
    """
    if not before or cell == before:
        return cell
    if cell in (tidy(column, before), tidy(column, spreadsheets.safe(before))):
        return before
    return cell


def _overflow(cells: str) -> CellError:
    return CellError(
        _("The row has more cells than the heading: “%(cells)s” belongs to no column.")
        % {"cells": cells[:40]},
        _("Put texts that contain the separator in quotation marks."),
    )


def _doubled(first: int, row: Mapping[str, Any]) -> CellError:
    number = row[_NUMBER]
    return CellError(
        _("Rows %(first)s and %(number)s both hold “%(name)s” in %(language)s.")
        % {"first": first, "number": number, "name": row["name"][:60], "language": row["language"]},
        _("Delete one of the two rows, or change its name or its language."),
    )
