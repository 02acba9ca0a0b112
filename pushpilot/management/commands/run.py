"""`manage.py run`: web server, worker and sandbox on one machine. In production run them as
services of their own."""

from __future__ import annotations

import signal
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from delivery.engine import installation
from pushpilot.lib import env
from pushpilot.processes import Processes, stopped_at_the_end
from pushpilot.product import (
    add_port_arguments,
    choose_ports,
    only_product,
    start_product,
    start_sandbox,
    watch,
)


class Command(BaseCommand):
    help = "Migrates, then runs web server, worker and FCM sandbox until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
        add_port_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        with only_product("run") as note:
            ports = choose_ports(options["port"], options["sandbox_port"], host=options["host"])
            note(ports.url)
            call_command("migrate", verbosity=0)
            public = env.text("PUBLIC_URL") or ports.url
            processes = Processes(
                {"SANDBOX_URL": ports.sandbox_url, "PUBLIC_URL": public}, settings.DATA_DIR / "logs"
            )
            with stopped_at_the_end(processes):
                try:
                    start_sandbox(processes, ports)
                    start_product(processes, ports)
                    self.welcome(ports.url, public)
                    while True:
                        time.sleep(1)
                        watch(processes)
                except KeyboardInterrupt:
                    self.stdout.write("\nStopping …")

    def welcome(self, url: str, public: str) -> None:
        if locked := installation.locked_because():
            self.stderr.write(self.style.WARNING(locked))
        self.stdout.write(f"PushPilot is running at  {url}")
        if public != url:
            self.stdout.write(f"Its links lead to        {public}  (PUBLIC_URL)")
        self.stdout.write(
            f"Logs:                    {settings.DATA_DIR / 'logs'}\nCtrl-C stops everything."
        )
        self.stdout.flush()
