"""Files to take away, over a real socket from the real web server."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.test import RequestFactory

from pushpilot.lib import downloads
from pushpilot.processes import answers, web_command
from tests.house.sources import ROOT, modules
from tests.providers.sandbox_server import free_port


@contextlib.contextmanager
def serving(application: str, folder: Path) -> Iterator[str]:
    """The address of an application behind the web server that `manage.py run` starts."""
    port = free_port()
    command = [*web_command(port)[:-1], application]
    with (folder / "web.log").open("ab") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "DATA_DIR": str(folder)}, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 30
        while not answers(f"http://127.0.0.1:{port}/whole.csv"):
            assert time.monotonic() < until, (folder / "web.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with serving("tests.wiring.broken_download:application", tmp_path_factory.mktemp("web")) as url:
        yield url


def rows(answer: requests.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


@pytest.mark.parametrize("encoding", ["gzip, deflate, br", "identity", "gzip;q=0"])
def test_a_long_file_arrives_whole(url, encoding):
    answer = requests.get(f"{url}/whole.csv", headers={"Accept-Encoding": encoding}, timeout=60)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="whole.csv"'
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert (answer.headers.get("Content-Encoding") == "gzip") is encoding.startswith("gzip,")
    assert len(rows(answer)) == 20_001


def test_an_error_in_mid_stream_fails_the_download(url):
    with requests.get(
        f"{url}/broken.csv", headers={"Accept-Encoding": "gzip"}, stream=True, timeout=60
    ) as answer:
        assert answer.status_code == 200
        with pytest.raises(requests.exceptions.ContentDecodingError):
            list(answer.iter_content(65_536))


def test_who_takes_no_compressed_file_gets_an_error_and_not_a_part(url):
    answer = requests.get(f"{url}/broken.csv", headers={"Accept-Encoding": "identity"}, timeout=60)
    assert answer.status_code == 500
    assert "attachment" not in answer.headers.get("Content-Disposition", "")


def test_an_error_before_the_first_byte_is_an_error_page(monkeypatch):
    def failing() -> Iterator[tuple[str, ...]]:
        yield ("number",)
        raise RuntimeError("no database")

    request = RequestFactory().get("/", headers={"Accept-Encoding": "gzip"})
    with pytest.raises(RuntimeError):
        downloads.csv_answer(request, "x.csv", failing())


def test_a_file_is_streamed_in_one_place_only():
    """An answer that streams elsewhere would look whole when it breaks off."""
    words = re.compile(r"StreamingHttpResponse|FileResponse\(")
    streaming = {name for name, file in modules() if words.search(file.read_text(encoding="utf-8"))}
    assert streaming == {"pushpilot.lib.downloads"}
