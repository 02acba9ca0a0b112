"""The API's routes of this layer: devices of contacts, campaigns,
templates."""

from __future__ import annotations

from ninja import Router

from campaigns.api import campaign_routes, device_routes, drafting_routes, template_routes

router = Router()
router.add_router("", device_routes.router)
router.add_router("", campaign_routes.router)
router.add_router("", drafting_routes.router)
router.add_router("", template_routes.router)
