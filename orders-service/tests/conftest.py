import pytest

from chassis import testing
from orders_service.app import create_app
from orders_service.settings import Settings


@pytest.fixture(scope="session")
def settings(postgres_url):
    # Nobody listens there: the number of a batch is drawn later.
    return testing.migrated(Settings, "orders", postgres_url, sequence_url="http://127.0.0.1:9")


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)
