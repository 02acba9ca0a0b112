"""What verbs refuse, as problems of the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.core.exceptions import ValidationError

from pushpilot.lib.problems import Problem, invalid_fields
from tenants import limits


@contextmanager
def by_the_rules(names: Mapping[str, str] | None = None) -> Iterator[None]:
    """422 for what is wrong with a field, 409 for what a rule of the workspace forbids, 429 for
    what was enough for today. `names`: {field of the verb: what the route calls it}."""
    try:
        yield
    except limits.TooMany as error:
        headers = {"Retry-After": str(error.retry_after_secs)}
        raise Problem(429, "too_many_requests", error.messages[0], headers=headers) from error
    except ValidationError as error:
        if not hasattr(error, "error_dict"):
            raise Problem(409, "refused", error.messages[0]) from error
        called = names or {}
        found = {called.get(name, name): faults for name, faults in error.error_dict.items()}
        raise invalid_fields(found) from error
