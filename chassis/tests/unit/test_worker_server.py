"""The HTTP server of a worker: its liveness depends on the loops alone."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from chassis.messaging import worker_server
from chassis.runtime import http_client, liveness
from chassis.runtime.config import ConfigError
from chassis.runtime.liveness import Liveness
from chassis.runtime.metrics import Metrics

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server on a free port and returns its URL."""
    servers = []

    def start(**loops: Liveness) -> str:
        server: Any = worker_server.start("127.0.0.1:0", Metrics("probe"), loops)
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_livez_names_loops_that_no_longer_tick(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    loops = {"relay": Liveness(), "report": Liveness()}
    url = serve(**loops)
    assert (requests.get(f"{url}/livez").status_code, requests.get(f"{url}/livez").json()) == (200, {"status": "OK"})
    monkeypatch.setattr(liveness, "MAX_AGE_SECONDS", 0)
    with loops["report"].suspended():
        response = requests.get(f"{url}/livez")
    assert (response.status_code, response.json()) == (503, {"status": "DOWN", "stuck_loops": ["relay"]})


def test_loop_that_waits_for_a_long_time_ticks_meanwhile(monkeypatch: pytest.MonkeyPatch, eventually: Any) -> None:
    monkeypatch.setattr(liveness, "_MAX_WAIT_SECONDS", 0.01)
    loop, stop_event = Liveness(), threading.Event()
    loop._ticked_at -= 1000
    thread = threading.Thread(target=loop.wait, args=(stop_event, 3600))
    thread.start()
    eventually(lambda: loop.age_seconds() < 500)
    stop_event.set()
    thread.join(60)
    assert not thread.is_alive()


def test_socket_of_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "worker.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    server = worker_server.start(f"unix:{path}", Metrics("probe"), {})
    assert http_client.request("GET", f"unix:{path}", "/livez").status_code == 200
    server.shutdown()
    server.server_close()


def test_address_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "127.0.0.1:{1}".format(*other.getsockname())
        with pytest.raises(
            ConfigError, match=f"WORKER_BIND must be a free address: {address}: .*Address already in use"
        ):
            worker_server.start(address, Metrics("probe"), {})


def test_unknown_path_returns_404(serve: Serve) -> None:
    assert requests.get(f"{serve()}/metrics/recent").status_code == 404
    assert requests.get(f"{serve()}/metrics?name=x").status_code == 200


def test_metrics_state_the_program(serve: Serve) -> None:
    response = requests.get(f"{serve()}/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'quintet_build_info{python="3.' in response.text
    assert 'service="probe",version="' in response.text
