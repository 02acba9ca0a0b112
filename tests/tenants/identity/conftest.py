import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _no_rate_limits_from_other_tests():
    cache.clear()
