"""Data from elsewhere: bounded in size and time, from public addresses only, redirects included."""

import signal
import ssl
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
from specstore_service.clients import addresses
from specstore_service.clients.addresses import Forbidden, Network, Resolve

_MAX_REDIRECTS = 5
_READ_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 256 * 1024
_TEMPORARY_STATUSES = {429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Limits:
    bytes: int
    seconds: float
    allowed: Sequence[Network] = ()
    resolver: Resolve = addresses.resolve


class FetchError(Exception):
    """The message is for the owner of the spec. `is_temporary`: another attempt may succeed."""

    def __init__(self, message: str, *, is_temporary: bool = False) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


def fetch(url: str, target: Path, limits: Limits) -> None:
    """Raises FetchError. Only for the main thread, since a signal enforces the time limit."""
    try:
        with _time_limit(limits.seconds):
            _fetch(url, target, limits)
    except Forbidden as error:
        raise FetchError(str(error)) from None
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        raise FetchError(f"cannot be fetched: {_reason(error)}", is_temporary=True) from error


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt also a server that sends a byte now and then, which exceeds the limit of no single read."""

    def interrupt(*_: object) -> None:
        raise FetchError(f"took longer than {seconds:g} s")

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reason(error: BaseException) -> str:
    """Without addresses and internals of ours."""
    text = f"{type(error).__name__} {error}".lower()
    for clue, words in _CLUES.items():
        if clue in text:
            return words
    return "the connection failed"


_CLUES = {
    "gaierror": "its host is not known",
    "certificate": "the certificate of the host is not valid",
    "ssl": "TLS failed",
    "timed out": "the host does not answer",
    "timeout": "the host does not answer",
    "incomplete": "the connection ended too early",
    "refused": "the host refuses connections",
}


def _fetch(url: str, target: Path, limits: Limits) -> None:
    for _ in range(_MAX_REDIRECTS + 1):
        with closing(_connection(url, limits)) as connection, closing(_ask(connection, url)) as answer:
            if answer.status in (301, 302, 303, 307, 308):
                url = urljoin(url, answer.headers.get("Location", ""))
                continue
            if answer.status != HTTPStatus.OK:
                words = f"cannot be fetched: the host answers {answer.status}"
                raise FetchError(words, is_temporary=answer.status in _TEMPORARY_STATUSES)
            _save(answer, target, limits.bytes)
            return
    raise FetchError(f"is redirected more than {_MAX_REDIRECTS} times")


def _connection(url: str, limits: Limits) -> HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError("leads to what is no http or https URL")
    of_kind = _Secure if parts.scheme == "https" else _Plain
    connection = of_kind(parts.hostname, parts.port, timeout=_READ_TIMEOUT_SECONDS)
    connection.limits = limits
    return connection


class _Checked:
    """In place of urllib3's own way to a socket. It knows no proxy either."""

    limits: Limits
    host: str
    port: int

    def _new_conn(self) -> Any:
        host = self.host.strip("[]")
        return addresses.connect(host, self.port, self.limits.allowed, _READ_TIMEOUT_SECONDS, self.limits.resolver)


class _Plain(_Checked, HTTPConnection):
    pass


class _Secure(_Checked, HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, ssl_context=ssl.create_default_context(), **kwargs)


def _ask(connection: HTTPConnection, url: str) -> urllib3.BaseHTTPResponse:
    parts = urlsplit(url)
    target = urllib3.util.parse_url(parts._replace(scheme="", netloc="", fragment="").geturl() or "/").url
    headers = {"User-Agent": "quintet-specstore", "Accept": "*/*", "Accept-Encoding": "gzip, identity"}
    connection.request("GET", target, headers=headers, preload_content=False, decode_content=False)
    return connection.getresponse()


def _save(answer: urllib3.BaseHTTPResponse, target: Path, max_bytes: int) -> None:
    announced = answer.headers.get("Content-Length", "0")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    pieces = _unpacked(answer, max_bytes)
    written = 0
    with target.open("wb", buffering=0) as file:
        for piece in pieces:
            written += len(piece)
            if written > max_bytes:
                raise _too_large(max_bytes)
            _write(file, piece)


def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError as error:
        raise Unavailable("files cannot be kept at the moment") from error


def _too_large(max_bytes: int) -> FetchError:
    return FetchError(f"is larger than {max_bytes} bytes")


def _unpacked(answer: urllib3.BaseHTTPResponse, max_bytes: int) -> Iterator[bytes]:
    """Piece by piece: what is packed small may be as large as it likes, nobody holds it in memory."""
    coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "", "gzip", "x-gzip"):
        raise FetchError(f"comes with the encoding {coding[:40]!r}, which is not taken")
    sent = iter(lambda: answer.read1(_CHUNK_BYTES), b"")
    if coding in ("identity", ""):
        yield from sent
        return
    yield from gunzip(sent)


def gunzip(sent: Iterator[bytes]) -> Iterator[bytes]:
    unpacker, is_amid = zlib.decompressobj(wbits=31), False
    for packed in sent:
        rest = packed
        while rest:
            try:
                piece = unpacker.decompress(rest, _CHUNK_BYTES)
            except zlib.error:
                raise FetchError("is not the gzip that it says it is") from None
            if piece:
                yield piece
            rest, is_amid = unpacker.unconsumed_tail, not unpacker.eof
            if unpacker.eof:
                rest, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=31)
    if is_amid:
        raise FetchError("ends in the middle")
