"""Fixtures for the tests of the chassis: a small probe service and its Postgres."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from chassis.runtime import logs
from chassis.runtime.config import ServiceSettings
from quintet_testing import plugin as testing
from quintet_testing.postgres import TemporaryPostgres

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session", autouse=True)
def _json_logs() -> None:
    logs.configure("probe", "debug")


@pytest.fixture
def logged() -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Yield a function that returns the fields of each line that was logged for an event, at any level."""
    processors = structlog.processors
    add_fields = [structlog.contextvars.merge_contextvars, processors.add_log_level, processors.format_exc_info]
    with structlog.testing.capture_logs(add_fields) as lines:
        yield lambda event: [dict(fields) for fields in lines if fields["event"] == event]


@pytest.fixture(scope="session")
def settings(postgres_url: str) -> ServiceSettings:
    return testing.migrated(ServiceSettings, "probe", postgres_url)


@pytest.fixture
def app(settings: ServiceSettings) -> Any:
    from probe_service.app import create_app

    return create_app(settings)


@pytest.fixture(scope="module")
def restartable_postgres() -> Iterator[TemporaryPostgres]:
    """A server that tests may kill and restart."""
    server = TemporaryPostgres()
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def process_environment() -> Callable[..., dict[str, str]]:
    """Return a function that returns the environment of a process of the probe service."""

    def environment(settings: ServiceSettings, **variables: str) -> dict[str, str]:
        # Port 0 is any free one: several workers may run at the same time.
        defaults = {"DATABASE_URL": settings.database_url, "PYTHONPATH": str(HERE), "WORKER_BIND": "127.0.0.1:0"}
        return {**os.environ, **defaults, "PYTHONUNBUFFERED": "1", **variables}

    return environment
