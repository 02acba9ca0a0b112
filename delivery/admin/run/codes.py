"""What the codes beside a message's fate mean: those of the provider, and ours."""

from __future__ import annotations

from campaigns.audience.reasons import EXPLANATIONS, Reason
from campaigns.models import Run
from delivery.providers.registry import PROVIDERS

_MEANINGS = {
    "CREDENTIALS_REFUSED": "The service account was refused. Test the connection and replace its key.",
    "UNREACHABLE": "The provider could not be reached at all. Nothing was sent; it is tried again.",
    "NOT_SENT": "The connection broke before the message left. Nothing was sent; it is tried again.",
    "NO_ANSWER": "The connection broke after the message had left, so nobody knows whether it arrived.",
    "NO_RECEIPT": "Something else answered in the provider's place, such as a proxy's page. Nobody knows whether the "
    "message was passed on.",
    "WORKER_DIED": "The worker stopped between the call and its answer, so nobody knows whether it arrived.",
}

# The same codes of messages that ended with them: nothing tries them again by itself.
_GIVEN_UP = {
    "UNREACHABLE": "The provider could not be reached before the run ended. Nothing was sent.",
    "NOT_SENT": "The connection broke before the message left, and the run ended before another try. Nothing was sent.",
}


def meaning(run: Run, reason: Reason, code: str) -> str:
    """`run` with its connection: the provider's own words win."""
    provider = PROVIDERS.get(run.connection.provider) if run.connection is not None else None
    if not reason.is_waiting and (given_up := {**_GIVEN_UP, **(provider.final_codes if provider else {})}.get(code)):
        return given_up
    return {**_MEANINGS, **(provider.codes if provider else {})}.get(code) or EXPLANATIONS.get(reason, "")
