import pytest

from quintet_testing import plugin as testing
from sequence_service.app import create_app
from sequence_service.settings import Settings


@pytest.fixture(scope="session")
def settings(postgres_url):
    return testing.migrated(Settings, "sequence", postgres_url)


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)
