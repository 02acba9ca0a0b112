import pytest

from tests.cast import Cast
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


class Apps(dict[str, App]):
    """One of the cast signs in when a test first asks for that person."""

    def __init__(self, cast: Cast) -> None:
        super().__init__()
        self.cast = cast

    def __missing__(self, name: str) -> App:
        assert name in (*PEOPLE, "outsider"), name
        self[name] = app_of(getattr(self.cast, name))
        return self[name]


@pytest.fixture
def apps(cast: Cast) -> Apps:
    """The cast, each signed in."""
    return Apps(cast)
