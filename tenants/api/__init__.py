"""The API's routes of this layer: signing in, workspaces and their people."""

from __future__ import annotations

from ninja import Router

from tenants.api import account_routes, auth, passkey_routes, workspaces

router = Router()
router.add_router("/auth", auth.router)
router.add_router("/auth", account_routes.router)
router.add_router("/auth", passkey_routes.router)
router.add_router("", workspaces.router)
