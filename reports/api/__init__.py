"""The API's routes of this layer: events in, figures and events out."""

from __future__ import annotations

from ninja import Router

from reports.api import analytics_routes, event_routes

router = Router()
router.add_router("", event_routes.router)
router.add_router("", analytics_routes.router)
