"""The API's routes of this layer: events in."""

from __future__ import annotations

from ninja import Router

from reports.api import event_routes

router = Router()
router.add_router("", event_routes.router)
