"""Fixtures of the checks of conventions."""

import pytest

from quintet_e2e.checkout import all_services


@pytest.fixture(params=all_services(), ids=lambda service: service.word, scope="session")
def service(request):
    """Each service of this checkout."""
    return request.param


@pytest.fixture(scope="session")
def words():
    return [service.word for service in all_services()]
