import pytest

from tenants import keys
from tests.cast import Cast
from tests.tenants.api.app import App, key_of

SCOPES = (keys.CAMPAIGNS_READ, keys.CAMPAIGNS_WRITE, keys.CAMPAIGNS_SEND)


def backend_of(cast: Cast, *scopes: str) -> App:
    """A server with a secret key of the cast's workspace."""
    key = key_of(cast.workspace, by=cast.owner, name="Backend", scopes=list(scopes))
    return App(f"Bearer {key}")


@pytest.fixture
def backend(company) -> App:
    """May do all that a key can do to campaigns; its workspace has people and a connection."""
    return backend_of(company, *SCOPES)
