"""`manage.py sandbox_devices`: the sandbox's devices report what arrives on them. `demo` and
`run` start it."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from delivery.providers import registry
from delivery.providers.base import SandboxSilent
from reports import sandbox_devices
from tenants.models import Connection
from tenants.scope import every_workspace

EVERY_SECS = 1.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Lets the devices of the sandbox report each message that arrives, as an app's SDK does."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        places = Places(Path(settings.DATA_DIR) / "sandbox" / "reported.json")
        trouble = ""
        while not stop.is_set():
            try:
                said = "The sandbox is silent"
                if self.round(places, stop):
                    said = ""
            except DatabaseError as error:
                said = f"The database does not answer: {error}".splitlines()[0]
            if said and said != trouble:
                logger.warning("%s; the devices wait.", said)
            trouble = said
            close_old_connections()
            stop.wait(EVERY_SECS)

    def round(self, places: Places, stop: threading.Event) -> bool:
        """Report what has arrived, in each workspace that sends through a sandbox. False if a
        log cannot be read."""
        with every_workspace():
            own = [sandbox.key for sandbox in registry.sandboxes()]
            sandboxes = Connection.objects.filter(is_active=True, provider__in=own)
            connections = list(sandboxes.select_related("workspace"))
        silent = 0
        for connection in connections:
            try:
                self.catch_up(connection, places, stop)
            except SandboxSilent:
                silent += 1
        return not silent

    def catch_up(self, connection: Connection, places: Places, stop: threading.Event) -> None:
        """Report all that has arrived in one workspace. Raises SandboxSilent."""
        is_full = True
        while is_full and not stop.is_set():
            page = sandbox_devices.report(
                connection, after=places.of(connection), now=timezone.now()
            )
            places.keep(connection, page.last)
            is_full = page.is_full


class Places:
    """How far each sandbox's log has been reported, kept in a file: what is reported again
    counts once, but costs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._places = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError):
            self._places = {}

    def of(self, connection: Connection) -> int:
        return self._places.get(str(connection.pk), 0)

    def keep(self, connection: Connection, place: int) -> None:
        if self._places.get(str(connection.pk)) == place:
            return
        self._places[str(connection.pk)] = place
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(msgspec.json.encode(self._places))
