"""Files to take away: CSV of any length, made while it is sent, which cannot break off and still
look whole."""

from __future__ import annotations

import logging
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import content_disposition_header

from pushpilot.lib.spreadsheets import BOM, csv_line

logger = logging.getLogger(__name__)

TYPE = "text/csv; charset=utf-8"
AT_ONCE_BYTES = 256 * 1024
IN_MEMORY_BYTES = 1024 * 1024
_TAKES_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")
_GZIP_WINDOW = 31  # what zlib calls 15 bits with a gzip header
_DAMAGE = b"\xff" * 16  # a kind of block that deflate does not have


def csv_answer(
    request: HttpRequest, name: str, rows: Iterable[Iterable[object]]
) -> HttpResponseBase:
    """The rows, the heading first, as a CSV file to download. They are asked for as the file is
    read.

    An error in the first 256 KB is raised here. A later one fails the download: granian ends the
    body of an iterator that raises as if it were whole, so long files go out compressed, and a
    damaged block makes every browser and client give up. Clients that take no gzip wait for the
    whole file, and get it with its length or an error page.
    """
    parts = (line.encode() for line in chain([BOM], map(csv_line, rows)))
    head, is_whole = _head(parts)
    answer: HttpResponseBase
    if is_whole:
        answer = HttpResponse(head, content_type=TYPE)
    elif _TAKES_GZIP.search(request.headers.get("Accept-Encoding", "").lower()):
        packed = _packed(chain(head, parts))
        answer = StreamingHttpResponse(
            packed, content_type=TYPE, headers={"Content-Encoding": "gzip"}
        )
    else:
        answer = _from_disk(chain(head, parts))
    answer.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    patch_vary_headers(answer, ["Accept-Encoding"])
    return answer


def _head(parts: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """The parts of the first 256 KB, and whether they are all."""
    head, size = [], 0
    for part in parts:
        head.append(part)
        size += len(part)
        if size >= AT_ONCE_BYTES:
            return head, False
    return head, True


def _packed(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=_GZIP_WINDOW)
    try:
        for part in parts:
            packed = packer.compress(part)
            if packed:
                yield packed
        yield packer.flush()
    except Exception:
        logger.exception("a download broke off")
        yield packer.flush(zlib.Z_FULL_FLUSH) + _DAMAGE


def _from_disk(parts: Iterable[bytes]) -> FileResponse:
    file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - the response closes it
    try:
        file.writelines(parts)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return FileResponse(file, content_type=TYPE)  # which says its length
