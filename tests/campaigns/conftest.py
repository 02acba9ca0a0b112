"""People with phones, and a connection, for the tests of the console's pages."""

import pytest

from campaigns.models import Consent, Contact, Endpoint, Template
from tenants.models import Connection
from tenants.scope import every_workspace, scope


@pytest.fixture
def company(cast):
    """Ten people: eight with phones, one of those unsubscribed; and a connection."""
    with scope(cast.workspace):
        Connection.objects.create(
            workspace=cast.workspace, name="Test account", provider="fcm_sandbox", is_active=True
        )
        people = [
            Contact(
                workspace=cast.workspace, external_id=f"user-{n}", country="IN" if n else "DE",
                attributes={"first_name": f"Name{n}", "orders": n, "vip": n == 1, "city": "Pune", "pin": "411001"},
            )
            for n in range(10)
        ]  # fmt: skip
        Contact.objects.bulk_create(people)
        Endpoint.objects.bulk_create(
            Endpoint(
                workspace=cast.workspace,
                contact=person,
                value=f"token-of-{person.external_id}",
                platform="ios",
            )
            for person in people[:8]
        )
        Consent.objects.create(
            workspace=cast.workspace,
            contact=people[7],
            channel="app_push",
            status="opted_out",
            source="app settings",
        )
    return cast


@pytest.fixture
def library(db) -> Template:
    """One template of the global library."""
    with every_workspace():
        return Template.objects.create(
            name="Welcome",
            category="welcome",
            fields={"title": "Welcome, {{ n | default: 'you' }}", "body": "B"},
        )


@pytest.fixture
def own(cast) -> Template:
    with scope(cast.workspace):
        return Template.objects.create(
            workspace=cast.workspace,
            name="Ours",
            category="offer",
            fields={"title": "T", "body": "A line of ours"},
        )


@pytest.fixture
def foreign(cast) -> Template:
    with scope(cast.other_workspace):
        return Template.objects.create(
            workspace=cast.other_workspace,
            name="Secret",
            category="offer",
            fields={"title": "Secret title", "body": "B"},
        )
