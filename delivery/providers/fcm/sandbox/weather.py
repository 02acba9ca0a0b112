"""The sandbox's weather: how slowly it answers, what fails, and storms that come and go. The
dice are rolled for every valid message before anything is accepted; `counts` says afterwards
what they did."""

import random
import time
from collections import Counter

import msgspec

from delivery.providers.fcm.sandbox.devices import Reception
from delivery.providers.fcm.sandbox.replies import CODES, Reply, fcm_error

HANG = "HANG"
LONGEST_SECS = 3600


class Storm(msgspec.Struct, forbid_unknown_fields=True):
    """For `secs` from now, and again every `every_secs` (0: once), `share` of the messages get
    `what`.

    `what` is an error code, or HANG: no answer, ever. With `accepts` the message is accepted all
    the same, as behind a proxy that gave up waiting. `retry_after_secs` is sent along with an
    error if it is not 0.
    """

    what: str
    secs: float
    share: float = 1.0
    every_secs: float = 0.0
    retry_after_secs: int = 0
    accepts: bool = False

    def problem(self) -> str:
        """What is wrong with this storm, or nothing."""
        if self.what not in CODES and self.what != HANG:
            return (
                f"storms: what must be {HANG} or one of {', '.join(sorted(CODES))}, not "
                f"{self.what[:40]!r}"
            )
        if not 0 < self.share <= 1:
            return "storms: share must be more than 0 and at most 1"
        if not 0 < self.secs <= LONGEST_SECS or not 0 <= self.every_secs <= LONGEST_SECS:
            return (
                "storms: secs must be more than 0, every_secs at least 0, and both at most "
                f"{LONGEST_SECS}"
            )
        if not 0 <= self.retry_after_secs <= LONGEST_SECS:
            return f"storms: retry_after_secs must be from 0 to {LONGEST_SECS}"
        return ""

    def blows(self, since_secs: float) -> bool:
        """Whether it blows `since_secs` after it was set."""
        return (since_secs % self.every_secs if self.every_secs else since_secs) < self.secs


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """How the sandbox behaves: latency bounds in ms, the share of messages that fail by error
    code, and storms."""

    latency_ms: tuple[float, float] = (0.0, 0.0)
    rates: dict[str, float] = {}
    storms: tuple[Storm, ...] = ()

    def problem(self) -> str:
        """What is wrong with these settings, or nothing."""
        low, high = self.latency_ms
        if not 0 <= low <= high <= 60_000:
            return "latency_ms must be [low, high] with 0 <= low <= high <= 60000"
        unknown = sorted(set(self.rates) - CODES)
        if unknown:
            return f"rates: {unknown[0]!r} is not one of {', '.join(sorted(CODES))}"
        if (
            any(not 0 <= share <= 1 for share in self.rates.values())
            or sum(self.rates.values()) > 1
        ):
            return "rates must be between 0 and 1, and not more than 1 together"
        if len(self.storms) > 20:
            return "storms: at most 20 at a time"
        return next((problem for storm in self.storms if (problem := storm.problem())), "")


class Weather:
    """What happens to the next message. One instance for the sandbox; not thread-safe."""

    def __init__(self) -> None:
        self.settings = Settings()
        self._since = time.monotonic()
        # {error code or HANG, with "+accepted" behind it if the message was accepted: messages}
        self.counts: Counter[str] = Counter()

    def change(self, settings: Settings) -> None:
        """From now on; storms begin now."""
        self.settings, self._since = settings, time.monotonic()

    def latency_secs(self) -> float:
        low, high = self.settings.latency_ms
        return random.uniform(low, high) / 1000 if high else 0.0  # noqa: S311 (weather, not secrets)

    def strike(self) -> tuple[Reception, Reply | None] | None:
        """None: the sun shines. Else what becomes of the message, and the answer if it gets one."""
        dice = random.random() if self.settings.rates else 1.0  # noqa: S311 (weather, not secrets)
        for code, share in self.settings.rates.items():
            dice -= share
            if dice < 0:
                return self._hit(
                    Storm(code, secs=1, retry_after_secs=1 if code == "QUOTA_EXCEEDED" else 0)
                )
        since_secs = time.monotonic() - self._since
        for storm in self.settings.storms:
            if storm.blows(since_secs) and random.random() < storm.share:  # noqa: S311 (weather, not secrets)
                return self._hit(storm)
        return None

    def _hit(self, storm: Storm) -> tuple[Reception, Reply | None]:
        self.counts[f"{storm.what}+accepted" if storm.accepts else storm.what] += 1
        reception = Reception.LOST if storm.accepts else Reception.HANGS
        if storm.what == HANG:
            return reception, None
        return reception, fcm_error(storm.what, retry_after_secs=storm.retry_after_secs)
