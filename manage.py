#!/usr/bin/env python3
"""Command line of PushPilot: `manage.py demo`, `worker`, `sandbox`, `migrate` and Django's own."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pushpilot.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
