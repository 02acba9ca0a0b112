"""`manage.py demo`: everything for the main job on a fresh machine, then the running product.
Ctrl-C ends it all."""

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
from campaigns.audience.reasons import Reason, words_of
from campaigns.models import Campaign, Run
from delivery.admin.run import figures
from delivery.connections import connect_sandbox
from delivery.engine import installation, record
from pushpilot.demo import Demo, load_library, make_demo, write_campaigns
from pushpilot.history import MARK, add_history
from pushpilot.processes import Processes, stopped_at_the_end
from pushpilot.product import (
    Ports,
    add_port_arguments,
    choose_ports,
    only_product,
    start_product,
    start_sandbox,
    watch,
)
from tenants.scope import scope

BAR = 40
# on a busy machine a worker takes longer than 5 s to start: no reason to worry
LOOK_SECS, QUIET_SECS = 0.2, 12.0
STILL_SECS = 60.0  # without any movement nobody believes that it goes on by itself


class Command(BaseCommand):
    help = (
        "Creates the demo workspace, sends a real campaign through the sandbox and leaves the "
        "product running."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_port_arguments(parser)
        parser.add_argument(
            "--once", action="store_true", help="end after the campaign instead of staying up"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # A shell that starts us in the background has SIGINT ignored. A SIGINT that is sent all the
        # same is meant.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        with only_product("demo") as note:
            ports = choose_ports(options["port"], options["sandbox_port"])
            note(ports.url)
            self.run(ports, is_once=options["once"])

    def run(self, ports: Ports, *, is_once: bool) -> None:
        self.say("Preparing the database …")
        call_command("migrate", verbosity=0)
        if locked := installation.locked_because():
            raise CommandError(locked)
        self.say(
            f"Template library: {load_library()} templates imported from fixtures/templates.csv"
        )
        demo = make_demo()
        # for this process; the children get it by environment
        settings.SANDBOX_URL = ports.sandbox_url
        environment = {"SANDBOX_URL": ports.sandbox_url, "PUBLIC_URL": ports.url}
        processes = Processes(environment, settings.DATA_DIR / "logs")
        with stopped_at_the_end(processes):
            try:
                self.say("Starting the FCM sandbox, the worker and the web server …")
                start_sandbox(processes, ports)
                campaign = self.write(demo)
                start_product(processes, ports)
                self.send(campaign, demo, processes)
                self.welcome(demo, ports.url)
                while not is_once:
                    time.sleep(1)
                    watch(processes)
            except KeyboardInterrupt:
                self.say("\nStopping …")
        self.say("Everything has stopped.")

    def write(self, demo: Demo) -> Campaign:
        """The past first: the list of campaigns begins with what was written last."""
        connection = connect_sandbox(demo.workspace, by=demo.owner)
        if sends := add_history(demo.workspace, connection, demo.story["history"], by=demo.owner):
            self.say(f"History: {sends} sends of the last four weeks, marked “{MARK.strip()}”.")
        return write_campaigns(demo)

    def send(self, campaign: Campaign, demo: Demo, processes: Processes) -> None:
        with scope(demo.workspace):
            run = campaign.runs.exclude(state__in=Run.ENDED_STATES).first()
            if run is None:
                try:
                    run = plan.schedule(campaign, by=demo.owner, now=timezone.now())
                except plan.CannotPlan as error:
                    raise CommandError(f"“{campaign}” cannot be sent: {error}") from error
            # a demo that was stopped half-way may have left it paused
            plan.resume(run, by=demo.owner)
            plan.send_right_away(run, by=demo.owner, now=timezone.now())
            self.say(f"\nSending “{campaign.name}” through the sandbox:")
            patience = Patience()
            while not (run.is_ended and run.finished_at):
                watch(processes)
                run.refresh_from_db()
                if run.state == Run.State.PAUSED:
                    raise CommandError(
                        f"The campaign was paused: {run.last_error or 'somebody pressed Pause'}"
                    )
                self.bar(run)
                if said := patience.look(run):
                    self.say(f"\n  {said}" if self.stdout.isatty() else f"  {said}")
                time.sleep(LOOK_SECS)
            if run.state != Run.State.COMPLETED:
                raise CommandError(
                    f"The campaign did not go out. {run.get_state_display()}: {run.last_error}"
                )
            self.account(run)

    def bar(self, run: Run) -> None:
        live = record.live_tally(run)
        waiting, total = live.get(Reason.PENDING.slug, 0), run.audience_size
        share = 0.0
        if total:
            share = (total - waiting) / total
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
        counted = record.tally(run)
        for slug, number in sorted(counted.items(), key=lambda item: -item[1]):
            label = words_of(Reason[slug.upper()], run.channel).label
            self.say(f"  {'= ' if slug == 'accepted' else '+ '}{label:<26}{number:>8,}")
        difference = (run.audience_size or 0) - sum(counted.values())
        verdict = (
            "the account balances" if difference == 0 else (f"THE ACCOUNT IS OFF BY {difference}")
        )
        self.say(f"  {'':<28}{'─' * 8}\n  {'':<28}{sum(counted.values()):>8,}  {verdict}\n")

    def welcome(self, demo: Demo, url: str) -> None:
        self.say(f"PushPilot is running at  {url}\n")
        people = [*demo.story["people"], {"role": "operator", **demo.story["operator"]}]
        for person in people:
            self.say(f"  {person['role']:<10}{person['email']:<26}{demo.story['password']}")
        self.say(f"\nPhone wall:   {url}{demo.workspace.console_path}campaigns/run/phone-wall/")
        self.say(f"Platform:     {url}/platform/ (operator only)")
        if folder := getattr(settings, "EMAIL_FILE_PATH", None):
            self.say(f"Mails:        {folder} (files; EMAIL_URL names a mail server)")
        self.say("Ctrl-C stops everything.")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


class Patience:
    """Says once what holds a run up, and gives up where nothing moves."""

    def __init__(self) -> None:
        self._since = self._looked = time.monotonic()
        self._where: tuple[object, ...] = ()
        self._said = ""

    def look(self, run: Run) -> str:
        """What is to be said now, "" for nothing. Raises CommandError when only a person can get
        it going again."""
        now = time.monotonic()
        if now - self._looked < 1:
            return ""
        self._looked = now
        if locked := installation.locked_because():
            raise CommandError(locked)
        where = figures.read(run, timezone.now(), may_send=False)
        place = (run.state, run.prepared_to, where.account and where.account.count("waiting"))
        if place != self._where:
            self._where, self._since = place, now
        why = " ".join(
            notice.text for notice in where.notices if notice.tone in ("warning", "danger")
        )
        if now - self._since >= STILL_SECS:
            raise CommandError(
                f"Nothing has moved for {STILL_SECS:.0f} seconds. {why or 'No cause is known.'} "
                f"The log of the worker is {settings.DATA_DIR / 'logs' / 'worker.log'}."
            )
        if not why or why == self._said or now - self._since < QUIET_SECS:
            return ""
        self._said = why
        return why
