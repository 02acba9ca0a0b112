"""What the codes beside a reason mean, in words."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

from campaigns.audience.reasons import Reason, words_of
from campaigns.models import Run
from delivery.providers.registry import PROVIDERS
from pushpilot.lib.display import Words

_MEANINGS: dict[str, Words] = {
    "CREDENTIALS_REFUSED": gettext_lazy(
        "The provider refused the credentials. Test the connection and replace its key."
    ),
    "UNREACHABLE": gettext_lazy(
        "The provider could not be reached. The message was not sent. PushPilot tries again."
    ),
    "NOT_SENT": gettext_lazy(
        "The network connection broke before the message left. The message was not sent. "
        "PushPilot tries again."
    ),
    "NO_ANSWER": gettext_lazy(
        "The network connection broke after the message had left. The message may have arrived."
    ),
    "NO_RECEIPT": gettext_lazy(
        "Another server answered in the place of the provider, such as a proxy. The message may "
        "have arrived."
    ),
    "WORKER_DIED": gettext_lazy(
        "The worker stopped before the provider answered. The message may have arrived."
    ),
}

# The same codes of messages that ended with them: nothing tries them again by itself.
_GIVEN_UP: dict[str, Words] = {
    "UNREACHABLE": gettext_lazy(
        "The provider could not be reached before the send ended. The message was not sent."
    ),
    "NOT_SENT": gettext_lazy(
        "The network connection broke before the message left, and the send ended before another "
        "try. The message was not sent."
    ),
}


def meaning(run: Run, reason: Reason, code: str) -> str:
    """`run` with its connection: the provider's own words win."""
    codes, final_codes = {**_MEANINGS}, {**_GIVEN_UP}
    if run.connection is not None and (provider := PROVIDERS.get(run.connection.provider)):
        codes |= provider.codes
        final_codes |= provider.final_codes
    if not reason.is_waiting and (given_up := final_codes.get(code)):
        return str(given_up)
    known = codes.get(code)
    return str(known or words_of(reason, run.channel).explanation)
