"""The two tenants of the matrix."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.cast import Cast
from tests.house.matrix.world import World, make_world


@pytest.fixture
def world(cast: Cast, settings: object) -> Iterator[World]:
    """Thousands of refusals are meant; their warnings would bury a failure's message."""
    settings.SANDBOX_URL = "http://127.0.0.1:9"  # type: ignore[attr-defined]
    logging.disable(logging.CRITICAL)
    yield make_world(cast)
    logging.disable(logging.NOTSET)
