"""HTTP requests to another process of the system, over TCP or a Unix socket."""

import socket
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from chassis.runtime import tracing


def request(method: str, base_url: str, path: str, **options: Any) -> requests.Response:
    """Send a request to `http://host:port` or `unix:/path`; `options` are those of `requests.request`.

    The request is part of the current trace. Proxies and other settings of the environment are ignored. Raises
    requests.RequestException.
    """
    socket_path = base_url.removeprefix("unix:")
    base = base_url.rstrip("/") if socket_path == base_url else f"unix://{quote(socket_path, safe='')}"
    with requests.Session() as session:
        session.trust_env = False
        session.mount("unix://", _UnixAdapter())
        session.headers.update(tracing.headers())
        return session.request(method, base + path, **options)


class _UnixAdapter(HTTPAdapter):
    """Connects to `unix://<quoted socket path>/<path>`."""

    def get_connection_with_tls_context(self, request: PreparedRequest, *_: Any, **__: Any) -> HTTPConnectionPool:
        pool = HTTPConnectionPool("localhost", socket_path=unquote(urlsplit(request.url or "").netloc))
        pool.ConnectionCls = _UnixConnection
        return pool

    def request_url(self, request: PreparedRequest, _proxies: Any) -> str:
        return request.path_url


class _UnixConnection(HTTPConnection):
    def __init__(self, *args: Any, socket_path: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._socket_path = socket_path

    def connect(self) -> None:
        # Assigned before it connects, so that urllib3 closes it if the connection is refused.
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)
