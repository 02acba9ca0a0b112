"""`python -m tests.mutants.host`: a process that has Django loaded and tries faults in forks of
itself, which spares each of them the start.

Reads one JSON object a line, {file, source, tests, timeout}, executes the source once more in the
module of that file, runs the tests and answers {code, failed}: pytest's exit code and the first
test that failed. What another module has imported from the file by name stays as it was, so a
fault that survives here has still to be tried in a process of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import django
import pytest

TIMED_OUT = -1
OPTIONS = ("-x", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:schemathesis")
_LOADED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # some plugins are imported already


def first_failed(output: str) -> str:
    """The failed test that pytest names first, without its parameters, which may
    hold spaces; "" if none did."""
    found = re.search(r"^(?:FAILED|ERROR) ([^\s[]+)", output, re.MULTILINE)
    return found[1] if found else ""


def attempt(file: str, source: str, tests: list[str], timeout: int) -> tuple[int, str]:
    """(pytest's exit code or TIMED_OUT, the first test that failed) in a fork of this process."""
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            os.setsid()  # with what the tests start, a group that can be ended together
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            signal.alarm(timeout)
            module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
            try:
                exec(compile(source, str(Path(file).resolve()), "exec"), module.__dict__)
                os._exit(int(pytest.main([*OPTIONS, *_LOADED, *tests])))
            finally:  # the module cannot be executed: that is seen too
                os._exit(int(pytest.ExitCode.INTERRUPTED))
        _, status = os.waitpid(pid, 0)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        output.seek(0)
        failed = first_failed(output.read().decode(errors="replace"))
    code = os.waitstatus_to_exitcode(status)
    return (TIMED_OUT if code == -signal.SIGALRM else code), failed


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "pushpilot.settings"
    django.setup()
    importlib.import_module("pushpilot.urls")
    for line in sys.stdin:
        code, failed = attempt(**json.loads(line))
        sys.stdout.write(json.dumps({"code": code, "failed": failed}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
