"""One stack for the tests that need a running one; each leaves it healthy."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quintet_local.testing import TestStack, running_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[TestStack]:
    with running_stack() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a stack keeps its sockets inside only of such a one."""
    made = Path(tempfile.mkdtemp(prefix="q-")).resolve()
    yield made
    shutil.rmtree(made)
