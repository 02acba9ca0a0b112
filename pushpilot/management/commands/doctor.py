"""`manage.py doctor`: is everything working, and what to do where it is not."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from pushpilot import health
from pushpilot.lib.health import Status


class Command(BaseCommand):
    help = "Says what works and what does not, in sentences. Ends with 1 if something is broken."
    requires_system_checks: list[str] = []  # what they find must not hide the rest

    def handle(self, *args: Any, **options: Any) -> None:
        paint = {
            Status.OK: self.style.SUCCESS,
            Status.WARNING: self.style.WARNING,
            Status.BROKEN: self.style.ERROR,
        }
        lines = list(health.report(timezone.now()).values())
        for line in lines:
            self.stdout.write(
                f"{paint[line.status](f'{line.status:<8}')}{line.title:<12}{line.says}"
            )
            if line.todo:
                self.stdout.write(f"{'':<20}→ {line.todo}")
        broken = [line.title for line in lines if line.status == Status.BROKEN]
        if broken:
            self.stdout.write(self.style.ERROR(f"\nBroken: {', '.join(broken)}."))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"\nPushPilot {health.version()} works."))
