"""Central modules name no carrier: what is said of one comes from its provider or its channel."""

from __future__ import annotations

import re

import pytest

from tests.house.sources import ROOT

pytestmark = pytest.mark.once

CARRIERS = re.compile(r"\b(fcm|firebase|apns)\b", re.IGNORECASE)
CENTRAL = ("tenants", "campaigns", "delivery", "reports")
FOR_CARRIERS = ("campaigns/channels/", "delivery/providers/")
MEANT = {
    "campaigns/api/device_routes.py",  # apps register push tokens there
    "delivery/api/connection_routes.py",  # its addresses name the carrier
    "delivery/management/commands/sandbox.py",  # starts the sandbox of one provider
}


def test_only_the_modules_that_are_meant_name_a_carrier():
    files = [
        file
        for app in CENTRAL
        for kind in ("py", "html", "js")
        for file in (ROOT / app).rglob(f"*.{kind}")
    ]
    paths = {str(file.relative_to(ROOT)): file for file in files if "migrations" not in file.parts}
    found = {path for path, file in paths.items() if CARRIERS.search(file.read_text())}
    assert {path for path in found if not path.startswith(FOR_CARRIERS)} == MEANT
