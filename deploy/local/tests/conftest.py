"""One running stack, shared by the tests that need one; each test leaves it healthy."""

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
    """A folder with a short path, so that a stack keeps its sockets inside it."""
    path = Path(tempfile.mkdtemp(prefix="q-")).resolve()
    yield path
    shutil.rmtree(path)
