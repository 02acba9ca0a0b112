"""Reading django-q2's pickles without running what is in them.

A pickle may call any function that it names. This reader names none but the parts of a moment:
what a task of ours is made of are strings, numbers and the time of its creation
(pushpilot.lib.wake).
"""

from __future__ import annotations

import datetime
import io
import pickle
from typing import Any

ALLOWED = {
    "datetime": datetime.datetime,
    "timezone": datetime.timezone,
    "timedelta": datetime.timedelta,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "datetime" and name in ALLOWED:
            return ALLOWED[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not read")


def read_plain(data: bytes) -> object:
    """The value of a pickle of plain values. Raises ValueError for everything else, damaged
    pickles too."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except Exception as error:  # a damaged pickle raises whatever its bytes lead to
        raise ValueError("This is no pickle of plain values.") from error
