"""The API's routes of this layer: signing in, workspaces and their people."""

from __future__ import annotations

from ninja import Router

from tenants.api import auth, workspaces

router = Router()
router.add_router("/auth", auth.router)
router.add_router("", workspaces.router)
