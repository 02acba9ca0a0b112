"""The pages of the template import: choose a file → look at its rows → import all, or the good
rows; and the export.

import-export's mixins give the addresses, the rights' hooks and the export; the two import views
are our own, so that the file is read defensively, once, and the upload belongs to one person in
one workspace.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from import_export.admin import ImportExportMixin
from import_export.formats.base_formats import CSV, XLSX
from unfold.contrib.import_export.forms import ExportForm

from campaigns.channels import registry
from campaigns.imports import templates
from campaigns.imports.cells import column_helps, columns
from campaigns.imports.decoding import ENCODINGS
from campaigns.imports.files import FILE_LIMIT, ROW_LIMIT, FileProblem, Table, read_table, too_large
from campaigns.imports.templates import Report, RowReport, RowStatus
from campaigns.models import Template
from pushpilot.lib.display import format_number, listed
from pushpilot.lib.downloads import csv_answer
from tenants import roles
from tenants.admin.base import require, workspace_of

UPLOAD_SECS = 24 * 60 * 60
SHOWN_ROWS = 200
GONE = gettext_lazy("This upload is no longer available. Choose the file again.")


class UploadForm(forms.Form):
    file = forms.FileField(
        allow_empty_file=True,
        max_length=255,
        error_messages={"required": gettext_lazy("Choose a CSV or Excel file.")},
    )

    def clean_file(self) -> Table:
        """The table in the file. Every reason why there is none is an error of this field."""
        upload = self.cleaned_data["file"]
        try:
            if upload.size > FILE_LIMIT:
                raise too_large(upload.size)
            return read_table(upload.read())
        except FileProblem as problem:
            raise forms.ValidationError(str(problem)) from problem


class ImportPages(ImportExportMixin):
    """Import and export of templates for their ModelAdmin."""

    resource_classes = [templates.TemplateResource]
    import_formats = export_formats = [CSV, XLSX]
    export_form_class = ExportForm
    export_template_name = "campaigns/import/export.html"
    import_export_change_list_template = "campaigns/import/list.html"
    to_encoding = "utf-8-sig"  # without the mark Excel reads it as Windows text

    def has_import_permission(self, request: HttpRequest) -> bool:
        workspace = getattr(request, "workspace", None)
        return workspace is not None and roles.can(request.user, roles.IMPORT, workspace)

    def has_export_permission(self, request: HttpRequest) -> bool:
        workspace = getattr(request, "workspace", None)
        return workspace is not None and roles.can(request.user, roles.VIEW, workspace)

    def get_resource_kwargs(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        return {"workspace": workspace_of(request)}

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("import/sample/", wrap(self.sample_view), name="campaigns_template_import_sample"),
            path("import/errors/", wrap(self.errors_view), name="campaigns_template_import_errors"),
            path(
                "import/refused/", wrap(self.refused_view), name="campaigns_template_import_refused"
            ),
            *super().get_urls(),
        ]

    # --- choosing a file --------------------------------------------------------------------------
    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """GET: the drop area, or with ?upload= the status of each row of an upload. POST: reads
        and keeps the file."""
        require(request, roles.IMPORT)
        if request.method != "POST" and "upload" in request.GET:
            return self._preview_page(request)
        if request.method == "POST" and "encoding" in request.POST:
            return self._read_again(request, request.POST["encoding"])
        form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
        if form.is_valid():
            try:
                return self._kept(
                    request,
                    form.cleaned_data["file"],
                    str(getattr(request.FILES["file"], "name", "")),
                )
            except FileProblem as problem:
                form.add_error("file", str(problem))
        return self._upload_page(request, form)

    def _kept(self, request: HttpRequest, table: Table, file_name: str) -> HttpResponse:
        """To the preview of a table that has the columns. Raises FileProblem if it lacks some."""
        templates.check_header(table)
        storage = self.get_tmp_storage_class()(read_mode="rb")
        storage.save(table.dump(file_name))
        return HttpResponseRedirect(
            f"?{urlencode({'upload': signing.dumps(storage.name, salt=_salt(request))})}"
        )

    def _read_again(self, request: HttpRequest, encoding: str) -> HttpResponse:
        """To the preview of the same upload in the encoding that somebody chose."""
        token = request.POST.get("upload", "")
        try:
            file_name, table = self._upload(request, token)
        except Http404:
            return self._start_again(request)
        same = HttpResponseRedirect(f"?{urlencode({'upload': token})}")
        if table.assumed is None or encoding not in ENCODINGS:
            return same
        try:
            answer = self._kept(request, table.assumed.again(encoding), file_name)
        except FileProblem as problem:
            messages.error(request, str(problem))
            return same
        self._storage(request, token).remove()
        return answer

    def _upload_page(self, request: HttpRequest, form: UploadForm) -> HttpResponse:
        return self.page(  # type: ignore[no-any-return]
            request,
            "campaigns/import/upload.html",
            _("Import templates"),
            form=form,
            columns=column_helps(),
            rows_limit=format_number(ROW_LIMIT),
            size_limit=_("%(count)s MB") % {"count": format_number(FILE_LIMIT // 2**20)},
        )

    # --- an upload --------------------------------------------------------------------------------
    def _storage(self, request: HttpRequest, token: str) -> Any:
        """Where an upload lies. Raises Http404 for a token that is not of this person in this
        workspace, or is old."""
        try:
            name = signing.loads(token, salt=_salt(request), max_age=UPLOAD_SECS)
        except signing.BadSignature as error:
            raise Http404("no such upload") from error
        return self.get_tmp_storage_class()(name=name, read_mode="rb")

    def _upload(self, request: HttpRequest, token: str) -> tuple[str, Table]:
        """(file name, table) of an upload. Raises Http404 when it is gone or was never this
        person's."""
        try:
            content = self._storage(request, token).read()
        except OSError:
            content = None
        if content is None:
            raise Http404("no such upload")
        return Table.load(content)

    def _preview_page(self, request: HttpRequest, report: Report | None = None) -> HttpResponse:
        token = request.POST.get("upload") or request.GET.get("upload", "")
        try:
            file_name, table = self._upload(request, token)
        except Http404:
            return self._start_again(request)
        report = report or templates.preview(table, workspace_of(request))
        chosen = request.GET.get("status", "")
        rows = [row for row in _errors_first(report.rows) if chosen in ("", row.status)]
        return self.page(  # type: ignore[no-any-return]
            request,
            "campaigns/import/preview.html",
            _("Import templates"),
            file_name=file_name,
            token=token,
            report=report,
            assumed=table.assumed,
            encodings=ENCODINGS,
            chips=_chips(report, token, chosen),
            rows=[(row, _status_words(row.status, 1)) for row in rows[:SHOWN_ROWS]],
            not_shown=max(0, len(rows) - SHOWN_ROWS),
            errors=report.counts[RowStatus.ERROR],
            import_url=reverse("admin:campaigns_template_import"),
            confirm_url=reverse("admin:campaigns_template_process_import"),
            errors_url=reverse("admin:campaigns_template_import_errors", query={"upload": token}),
            refused_url=reverse("admin:campaigns_template_import_refused", query={"upload": token}),
        )

    def _start_again(self, request: HttpRequest) -> HttpResponse:
        messages.error(request, GONE)
        return HttpResponseRedirect(reverse("admin:campaigns_template_import"))

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Judge every row once more and import all of them, or show why none was imported. With
        `good` the rows without an error are imported, and the page shows the others."""
        workspace = require(request, roles.IMPORT)
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:campaigns_template_import"))
        token = request.POST.get("upload", "")
        try:
            file_name, table = self._upload(request, token)
        except Http404:
            return self._start_again(request)
        good_only = "good" in request.POST
        by: Any = request.user
        report = templates.commit(table, workspace, by=by, source=file_name, good_only=good_only)
        if report.failure or (report.has_errors and not good_only):
            return self._preview_page(request, report)
        if refused := report.counts[RowStatus.ERROR]:
            messages.warning(request, _imported_in_part(file_name, report, refused))
            return HttpResponseRedirect(
                f"{reverse('admin:campaigns_template_import')}?{urlencode({'upload': token})}"
            )
        self._storage(request, token).remove()
        messages.success(request, _imported(file_name, report))
        return HttpResponseRedirect(reverse("admin:campaigns_template_changelist"))

    # --- files to take away -----------------------------------------------------------------------
    def sample_view(self, request: HttpRequest) -> HttpResponseBase:
        require(request, roles.IMPORT)
        rows = (
            {**row, "channel": one.key}
            for one in registry.CHANNELS.values()
            for row in one.template_examples
        )
        lines = [tuple(row.get(column, "") for column in columns()) for row in rows]
        return csv_answer(request, "templates-sample.csv", [columns(), *lines])

    def errors_view(self, request: HttpRequest) -> HttpResponseBase:
        """One line per error: row, column, value, error, remedy."""
        workspace = require(request, roles.IMPORT)
        try:
            file_name, table = self._upload(request, request.GET.get("upload", ""))
        except Http404:
            return self._start_again(request)
        lines = [
            (str(row.number), error.column, error.value, error.text, error.remedy)
            for row in templates.preview(table, workspace).rows
            for error in row.errors
        ]
        name = f"errors-in-{file_name.rpartition('.')[0] or file_name}.csv"
        return csv_answer(request, name, [("row", "column", "value", "error", "remedy"), *lines])

    def refused_view(self, request: HttpRequest) -> HttpResponseBase:
        """The rows with errors in the columns of their file, with the reason, to be corrected
        and imported again."""
        workspace = require(request, roles.IMPORT)
        try:
            file_name, table = self._upload(request, request.GET.get("upload", ""))
        except Http404:
            return self._start_again(request)
        lines = templates.refused_rows(table, templates.preview(table, workspace))
        return csv_answer(
            request, f"refused-rows-of-{file_name.rpartition('.')[0] or file_name}.csv", lines
        )

    # --- export -----------------------------------------------------------------------------------
    def get_valid_export_item_pks(self, request: HttpRequest) -> list[int]:
        return list(self.get_queryset(request).values_list("pk", flat=True))

    def get_export_filename(self, request: HttpRequest, queryset: Any, file_format: Any) -> str:
        return f"templates-{timezone.localdate():%Y-%m-%d}.{file_format.get_extension()}"

    def export_action(self, request: HttpRequest) -> HttpResponse:
        if not self.has_export_permission(request):
            raise PermissionDenied
        try:
            answer: HttpResponse = super().export_action(request)
        # a filter that the list does not have
        except (IncorrectLookupParameters, DisallowedModelAdminLookup):
            return HttpResponseRedirect(request.path)
        return answer

    def init_request_context_data(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        queryset: models.QuerySet[Template] = self.get_export_queryset(request)
        own = queryset.filter(workspace=workspace_of(request)).count()
        return {
            **super().init_request_context_data(request, form),
            "title": _("Export templates"),
            "sentence": _exported(own, queryset.count() - own),
        }


def _exported(own: int, shared: int) -> str:
    """ "12 templates of your workspace, 3 templates of the global library"."""
    parts = [
        ngettext(
            "%(count)s template of your workspace", "%(count)s templates of your workspace", own
        )
        % {"count": format_number(own)}
    ]
    if shared:
        words = ngettext(
            "%(count)s template of the global library",
            "%(count)s templates of the global library",
            shared,
        )
        parts.append(words % {"count": format_number(shared)})
    return listed(parts)


def _imported(file_name: str, report: Report) -> str:
    return _("Templates imported from %(file)s: %(summary)s.") % {
        "file": file_name,
        "summary": report.summary(),
    }


def _imported_in_part(file_name: str, report: Report, refused: int) -> str:
    words = ngettext(
        "%(count)s row was refused. See the list below.",
        "%(count)s rows were refused. See the list below.",
        refused,
    )
    return f"{_imported(file_name, report)} {words % {'count': format_number(refused)}}"


def _status_words(status: RowStatus, count: int) -> str:
    """The status of so many rows, without the number."""
    words = {
        RowStatus.ERROR: ngettext("error", "errors", count),
        RowStatus.NEW: ngettext("new", "new", count),
        RowStatus.CHANGED: ngettext("changed", "changed", count),
        RowStatus.UNCHANGED: ngettext("unchanged", "unchanged", count),
    }
    return words[status]


def _salt(request: HttpRequest) -> str:
    """Binds an upload to the person and the workspace: a token of anybody else is a bad
    signature."""
    return f"campaigns.template_import:{workspace_of(request).pk}:{request.user.pk}"


def _errors_first(rows: Iterable[RowReport]) -> list[RowReport]:
    order = list(RowStatus)
    return sorted(rows, key=lambda row: order.index(row.status))


def _chips(report: Report, token: str, chosen: str) -> list[dict[str, Any]]:
    """One per status that occurs: a count, and a link that shows only its rows (again: all)."""
    chips = []
    for status, count in report.counts.items():
        if count:
            query = (
                {"upload": token} if chosen == status else {"upload": token, "status": str(status)}
            )
            url = f"{reverse('admin:campaigns_template_import')}?{urlencode(query)}"
            chips.append(
                {
                    "status": str(status),
                    "count": format_number(count),
                    "label": _status_words(status, count),
                    "url": url,
                    "active": chosen == status,
                }
            )
    return sorted(chips, key=lambda chip: list(RowStatus).index(chip["status"]))
