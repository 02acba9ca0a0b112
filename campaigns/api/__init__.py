"""The API's routes of this layer: devices of contacts."""

from __future__ import annotations

from ninja import Router

from campaigns.api import device_routes

router = Router()
router.add_router("", device_routes.router)
