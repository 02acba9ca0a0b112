"""The migrations make the tables that the models describe."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import models


def missing() -> str:
    """What makemigrations would write; "" if nothing."""
    out = StringIO()
    try:
        call_command("makemigrations", "--check", "--dry-run", stdout=out, stderr=out)
    except SystemExit:
        return out.getvalue()
    return ""


@pytest.mark.django_db
def test_no_migration_is_missing():
    assert missing() == ""


@pytest.mark.django_db
def test_a_missing_migration_is_caught(monkeypatch):
    from tenants.models import Workspace

    field = Workspace._meta.get_field("name")
    monkeypatch.setattr(field, "max_length", 101)
    assert isinstance(field, models.CharField)
    assert "Alter field name on workspace" in missing()
