"""The API's routes of this layer: connections, tests, notifications and direct messages."""

from __future__ import annotations

from ninja import Router

from delivery.api.connection_routes import router as connections_router
from delivery.api.notification_routes import router as notifications_router
from delivery.api.send_now_routes import router as send_now_router
from delivery.api.trial_routes import router as trials_router

router = Router()
router.add_router("", connections_router)
router.add_router("", trials_router)
router.add_router("", notifications_router)
router.add_router("", send_now_router)
