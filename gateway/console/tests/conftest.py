"""The console's real web process on a socket, and small HTTP servers that replace the services."""

import http.server
import json
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from chassis.runtime import http_client
from quintet_testing.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[3]
# Of a stack that is not running: the real commands change its users, and reload nothing.
STACK_SETTINGS = f"ADMIN_USER=operator\nADMIN_PASSWORD={'x' * 20}\nGATEWAY_PORT=1\n"
SERVICES = ("sequence", "event", "orders", "specstore", "factory")
# Parts of the start page, which is shown without them too.
EMPTY_PARTS = {
    "/metrics/recent": {"bounds_seconds": [], "minutes": []},
    "/metrics/backlog": {"minutes": []},
    "/api/v1/events/newest?limit=10": {"events": [], "total": 0, "next": None},
}


class FakeServiceHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        if self.command != "GET":
            self.server.changes.append((self.command, self.path))
        self.server.respond(self)

    do_POST = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def send_json(self, status, body):
        self.send_text(status, json.dumps(body))

    def send_text(self, status, text):
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self):
        return "console"

    def log_message(self, *_):
        pass


class FakeService(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), FakeServiceHandler)
        self.name = path.stem
        self.reset()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def reset(self):
        self.requests, self.changes = [], []
        report = {"status": "OK", "service": f"{self.name}-service"}
        self.respond = lambda request: request.send_json(200, EMPTY_PARTS.get(request.path, report))

    def handle_error(self, *_):
        pass  # the console closed the connection


def is_alive(url):
    """Return whether the process accepts requests; its socket exists a moment before it does."""
    try:
        return http_client.request("GET", url, "/livez").status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="session")
def console(tmp_path_factory):
    """Return the address of the console's web process, and the services that it queries."""
    folder = tmp_path_factory.mktemp("console")
    services = {name: FakeService(folder / f"{name}.sock") for name in SERVICES}
    (folder / "stack").mkdir()
    (folder / "stack" / ".env").write_text(STACK_SETTINGS)
    settings = {
        "BIND": f"unix:{folder}/console.sock",
        "SERVICES": ",".join(SERVICES),
        "SERVICE_URL": f"unix:{folder}/{{service}}.sock",
        "USERS_FILE": str(folder / "stack" / "gateway" / "roles.conf"),
        "ACCESS_LOG_FILE": str(folder / "access.log"),
        "USERS_PROGRAM": str(CHECKOUT / "deploy" / "local"),
        "STACK_DIR": str(folder / "stack"),
        "WEB_CONCURRENCY": "1",  # as in a stack without containers
        "INVARIANTS_TIMEOUT_SECONDS": "4",
        "PATH": os.environ["PATH"],
    }
    process = subprocess.Popen([sys.executable, "-m", "console_service", "web"], env=settings, cwd=folder)
    url = settings["BIND"]  # http_client accepts the address of a socket
    eventually(lambda: process.poll() is not None or is_alive(url))
    assert process.poll() is None
    yield url, services
    process.terminate()
    assert process.wait(60) == 0
    for service in services.values():
        service.shutdown()
        service.server_close()


@pytest.fixture
def services(console):
    for service in console[1].values():
        service.reset()
    return console[1]


@pytest.fixture
def access_log(console):
    """Return a function that replaces the gateway's access log by these lines."""
    return lambda *lines: Path(console[0].removeprefix("unix:")).with_name("access.log").write_text("\n".join(lines))


@pytest.fixture
def users_file(console):
    """Return the path of the file of users, which does not exist yet, in an empty folder."""
    folder = Path(console[0].removeprefix("unix:")).with_name("stack") / "gateway"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder / "roles.conf"


@pytest.fixture
def get(console):
    """Return a function that sends a request to the console, and returns the response without following it."""

    def get(path, method="GET", form=None, **headers):
        options = {"headers": {name.replace("_", "-"): value for name, value in headers.items()}, "data": form}
        return http_client.request(method, console[0], path, allow_redirects=False, timeout=60, **options)

    return get
