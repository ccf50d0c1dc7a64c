"""A server that responds, or breaks the connection, as a test requires."""

import asyncio
import inspect
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from quintet import AsyncQuintet, Quintet

BREAK = "break the connection after the request"


class ScriptedServer:
    """Replies with the next of its `replies`: `(status, body, headers)` or BREAK; it records all requests."""

    def __init__(self):
        self.replies = deque()
        self.requests = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://ann:secret@127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def reply(self, status, body=b"", **headers):
        self.replies.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))

    def break_connection(self):
        self.replies.append(BREAK)

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(server):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def respond(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.requests.append((self.command, self.path, self.headers, body))
                # A request that no test expects ends the call.
                reply = server.replies.popleft() if server.replies else (418, b"unexpected request", {})
                if reply == BREAK:
                    self.close_connection = True
                    return
                status, content, headers = reply
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                # A body that is shorter than its length breaks off.
                self.close_connection = int(headers.get("Content-Length", len(content))) != len(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = respond  # noqa: N815

            def log_message(self, *_):
                pass

        return Handler


@pytest.fixture
def server():
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture(params=[Quintet, AsyncQuintet], ids=["sync", "async"])
def client_class(request, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return request.param


@pytest.fixture
def call(server, client_class):
    """Return a function that runs `use(client)` with a new client of either kind, and returns its result."""

    def run(use, **options):
        async def run_async():
            async with client_class(server.url, **options) as client:
                result = use(client)
                return [item async for item in result] if inspect.isasyncgen(result) else await result

        if hasattr(client_class, "__aenter__"):
            return asyncio.run(run_async())
        with client_class(server.url, **options) as client:
            result = use(client)
            return list(result) if inspect.isgenerator(result) else result

    return run
