"""The console's pages of this layer."""

from campaigns.models import Run
from delivery.admin.connections import ConnectionAdmin
from delivery.admin.run.notices import obstacle
from delivery.admin.run.page import RunAdmin
from delivery.admin.slots import MESSAGE_STATES, RUN_PANELS
from tenants.models import Connection

__all__ = ["MESSAGE_STATES", "PAGES", "RUN_PANELS", "obstacle"]

PAGES = {Run: RunAdmin, Connection: ConnectionAdmin}
