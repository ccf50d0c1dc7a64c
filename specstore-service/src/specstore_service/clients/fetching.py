"""Downloads of source data: limited in size and time, from public addresses only, including all redirects."""

import signal
import socket
import ssl
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from chassis.errors import Unavailable
from chassis.runtime import logs
from specstore_service.clients import addresses
from specstore_service.clients.addresses import Forbidden, Network, Resolver

log = logs.logger(__name__)

_RETRY_SECONDS = (1.0, 4.0)
_MAX_REDIRECTS = 5
_READ_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 256 * 1024
_TEMPORARY_STATUSES = {429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Limits:
    bytes: int
    seconds: float
    allowed: Sequence[Network] = ()
    resolver: Resolver = addresses.resolve


class FetchError(Exception):
    """The message is for the owner of the spec, and continues a sentence that begins with the location of the source.

    If `is_temporary` is set, another attempt may succeed.
    """

    def __init__(self, message: str, *, is_temporary: bool = False) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


def fetch(url: str, target: Path, limits: Limits) -> None:
    """Download a URL to a file, with retries after temporary errors. Raise FetchError.

    Call this in the main thread only, since a signal enforces the time limit, which includes all attempts.
    """
    with _time_limit(limits.seconds):
        for retry_seconds in (*_RETRY_SECONDS, None):
            try:
                _fetch_once(url, target, limits)
                return
            except FetchError as error:
                if retry_seconds is None or not error.is_temporary:
                    raise
                log.info("source.fetch_failed", reason=str(error), retry_seconds=retry_seconds)
                time.sleep(retry_seconds)


def _fetch_once(url: str, target: Path, limits: Limits) -> None:
    try:
        _follow_redirects(url, target, limits)
    except Forbidden as error:
        raise FetchError(f"cannot be fetched: {error}") from None
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        raise FetchError(f"cannot be fetched: {_reason(error)}", is_temporary=True) from error


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the download after the time limit, also if a slow server never exceeds the timeout of a single read."""

    def interrupt(*_: object) -> None:
        raise FetchError(f"took longer than {seconds:g} s")

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reason(error: BaseException) -> str:
    """Return a message that reveals neither addresses nor internals."""
    text = f"{type(error).__name__} {error}".lower()
    return next((message for keyword, message in _REASONS.items() if keyword in text), "the connection failed")


_REASONS = {
    "gaierror": "its host name cannot be resolved",
    "certificate": "the certificate of the host is not valid",
    "ssl": "TLS failed",
    "timed out": "the host timed out",
    "timeout": "the host timed out",
    "incomplete": "the connection ended too early",
    "refused": "the host refused the connection",
}


def _follow_redirects(url: str, target: Path, limits: Limits) -> None:
    for _ in range(_MAX_REDIRECTS + 1):
        with closing(_connection(url, limits)) as connection, closing(_send_request(connection, url)) as response:
            if response.status in (301, 302, 303, 307, 308):
                url = urljoin(url, response.headers.get("Location", ""))
                continue
            if response.status != HTTPStatus.OK:
                message = f"cannot be fetched: the host returned status {response.status}"
                raise FetchError(message, is_temporary=response.status in _TEMPORARY_STATUSES)
            _save(response, target, limits.bytes)
            return
    raise FetchError(f"is redirected more than {_MAX_REDIRECTS} times")


def _connection(url: str, limits: Limits) -> HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError("leads to a URL that is not http or https")
    connection_class = _RestrictedHTTPS if parts.scheme == "https" else _RestrictedHTTP
    connection = connection_class(parts.hostname, parts.port, timeout=_READ_TIMEOUT_SECONDS)
    connection.limits = limits
    return connection


class _RestrictedConnection:
    """Replaces how urllib3 opens a socket, so that only allowed addresses are connected to. Proxies are ignored."""

    limits: Limits
    host: str
    port: int

    def _new_conn(self) -> socket.socket:
        host = self.host.strip("[]")
        return addresses.connect(host, self.port, self.limits.allowed, _READ_TIMEOUT_SECONDS, self.limits.resolver)


class _RestrictedHTTP(_RestrictedConnection, HTTPConnection):
    pass


class _RestrictedHTTPS(_RestrictedConnection, HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, ssl_context=ssl.create_default_context(), **kwargs)


def _send_request(connection: HTTPConnection, url: str) -> urllib3.BaseHTTPResponse:
    parts = urlsplit(url)
    target = urllib3.util.parse_url(parts._replace(scheme="", netloc="", fragment="").geturl() or "/").url
    headers = {"User-Agent": "quintet-specstore", "Accept": "*/*", "Accept-Encoding": "gzip, identity"}
    connection.request("GET", target, headers=headers, preload_content=False, decode_content=False)
    return connection.getresponse()


def _save(response: urllib3.BaseHTTPResponse, target: Path, max_bytes: int) -> None:
    content_length = response.headers.get("Content-Length", "0")
    if content_length.isdecimal() and int(content_length) > max_bytes:
        raise _too_large(max_bytes)
    written_bytes = 0
    with target.open("wb", buffering=0) as file:
        for chunk in _decoded_chunks(response):
            written_bytes += len(chunk)
            if written_bytes > max_bytes:
                raise _too_large(max_bytes)
            _write(file, chunk)


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise Unavailable("files cannot be stored at the moment") from error


def _too_large(max_bytes: int) -> FetchError:
    return FetchError(f"is larger than {max_bytes} bytes")


def _decoded_chunks(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the decoded body in chunks, so that memory use does not depend on the compression ratio."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise FetchError(f"has the Content-Encoding {encoding[:40]!r}, which must be gzip or identity")
    chunks = iter(lambda: response.read1(_CHUNK_BYTES), b"")
    yield from chunks if encoding in ("identity", "") else gunzip(chunks)


def gunzip(compressed_chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield decompressed chunks of a limited size. Raise FetchError."""
    decompressor, is_incomplete = zlib.decompressobj(wbits=31), False
    for compressed in compressed_chunks:
        rest = compressed
        while rest:
            try:
                chunk = decompressor.decompress(rest, _CHUNK_BYTES)
            except zlib.error:
                raise FetchError("is not valid gzip") from None
            if chunk:
                yield chunk
            rest, is_incomplete = decompressor.unconsumed_tail, not decompressor.eof
            if decompressor.eof:
                rest, decompressor = decompressor.unused_data, zlib.decompressobj(wbits=31)
    if is_incomplete:
        raise FetchError("is a truncated gzip file")
