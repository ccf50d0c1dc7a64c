import pytest

from chassis import testing
from event_service.app import create_app
from event_service.settings import Settings


@pytest.fixture(scope="session")
def settings(postgres_url):
    return testing.migrated(Settings, "event", postgres_url)


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)
