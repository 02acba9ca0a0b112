import pytest

from tests.tenants.api.app import App
from tests.tenants.api.calls import PEOPLE, app_of
from tests.tenants.identity.people import account


@pytest.fixture
def asha(db):
    """Has an account with a confirmed address, and is in no workspace."""
    return account()


@pytest.fixture
def app(db) -> App:
    """Nobody is signed in."""
    return App()


@pytest.fixture
def ashas(asha) -> App:
    return App().sign_in(asha.email)


@pytest.fixture
def apps(cast) -> dict[str, App]:
    """The cast, each signed in."""
    return {name: app_of(getattr(cast, name)) for name in (*PEOPLE, "outsider")}
