"""HTTP requests to another process of the system, over TCP or a Unix socket."""

import socket
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool


def request(method: str, base_url: str, path: str, **options: Any) -> requests.Response:
    """Send one request to `http://host:port` or `unix:/path`; `options` are those of requests.

    Proxies and other settings of the environment do not apply. Raises requests.RequestException.
    """
    socket_path = base_url.removeprefix("unix:")
    base = base_url.rstrip("/") if socket_path == base_url else f"unix://{quote(socket_path, safe='')}"
    with requests.Session() as session:
        session.trust_env = False
        session.mount("unix://", _SocketAdapter())
        return session.request(method, base + path, **options)


class _SocketAdapter(HTTPAdapter):
    """For `unix://<quoted path>/…`."""

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        return _SocketPool(unquote(urlsplit(request.url).netloc))

    def request_url(self, request: Any, _proxies: Any) -> str:
        return request.path_url


class _SocketPool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> Any:
        return _SocketConnection(self._path, timeout=self.timeout.connect_timeout)


class _SocketConnection(HTTPConnection):
    def __init__(self, path: str, **options: Any) -> None:
        super().__init__("localhost", **options)
        self._path = path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
        try:
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        return connection
