"""`manage.py demo`: everything for the main job on a fresh machine, then the running product. Ctrl-C ends it all."""

from __future__ import annotations

import signal
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from campaigns import plan
from campaigns.models import Run
from campaigns.reasons import Reason
from delivery import record
from delivery.connections import connect_sandbox
from pushpilot.demo import Demo, load_library, make_demo
from pushpilot.processes import Processes, free_port, only_one, stopped_at_the_end, wait_for, web_command
from tenants.scope import scope

BAR = 40


class Command(BaseCommand):
    help = "Creates the demo workspace, sends a real campaign through the sandbox and leaves the product running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--sandbox-port", type=int, default=8765)
        parser.add_argument("--once", action="store_true", help="end after the campaign instead of staying up")

    def handle(self, *args: Any, **options: Any) -> None:
        # A shell that starts us in the background has SIGINT ignored; whoever sends it still means it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        with only_one(settings.DATA_DIR / "demo.lock") as is_first:
            if not is_first:
                # Two would share the database but not the sandbox: each would send through a key the other made.
                raise CommandError("A demo is already running on this folder. Use its address, or stop it first.")
            self.run(**options)

    def run(self, **options: Any) -> None:
        self.say("Preparing the database …")
        call_command("migrate", verbosity=0)
        self.say(f"Template library: {load_library()} templates imported from fixtures/templates.csv")
        demo = make_demo()
        port, sandbox_port = free_port(options["port"]), free_port(options["sandbox_port"])
        url, sandbox_url = f"http://localhost:{port}", f"http://127.0.0.1:{sandbox_port}"
        settings.SANDBOX_URL = sandbox_url  # for this process; the children get it by environment
        processes = Processes({"SANDBOX_URL": sandbox_url, "PUBLIC_URL": url}, settings.DATA_DIR / "logs")
        with stopped_at_the_end(processes):
            try:
                self.start(processes, port, sandbox_port)
                self.send(demo, processes)
                self.welcome(demo, url)
                while not options["once"]:
                    time.sleep(1)
                    self.watch(processes)
            except KeyboardInterrupt:
                self.say("\nStopping …")
        self.say("Everything has stopped.")

    def start(self, processes: Processes, port: int, sandbox_port: int) -> None:
        self.say("Starting the FCM sandbox, the worker and the web server …")
        data_dir = settings.DATA_DIR / "sandbox"
        processes.manage("sandbox", "sandbox", "--port", str(sandbox_port), "--data-dir", str(data_dir))
        processes.manage("worker", "worker")
        processes.start("web", web_command(port))
        for name, address in (
            ("sandbox", f"http://127.0.0.1:{sandbox_port}/sandbox/health"),
            ("web", f"http://127.0.0.1:{port}/healthz"),
        ):
            if not wait_for(address, within_secs=60):
                raise CommandError(f"The {name} did not start; see {processes.log(name)}.")

    def send(self, demo: Demo, processes: Processes) -> None:
        connect_sandbox(demo.workspace, by=demo.owner)
        with scope(demo.workspace):
            demo.campaign.refresh_from_db()
            run = demo.campaign.runs.exclude(state__in=Run.ENDED_STATES).first()
            if run is None:
                run = plan.schedule(demo.campaign, by=demo.owner, now=timezone.now())
            plan.resume(run, by=demo.owner)  # a demo that was stopped half-way may have left it paused
            plan.send_right_away(run, by=demo.owner, now=timezone.now())
            self.say(f"\nSending “{demo.campaign.name}” through the sandbox:")
            while not (run.is_ended and run.finished_at):
                self.watch(processes)
                run.refresh_from_db()
                if run.state == Run.State.PAUSED:
                    raise CommandError(f"The campaign was paused: {run.last_error or 'somebody pressed Pause'}")
                self.bar(run)
                time.sleep(0.2)
            self.account(run)

    def bar(self, run: Run) -> None:
        live = record.live_account(run)
        waiting, total = live.get(Reason.PENDING.slug, 0), run.audience_size
        share = (total - waiting) / total if total else 0.0
        filled = "█" * int(share * BAR)
        text = f"  {filled:░<{BAR}} {share:4.0%}  {run.get_state_display():<24}"
        if run.finished_at:
            self.say(f"\r{text}" if self.stdout.isatty() else text)
        elif self.stdout.isatty():
            self.stdout.write(f"\r{text}", ending="")
            self.stdout.flush()

    def account(self, run: Run) -> None:
        """Audience = accepted + each reason, counted from the ledger."""
        self.say(f"\n  {'audience':<28}{run.audience_size:>8,}")
        counted = record.account(run)
        for slug, number in sorted(counted.items(), key=lambda item: -item[1]):
            self.say(f"  {'= ' if slug == 'accepted' else '+ '}{Reason[slug.upper()].label:<26}{number:>8,}")
        difference = (run.audience_size or 0) - sum(counted.values())
        verdict = "the account balances" if difference == 0 else f"THE ACCOUNT IS OFF BY {difference}"
        self.say(f"  {'':<28}{'─' * 8}\n  {'':<28}{sum(counted.values()):>8,}  {verdict}\n")

    def welcome(self, demo: Demo, url: str) -> None:
        self.say(f"PushPilot is running at  {url}\n")
        people = [*demo.story["people"], {"role": "operator", **demo.story["operator"]}]
        for person in people:
            self.say(f"  {person['role']:<10}{person['email']:<26}{demo.story['password']}")
        self.say(f"\nPhone wall:   {url}{demo.workspace.console_path}campaigns/run/phone-wall/")
        self.say(f"Platform:     {url}/platform/ (operator only)\nCtrl-C stops everything.")

    def watch(self, processes: Processes) -> None:
        name = processes.ended()
        if name is not None:
            raise CommandError(f"The {name} has ended unexpectedly; see {processes.log(name)}.")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
