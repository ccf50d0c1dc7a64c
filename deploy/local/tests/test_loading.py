"""`make load-data` without a stack."""

import pytest

from quintet_local import loading
from quintet_local.progress import StackError
from quintet_testing.postgres import free_port


@pytest.fixture
def url():
    """Return a URL at which nothing listens."""
    return f"http://admin:secret@127.0.0.1:{free_port()}"


def test_missing_file_is_reported(url, tmp_path):
    with pytest.raises(StackError, match=r"none\.json could not be loaded: .*No such file"):
        loading.load(url, [str(tmp_path / "none.json")])


def test_stack_that_is_not_running_is_reported(url, monkeypatch):
    monkeypatch.setattr(loading, "_RETRY_SECONDS", 0)
    with pytest.raises(StackError, match=r"could not be loaded: is the stack running\? the connection failed"):
        loading.load(url, [])
