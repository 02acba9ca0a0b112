#!/usr/bin/env python3
"""Command line of PushPilot: `manage.py demo`, `worker`, `sandbox`, `migrate` and Django's own."""

import os
import sys

WRITES_SOURCE = {"makemigrations", "makemessages", "startapp", "collectstatic"}


def main() -> None:
    if not WRITES_SOURCE.intersection(sys.argv[1:2]):
        os.umask(0o077)  # secrets, mails and logs are for the user that runs it
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pushpilot.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
