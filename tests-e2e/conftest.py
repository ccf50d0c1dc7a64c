"""The running whole, for the journeys and the faults."""

from collections.abc import Iterator

import pytest

from quintet_local.testing import TestStack, running_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[TestStack]:
    """One local stack for all tests: own folder, own ports, gone afterwards. Leave it healthy."""
    with running_stack(RATE_LIMITS="off") as running:
        yield running
