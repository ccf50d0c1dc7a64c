"""HTTP requests over a Unix socket."""

import gc
import warnings
from pathlib import Path

import pytest
import requests

from chassis.runtime import http_client


def test_refused_connection_closes_its_socket(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(requests.ConnectionError):
            http_client.request("GET", f"unix:{tmp_path / 'missing'}", "/livez", timeout=1)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
