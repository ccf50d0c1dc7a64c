"""Fixtures of the convention checks."""

import pytest

from quintet_e2e.checkout import all_services


@pytest.fixture(params=all_services(), ids=lambda service: service.name, scope="session")
def service(request):
    """Return one service of this checkout; the test runs once for each."""
    return request.param


@pytest.fixture(scope="session")
def service_names():
    return [service.name for service in all_services()]
