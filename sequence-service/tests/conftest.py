import pytest
from sequence_service.app import create_app
from sequence_service.settings import Settings

from chassis import testing


@pytest.fixture(scope="session")
def settings(postgres_url):
    return testing.migrated(Settings, "sequence", postgres_url)


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)
