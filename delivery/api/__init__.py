"""The API's routes of this layer: connections, tests and notifications."""

from __future__ import annotations

from ninja import Router

from delivery.api.connection_routes import router as connections_router
from delivery.api.notification_routes import router as notifications_router
from delivery.api.trial_routes import router as trials_router

router = Router()
router.add_router("", connections_router)
router.add_router("", trials_router)
router.add_router("", notifications_router)
