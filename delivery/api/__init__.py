"""The API's routes of this layer."""

from __future__ import annotations

from ninja import Router

router = Router()
