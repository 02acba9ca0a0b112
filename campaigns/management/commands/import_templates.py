"""`manage.py import_templates FILE`: the console's import on the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns.imports import templates
from campaigns.imports.decoding import ENCODINGS
from campaigns.imports.files import FILE_LIMIT, FileProblem, read_table, too_large
from pushpilot.lib.spreadsheets import BOM, csv_line
from tenants.models import Workspace
from tenants.scope import every_workspace, scope


class Command(BaseCommand):
    """Import the whole file, or nothing when one row is bad (exit code 1, every error printed)."""

    help = "Import message templates from a CSV or XLSX file, by the same rules as the console."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        target = parser.add_mutually_exclusive_group(required=True)
        target.add_argument(
            "--workspace", metavar="SLUG", help="the workspace whose templates these are"
        )
        target.add_argument(
            "--global",
            action="store_true",
            dest="library",
            help="the global library that every workspace sees",
        )
        parser.add_argument(
            "--encoding",
            choices=ENCODINGS,
            metavar="NAME",
            default="",
            help=f"the encoding of a CSV file that does not say so itself: {', '.join(ENCODINGS)}",
        )
        parser.add_argument(
            "--refused",
            type=Path,
            metavar="FILE",
            help="import the good rows, write the refused ones to this file",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would happen and write nothing"
        )

    def handle(
        self,
        *args: Any,
        file: Path,
        workspace: str | None,
        dry_run: bool,
        encoding: str = "",
        refused: Path | None = None,
        **options: Any,
    ) -> None:
        target = None
        if workspace:
            target = _workspace(workspace)
        inside: AbstractContextManager[None] = scope(target) if target else every_workspace()
        try:
            table = read_table(_bytes_of(file), encoding)
            with inside:
                if dry_run:
                    report = templates.preview(table, target)
                else:
                    good_only = refused is not None
                    report = templates.commit(
                        table, target, by=None, source=file.name, good_only=good_only
                    )
        except FileProblem as problem:
            raise CommandError(f"{file}: {problem}") from problem
        if table.assumed and not encoding:
            samples = ", ".join(f"“{sample}”" for sample in table.assumed.samples)
            self.stdout.write(
                f"note: read as {table.assumed.words}: {samples}. --encoding names another one."
            )
        self._print(report)
        bad = report.counts[templates.RowStatus.ERROR]
        if bad and refused and not report.failure:
            lines = [BOM, *map(csv_line, templates.refused_rows(table, report))]
            refused.write_text("".join(lines), encoding="utf-8", newline="")
            self.stdout.write(f"{bad:,} refused {_rows(bad)} → {refused}")
        elif report.has_errors:
            raise CommandError(
                report.failure or f"{file}: {bad:,} {_rows(bad)} with errors, nothing was imported."
            )
        where = "the global library"
        if target:
            where = f"workspace {target.slug}"
        self.stdout.write(f"{file} → {where}: {report.summary()}{' (dry run)' if dry_run else ''}.")

    def _print(self, report: templates.Report) -> None:
        for note in report.notes:
            self.stdout.write(f"note: {note}")
        for row in report.rows:
            for error in row.errors:
                where = f"row {row.number}, {error.column}" if error.column else f"row {row.number}"
                self.stderr.write(f"{where}: {error.text} {error.remedy}")


def _rows(count: int) -> str:
    if count == 1:
        return "row"
    return "rows"


def _workspace(slug: str) -> Workspace:
    try:
        return Workspace.objects.get(slug=slug)
    except Workspace.DoesNotExist as error:
        raise CommandError(f"There is no workspace with the address “{slug}”.") from error


def _bytes_of(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > FILE_LIMIT:
            raise too_large(size)
        return file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
