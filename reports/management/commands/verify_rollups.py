"""`manage.py verify_rollups [slug …]`: recompute every roll-up from the events and compare."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reports.verify import verify_rollups
from tenants.models import Workspace

SHOWN = 20


class Command(BaseCommand):
    help = (
        "Compare every roll-up with the events it stands for. Ends with an error if one number "
        "differs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "slugs", nargs="*", metavar="slug", help="workspaces to verify; none means all of them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = set(options["slugs"])
        workspaces = Workspace.objects.order_by("slug")
        if wanted:
            workspaces = workspaces.filter(slug__in=wanted)
            missing = wanted - set(workspaces.values_list("slug", flat=True))
            if missing:
                raise CommandError(f"There is no workspace {', '.join(sorted(missing))}.")
        wrong = 0
        for workspace in workspaces:
            differences = verify_rollups(workspace)
            wrong += len(differences)
            self.stdout.write(f"{workspace.slug}: {len(differences) or 'no'} differences")
            for difference in differences[:SHOWN]:
                self.stdout.write(f"  {difference}")
        if wrong:
            raise CommandError(f"{wrong} numbers do not match their events.")
