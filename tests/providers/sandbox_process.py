"""`python -m tests.providers.sandbox_process`: the sandbox, which gives out eight keys in turn.

Making a key costs 100 ms and reading it 40, for each test with a connection. Two that follow
each other differ.
"""

import itertools
import runpy
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

KEYS = 8
make = rsa.generate_private_key
made: list[rsa.RSAPrivateKey] = []
turns = itertools.count()


def in_turn(**options: Any) -> rsa.RSAPrivateKey:
    turn = next(turns)
    if turn < KEYS:
        made.append(make(**options))
    return made[turn % len(made)]


rsa.generate_private_key = in_turn
runpy.run_module("delivery.providers.fcm.sandbox", run_name="__main__")
