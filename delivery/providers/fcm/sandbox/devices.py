"""Device tokens that say what happens to them, like a payment sandbox's test cards.

    sbx_ok_…            accepted
    sbx_unregistered_…  404 UNREGISTERED
    sbx_mismatch_…      403 SENDER_ID_MISMATCH
    sbx_invalid_…       400 INVALID_ARGUMENT
    sbx_quota_…         429 with Retry-After: 30
    sbx_unavailable_…   503 UNAVAILABLE
    sbx_internal_…      500 INTERNAL
    sbx_thirdparty_…    401 THIRD_PARTY_AUTH_ERROR
    sbx_flaky_…         503 the first time, then accepted
    sbx_hang_…          not accepted, and never answered
    sbx_lost_…          accepted, and never answered

Any other string of FCM's shape is UNREGISTERED, the rest INVALID_ARGUMENT. The same goes for fids.
"""

import enum
import re

from delivery.providers.fcm.sandbox.replies import fcm_error, invalid_token

QUOTA_RETRY_AFTER_SECS = 30

_SANDBOX_TOKEN = re.compile(r"sbx_([a-z]+)_[A-Za-z0-9_.:=-]{1,200}")
# A registration token: an installation id of about 22 characters, a colon, and a long opaque part.
_FCM_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,64}:[A-Za-z0-9_=-]{100,300}")
_FCM_FID = re.compile(r"[cdef][A-Za-z0-9_-]{21}")

_ERRORS = {
    "unregistered": "UNREGISTERED",
    "mismatch": "SENDER_ID_MISMATCH",
    "unavailable": "UNAVAILABLE",
    "internal": "INTERNAL",
    "thirdparty": "THIRD_PARTY_AUTH_ERROR",
}


class Reception(enum.Enum):
    """How a device receives a message, if it raises no error."""

    ACCEPTED = "accepted"
    HANGS = "hangs"  # not accepted, no answer
    LOST = "lost"  # accepted, no answer: what a crash between send and answer looks like


class Devices:
    """The phones of the world: remembers which were uninstalled and which flaky ones had their
    first failure."""

    def __init__(self, uninstalled: set[tuple[str, str]]) -> None:
        self._uninstalled = uninstalled
        self._flaky_seen: set[tuple[str, str]] = set()

    def uninstall(self, project_id: str, address: str) -> None:
        """From now on the address is UNREGISTERED in this project."""
        self._uninstalled.add((project_id, address))

    def receive(
        self, project_id: str, kind: str, address: str, *, validate_only: bool
    ) -> Reception:
        """How this address receives a message; raises Reply when the device's answer is an
        error."""
        if (project_id, address) in self._uninstalled:
            raise fcm_error("UNREGISTERED")
        found = _SANDBOX_TOKEN.fullmatch(address)
        if found is None:
            known_shape = _FCM_FID
            if kind == "token":
                known_shape = _FCM_TOKEN
            if known_shape.fullmatch(address):
                raise fcm_error("UNREGISTERED")
            raise invalid_token(f"message.{kind}")
        return self._sandbox_device(project_id, kind, address, found[1], validate_only)

    def _sandbox_device(
        self, project_id: str, kind: str, address: str, says: str, validate_only: bool
    ) -> Reception:
        if says in _ERRORS:
            raise fcm_error(_ERRORS[says])
        if says == "quota":
            raise fcm_error("QUOTA_EXCEEDED", retry_after_secs=QUOTA_RETRY_AFTER_SECS)
        if says == "flaky" and not validate_only:
            self._fail_once(project_id, address)
        if says == "hang":
            return Reception.HANGS
        if says == "lost":
            return Reception.LOST
        if says in ("ok", "flaky"):
            return Reception.ACCEPTED
        raise invalid_token(f"message.{kind}")  # sbx_invalid_… and words nobody knows

    def _fail_once(self, project_id: str, address: str) -> None:
        if (project_id, address) not in self._flaky_seen:
            self._flaky_seen.add((project_id, address))
            raise fcm_error("UNAVAILABLE")
