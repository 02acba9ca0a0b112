"""What the routes that send a test share: the answer, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _
from ninja import Schema
from pydantic import Field

from delivery.providers.base import ProviderUnreachable
from delivery.trial import CannotTest, Result, TooManyTests, Trial
from pushpilot.lib.problems import Problem
from tenants.api.errors import by_the_rules

TRY_AGAIN = {"Retry-After": "30"}


class TestResult(Schema):
    """What became of the message to one device."""

    device: str = Field(description="The platform and the end of the address.")
    contact: str = Field(description="The external id; empty for an address that nobody has.")
    result: Result = Field(
        description="`accepted`: the provider took the message. `refused`: certain, it did not "
        "arrive. `unknown`: it may have arrived. `skipped`: the provider was not asked."
    )
    code: str = Field(description="The provider's own word, or why it was skipped.")
    message: str = Field(description="The same in words.")
    provider_id: str = Field(description="The provider's id of an accepted message.")
    provider_message: str = Field(description="What the provider said of a refusal.")


def told(made: Trial) -> list[dict[str, Any]]:
    return [
        {
            "device": one.device,
            "contact": one.contact,
            "result": one.result,
            "code": one.code,
            "message": one.words,
            "provider_id": one.provider_id,
            "provider_message": one.said,
        }
        for one in made.answers
    ]


def check_sent(made: Trial) -> None:
    """Raises Problem 409 if everybody was skipped."""
    if made.was_sent:
        return
    detail = _("Nothing was sent. %(reason)s") % {"reason": made.answers[0].words}
    raise Problem(409, "not_sent", detail, results=told(made))


@contextmanager
def refusals_of_tests(names: Mapping[str, str]) -> Iterator[None]:
    """`names`: what the route calls the fields of delivery.trial_devices.To."""
    try:
        with by_the_rules(names):
            yield
    except TooManyTests as error:
        headers = {"Retry-After": str(error.wait_secs)}
        raise Problem(429, "too_many_requests", str(error), headers=headers) from error
    except CannotTest as error:
        raise Problem(409, error.code, str(error)) from error
    except ProviderUnreachable as error:
        raise unreachable(error) from error


def unreachable(error: ProviderUnreachable) -> Problem:
    return Problem(503, "provider_unreachable", str(error), headers=TRY_AGAIN)
