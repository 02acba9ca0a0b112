"""How large a request's body may be, by its address, decided before anything of it is read.

What nobody has signed in for is small: sign-in, invitations, the API. Forms of the console are
larger, and files are taken only where a page asks for one. WorkspaceMiddleware turns strangers
away from the console before a form is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.imports.files import FILE_LIMIT
from pushpilot.lib.display import format_number
from pushpilot.lib.problems import problem

KB, MB = 1024, 1024 * 1024
SMALL_BYTES = 64 * KB
CONSOLE_FORM_BYTES = 1 * MB  # an audience of 1,000 values, or a message in twenty languages
# Addresses that take a file, and how much with everything around it: the page then says which file
# is too large.
UPLOADS = {
    "admin:campaigns_template_import": FILE_LIMIT + MB,
    "admin:tenants_workspace_change": CONSOLE_FORM_BYTES,
    "admin:tenants_connection_add": CONSOLE_FORM_BYTES,
    "admin:tenants_connection_change": CONSOLE_FORM_BYTES,
}
LARGER = {
    "api:register_devices": 2 * MB,
    "api:unregister_devices": MB,  # 500 devices
    "api:post_send_now": MB,  # 500 people with their data
    # A campaign with a message in twenty languages. An address has the name of its first operation.
    "api:list_campaigns": 256 * KB,
    "api:get_campaign": 256 * KB,
}
# It reads its body by itself, up to 512 KB, once key and limiter have let it in; chunked ones too.
READS_ITSELF = frozenset({"api:post_events"})
_IN_CONSOLE = re.compile(r"/w/[-\w]{1,60}(?=/admin/)", re.ASCII)


class FileRefused(Exception):
    """A form brings a file to a page that asks for none."""


class NoFiles(FileUploadHandler):
    """Keeps no byte of a file. Raises FileRefused instead."""

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        raise FileRefused

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


class BodyLimits:
    """Answers 413, 415 or 411 instead of reading a body that its address does not take."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        length = _declared(request)
        is_chunked = length is None and "HTTP_TRANSFER_ENCODING" in request.META
        is_multipart = request.content_type == "multipart/form-data"
        if not is_chunked and not is_multipart and (length or 0) <= SMALL_BYTES:
            return self.get_response(request)
        name, is_console = _address(request.path_info)
        if name in READS_ITSELF:
            return self.get_response(request)
        limit = (
            UPLOADS.get(name)
            or LARGER.get(name)
            or (CONSOLE_FORM_BYTES if is_console else SMALL_BYTES)
        )
        if is_chunked:
            detail = _("Send the body with a Content-Length.")
            return _refusal(request, 411, "length_required", detail)
        if length is not None and length > limit:
            return _refusal(request, 413, "body_too_large", _too_large(length, limit))
        if is_multipart and name not in UPLOADS:
            request.upload_handlers = [NoFiles(request)]
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *args: Any) -> HttpResponse | None:
        """The first to read a form (the API reads none): by now strangers were turned away from
        the console."""
        if request.content_type == "multipart/form-data" and not request.path_info.startswith(
            "/api/"
        ):
            try:
                request.POST  # noqa: B018 - reads it
            except FileRefused:
                detail = _("This page takes no file.")
                return _refusal(request, 415, "unsupported_media_type", detail)
        return None


def _too_large(length: int, limit: int) -> str:
    detail = ngettext(
        "The body has %(count)s byte. This address takes at most %(limit)s.",
        "The body has %(count)s bytes. This address takes at most %(limit)s.",
        length,
    )
    return detail % {"count": format_number(length), "limit": format_number(limit)}


def _declared(request: HttpRequest) -> int | None:
    text = request.META.get("CONTENT_LENGTH") or ""
    if text.isascii() and text.isdecimal():
        return int(text)
    return None


def _address(path: str) -> tuple[str, bool]:
    """The name of the address in the URLconf, "" if it has none, and whether it is a page of a
    workspace's console."""
    inside = _IN_CONSOLE.match(path)
    try:
        return resolve(path[inside.end() :] if inside else path).view_name, bool(inside)
    except Resolver404:
        return "", False


def _refusal(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    if request.path_info.startswith("/api/"):
        return problem(status, code, detail)
    return render(request, "413.html", {"sentence": detail, "code": status}, status=status)
