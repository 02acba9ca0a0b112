"""`python -m pushpilot.cluster`: the q2 cluster that the watchdog of `manage.py worker` starts.

The watchdog holds one end of the shutdown pipe (delivery.engine.heartbeat.is_stopping). When it
closes that end, or dies, the cluster ends in order, and after STOP_SECS by force. So nothing of
a worker outlives it. Below the parent each process dies with the one that made it: q2 leaves
orphans when its sentinel is killed, and they would take more tasks.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from pushpilot.lib.compat.q2 import free_results
from pushpilot.processes import die_with

STOP_SECS = 28  # the last answers may take 15; a stop must not take more than 30
_forking = 0


def main() -> int:
    """Returns 0 after an end in order, 1 if the sentinel died."""
    import django

    from pushpilot.startup import read_settings

    read_settings()
    django.setup()
    from django_q import cluster as q2

    from delivery.engine import heartbeat

    class Sentinel(q2.Sentinel):
        def reincarnate(self, process: Any) -> None:
            if process == self.monitor:
                free_results(self)
            super().reincarnate(process)

    q2.Sentinel = Sentinel
    if sys.platform == "linux":
        os.register_at_fork(before=_remember, after_in_child=_die_with_parent)
    signal.signal(signal.SIGALRM, _end_by_force)
    cluster = q2.Cluster()
    cluster.start()
    while cluster.sentinel.is_alive():
        if heartbeat.is_stopping():
            signal.alarm(STOP_SECS)
            cluster.stop()
        else:
            time.sleep(0.2)
    if cluster.sentinel.exitcode == 0:
        return 0
    return 1


def _end_by_force(number: int, frame: Any) -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _remember() -> None:
    global _forking
    _forking = os.getpid()


def _die_with_parent() -> None:
    die_with(_forking, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
