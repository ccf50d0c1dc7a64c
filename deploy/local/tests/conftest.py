"""One stack for the tests that need a running one; each leaves it healthy."""

from collections.abc import Iterator

import pytest

from quintet_local.testing import TestStack, running_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[TestStack]:
    with running_stack() as running:
        yield running
