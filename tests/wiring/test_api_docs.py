"""docs/api.md and the API name the same addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import Resolver404, resolve

from pushpilot.api import api
from tests.house.sources import ROOT as ROOT_OF_SOURCES
from tests.house.sources import modules

pytestmark = pytest.mark.once

PAGE = Path(settings.BASE_DIR) / "docs" / "api.md"
ROOT = "/api/v1"


def documented() -> set[tuple[str, str]]:
    return set(re.findall(rf"`(GET|POST|PATCH|DELETE) ({ROOT}/[^`\s]*)`", PAGE.read_text()))


def offered() -> set[tuple[str, str]]:
    paths = api.get_openapi_schema()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_every_address_is_documented_and_every_documented_address_exists():
    assert documented() == offered()
    assert len(offered()) >= 20


def test_every_address_in_the_examples_is_one():
    for text in (PAGE.read_text(), (Path(settings.BASE_DIR) / "README.md").read_text()):
        examples = re.findall(r"https://push\.example\.com(/api/[\w/-]+)", text)
        assert examples
        for path in examples:
            resolve(path)


def test_an_address_that_is_none_would_be_seen():
    with pytest.raises(Resolver404):
        resolve("/api/v1/nowhere")


def test_the_examples_show_keys_as_they_are():
    for text in (PAGE.read_text(), (Path(settings.BASE_DIR) / "README.md").read_text()):
        assert "pp_live_…" in text
        assert "pp_write" not in text


def test_the_table_of_errors_names_every_code():
    table = PAGE.read_text().split("## Errors")[1]
    codes = {
        (status, code)
        for _, file in modules(ROOT_OF_SOURCES)
        for status, code in re.findall(
            r'[pP]roblem\(\s*(\d{3}),\s*"(\w+)"', file.read_text(encoding="utf-8")
        )
    }
    rows = re.findall(r"^\| (\d{3}) \| (.*?) \|", table, re.MULTILINE)
    named = {(status, code) for status, listed in rows for code in re.findall(r"`(\w+)`", listed)}
    assert ("413", "too_many_devices") in codes
    assert codes <= named, codes - named
