"""The HTTP server of a worker: its liveness depends on the loops alone."""

import socket
import struct
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


@pytest.fixture(autouse=True)
def quick_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_server, "_SHUTDOWN_POLL_SECONDS", 0.1)


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


def test_loop_that_waits_for_a_long_time_ticks_at_intervals(monkeypatch: pytest.MonkeyPatch, eventually: Any) -> None:
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


def send_request(url: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
    connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
    return connection


def test_short_response_is_sent_at_once(serve: Serve) -> None:
    """The health check of the container closes its connection after it has read the status."""
    with send_request(serve()) as connection:
        assert connection.recv(65536).endswith(b'{"status": "OK"}\n')


def test_probe_that_does_not_read_the_response_is_not_logged(
    serve: Serve, capfd: pytest.CaptureFixture[str], eventually: Any
) -> None:
    entered, may_respond = threading.Event(), threading.Event()

    class SlowLoop(Liveness):
        @property
        def is_stuck(self) -> bool:
            entered.set()
            return not may_respond.wait(30)

    with send_request(serve(relay=SlowLoop())) as connection:
        assert entered.wait(30)
        # Closing then resets the connection.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    may_respond.set()
    eventually(lambda: not [thread for thread in threading.enumerate() if "process_request_thread" in thread.name])
    assert capfd.readouterr() == ("", "")


def test_defect_of_the_server_is_logged(serve: Serve, logged: Any, eventually: Any) -> None:
    class DefectiveLoop(Liveness):
        @property
        def is_stuck(self) -> bool:
            raise RuntimeError("a defect")

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{serve(relay=DefectiveLoop())}/livez")
    (line,) = eventually(lambda: logged("worker_server.failed"))
    assert line["exception"].endswith("RuntimeError: a defect")


def test_metrics_state_the_program(serve: Serve) -> None:
    response = requests.get(f"{serve()}/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'quintet_build_info{python="3.' in response.text
    assert 'service="probe",version="' in response.text
