"""The HTTP server of a worker, in threads of its own: `/livez` for probes, and `/metrics` for Prometheus."""

import functools
import json
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseServer, TCPServer, ThreadingMixIn, UnixStreamServer
from typing import ClassVar

from chassis.runtime import logs
from chassis.runtime.config import ConfigError
from chassis.runtime.liveness import Liveness
from chassis.runtime.metrics import CONTENT_TYPE, Metrics

log = logs.logger(__name__)

_UNIX_PREFIX = "unix:"
_SHUTDOWN_POLL_SECONDS = 60


def start(bind: str, metrics: Metrics, loops: Mapping[str, Liveness]) -> BaseServer:
    """Serve until the process ends; raise ConfigError if the address cannot be used."""

    def livez() -> tuple[HTTPStatus, str, bytes]:
        stuck_loops = [name for name, liveness in loops.items() if liveness.is_stuck]
        body = {"status": "DOWN", "stuck_loops": stuck_loops} if stuck_loops else {"status": "OK"}
        status = HTTPStatus.SERVICE_UNAVAILABLE if stuck_loops else HTTPStatus.OK
        return status, "application/json; charset=utf-8", json.dumps(body).encode() + b"\n"

    routes = {"/livez": livez, "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE, metrics.exposition())}
    try:
        server = _listen(bind, type("Handler", (_Handler,), {"routes": routes}))
    except (OSError, OverflowError) as error:
        raise ConfigError(f"WORKER_BIND must be a free address: {bind}: {error}") from None
    # The server ends with the process. By default, it would look twice a second whether it is to shut down.
    server_loop = functools.partial(server.serve_forever, poll_interval=_SHUTDOWN_POLL_SECONDS)
    threading.Thread(target=server_loop, name="worker-server", daemon=True).start()
    return server


def _listen(bind: str, handler: type[BaseHTTPRequestHandler]) -> BaseServer:
    if bind.startswith(_UNIX_PREFIX):
        path = bind.removeprefix(_UNIX_PREFIX)
        # A worker that was killed leaves its socket.
        Path(path).unlink(missing_ok=True)
        return _UnixServer(path, handler)
    host, _, port = bind.rpartition(":")
    return _TcpServer((host.strip("[]"), int(port)), handler)


class _Threads(ThreadingMixIn):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Log unexpected errors only: a probe may close its connection before it has read the whole response."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            log.exception("worker_server.failed")


class _UnixServer(_Threads, UnixStreamServer):
    pass


class _TcpServer(_Threads, TCPServer):
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    # Buffer, so that the head and a short body are sent together.
    wbufsize = -1
    routes: ClassVar[Mapping[str, Callable[[], tuple[HTTPStatus, str, bytes]]]]

    def do_GET(self) -> None:
        route = self.routes.get(self.path.partition("?")[0])
        not_found = (HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n")
        status, content_type, body = route() if route else not_found
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: probes arrive every few seconds."""
