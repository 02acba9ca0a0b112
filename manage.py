#!/usr/bin/env python3
"""Command line of PushPilot: `manage.py demo`, `worker`, `sandbox`, `migrate` and Django's own."""

import os
import sys

from pushpilot.startup import run_command

WRITES_SOURCE = {"makemigrations", "makemessages", "startapp", "collectstatic"}

if __name__ == "__main__":
    if not WRITES_SOURCE.intersection(sys.argv[1:2]):
        os.umask(0o077)  # secrets, mails and logs are for the user that runs it
    run_command(sys.argv)
