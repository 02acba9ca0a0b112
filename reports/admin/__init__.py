"""The console's pages of this layer."""

from reports.admin.events import EventAdmin
from reports.models import Event

PAGES = {Event: EventAdmin}
