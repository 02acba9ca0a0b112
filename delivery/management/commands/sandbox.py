"""`manage.py sandbox`: phones and Firebase on your own machine."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from delivery.providers.fcm.sandbox import serve


class Command(BaseCommand):
    """Runs the FCM sandbox in the foreground; SIGTERM and Ctrl-C end it cleanly."""

    help = (
        "Run the FCM sandbox: a server that speaks FCM HTTP v1 on this machine and needs no "
        "Firebase project."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen, where to keep the log."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8765)
        parser.add_argument("--data-dir", type=Path, default=Path("var/sandbox"))

    def handle(self, *args: Any, host: str, port: int, data_dir: Path, **options: Any) -> None:
        """Serve until told to stop. Raises CommandError when the port is taken or the folder is
        not writable."""
        self.stdout.write(f"FCM sandbox on http://{host}:{port}, log in {data_dir}")
        try:
            serve(host, port, data_dir)
        except OSError as error:
            raise CommandError(f"the sandbox cannot start on {host}:{port}: {error}") from error
