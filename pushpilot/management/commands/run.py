"""`manage.py run`: web server, worker and sandbox on one machine. In production run them as services of their own."""

from __future__ import annotations

import signal
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from pushpilot.processes import Processes, free_port, stopped_at_the_end, web_command


class Command(BaseCommand):
    help = "Migrates, then runs web server, worker and FCM sandbox until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        sandbox_port = free_port(int(settings.SANDBOX_URL.rpartition(":")[2]))
        environment = {"SANDBOX_URL": f"http://127.0.0.1:{sandbox_port}"}
        processes = Processes(environment, settings.DATA_DIR / "logs")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with stopped_at_the_end(processes):
            data_dir = str(settings.DATA_DIR / "sandbox")
            processes.manage("sandbox", "sandbox", "--port", str(sandbox_port), "--data-dir", data_dir)
            processes.manage("worker", "worker")
            processes.start("web", web_command(options["port"], host=options["host"]))
            logs = settings.DATA_DIR / "logs"
            self.stdout.write(f"PushPilot: {settings.PUBLIC_URL} (logs in {logs}); Ctrl-C stops it.")
            try:
                while True:
                    time.sleep(1)
                    name = processes.ended()
                    if name is not None:
                        raise CommandError(f"The {name} has ended; see {processes.log(name)}.")
            except KeyboardInterrupt:
                self.stdout.write("\nStopping …")
