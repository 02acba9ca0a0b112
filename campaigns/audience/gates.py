"""The gates: everything that keeps a recipient from being sent to, each once, in the order in
which they are asked.

The forecast and the preparation of a run ask them of contacts (audience.selection); the last
look before the send asks them of the ledger's rows (delivery.engine.dispatch). The first gate
that stops a recipient gives the reason. A new gate is a line in GATES, and a Reason if none
fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db.models import Case, Exists, Q, SmallIntegerField, Value, When

from campaigns.audience.reasons import Reason
from campaigns.contacts import consent


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query of recipients looks like to a gate. The relation `reached` is the recipient's
    endpoint on the channel, NULL without one."""

    channel: str
    # of a message that people need, whatever they have said about offers
    is_transactional: bool = False
    # before a field of the contact: "" in a query of contacts, "contact__" in one of the ledger
    contact: str = ""

    def of_contact(self, field: str) -> str:
        """The path to a field of the contact."""
        return f"{self.contact}{field}"


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """`stops`: the condition under which a recipient is not sent to. `of_marketing`: it is not
    asked of transactional messages."""

    reason: Reason
    stops: Callable[[Asked], Q | Exists]
    at_launch: bool = True  # asked when the audience is forecast and fixed
    at_dispatch: bool = True  # asked again immediately before the send
    of_marketing: bool = False


def _unsubscribed(asked: Asked) -> Exists:
    return consent.opted_out(asked.channel, contact=asked.of_contact("pk"))


def _has_no_endpoint(asked: Asked) -> Q:
    return Q(reached__isnull=True)


def _is_inactive(asked: Asked) -> Q:
    return Q(reached__is_active=False)


def _is_not_opted_in(asked: Asked) -> Q:
    return Q(reached__opted_in=False)


GATES: tuple[Gate, ...] = (
    Gate(Reason.UNSUBSCRIBED, _unsubscribed, of_marketing=True),
    Gate(Reason.NO_ENDPOINT, _has_no_endpoint, at_dispatch=False),
    # A recipient of the ledger had an endpoint when the audience was fixed; since then it was
    # deleted or moved.
    Gate(Reason.LEFT_AUDIENCE, _has_no_endpoint, at_launch=False),
    Gate(Reason.ENDPOINT_INACTIVE, _is_inactive),
    Gate(Reason.NOT_OPTED_IN, _is_not_opted_in, of_marketing=True),
)


def at_launch(channel: str, *, is_transactional: bool = False) -> Case:
    """For a query of contacts: the reason of the first gate that stops the recipient, PENDING if
    none does."""
    asked = Asked(channel, is_transactional)
    return _first_stop(asked, (gate for gate in GATES if gate.at_launch))


def at_dispatch(channel: str, *, is_transactional: bool = False) -> Case:
    """The same for a query of rows with a `contact`, such as the ledger, immediately before the
    send."""
    asked = Asked(channel, is_transactional, "contact__")
    return _first_stop(asked, (gate for gate in GATES if gate.at_dispatch))


def _first_stop(asked: Asked, gates: Iterable[Gate]) -> Case:
    stops = [
        When(gate.stops(asked), then=Value(gate.reason))
        for gate in gates
        if not (gate.of_marketing and asked.is_transactional)
    ]
    return Case(*stops, default=Value(Reason.PENDING), output_field=SmallIntegerField())
