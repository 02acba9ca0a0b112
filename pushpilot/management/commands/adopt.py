"""`manage.py adopt`: this machine may send from this database (see
delivery.engine.installation)."""

from __future__ import annotations

from getpass import getuser
from typing import Any

from django.core.management.base import BaseCommand

from delivery.engine import installation
from pushpilot.lib.display import counted


class Command(BaseCommand):
    help = (
        "Unlocks sending after a backup was restored or a database was copied here. Runs under "
        "way are paused."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        paused = installation.adopt(by=getuser())
        self.stdout.write(self.style.SUCCESS("This database is this machine's now."))
        if paused:
            self.stdout.write(
                f"{counted(paused, 'run')} under way paused: look at each, then "
                "resume or cancel it."
            )
