"""`manage.py rotate_secrets`: every stored secret under the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pushpilot.lib.display import counted
from tenants.rotation import rotate


class Command(BaseCommand):
    """Ends with 1 if a secret is unreadable; with --check also if one waits for its rotation."""

    help = (
        "Encrypts provider credentials, authenticator secrets and recovery codes with the "
        "first of ENCRYPTION_KEYS."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="only count; ends with 1 unless all are under the first key",
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        found = rotate(dry_run=check)
        for where in found.unreadable:
            self.stderr.write(f"{where} cannot be decrypted.")
        moved = f"{found.moved:,} {'to move' if check else 'moved'}"
        self.stdout.write(f"Under the first key: {found.current:,} already, {moved}.")
        if found.unreadable:
            raise CommandError(
                f"No key fits {counted(len(found.unreadable), 'secret')}. Put the key that "
                "encrypted them back into ENCRYPTION_KEYS, after the current one; or enter them "
                "again."
            )
        if check and found.moved:
            raise CommandError(
                "Run manage.py rotate_secrets before you remove a key from ENCRYPTION_KEYS."
            )
