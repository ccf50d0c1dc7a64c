"""Requests with retries, over one pool of connections."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from typing import IO, Any

import httpx

from quintet._decoding import decode
from quintet._events import to_json
from quintet._files import CHUNK_BYTES, OnTransfer, UploadSource
from quintet._retry import Attempts, Backoff, RetryPolicy
from quintet.config import ServerAddress
from quintet.errors import InvalidInput, QuintetError, ResponseError
from quintet.models import TransferProgress

Params = Mapping[str, Any]
_JSON = {"Content-Type": "application/json"}
_MAX_CONNECTIONS = 200


def _user_agent() -> str:
    try:
        return f"quintet-client/{metadata.version('quintet-client')}"
    except metadata.PackageNotFoundError:
        return "quintet-client"


class AsyncTransport:
    """Sends requests until their outcome is known, or until the deadline of their retries."""

    def __init__(
        self,
        address: ServerAddress,
        *,
        timeout_seconds: float,
        retry_seconds: float,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        self.user = address.user
        self.timeout_seconds = timeout_seconds
        self.policy = RetryPolicy(retry_seconds)
        self._url = address.url
        self._client = httpx.AsyncClient(
            auth=httpx.BasicAuth(address.user, address.password),
            headers={"User-Agent": _user_agent(), "Accept-Language": "en"},
            timeout=timeout_seconds,
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            verify=verify,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        content: bytes | UploadSource | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        read_timeout_seconds: float | None = None,
        policy: RetryPolicy | None = None,
        settled_statuses: Collection[int] = (),
        accepted_statuses: Collection[int] = (),
        is_repeatable: bool = True,
    ) -> httpx.Response:
        """Return the response to the request, which is repeated with the same key and request ID.

        Raises the ResponseError of the last attempt. `key` is the Idempotency-Key of a request that writes; by default
        a new one.
        """
        request_id = uuid.uuid4().hex
        all_headers: dict[str, str] = {"X-Request-ID": request_id}
        is_read = method in ("GET", "HEAD", "OPTIONS")
        if not is_read:
            # An empty key, perhaps an unset variable, must be refused rather than replaced.
            all_headers["Idempotency-Key"] = uuid.uuid4().hex if key is None else key
        if json is not None:
            content = to_json(json)
            all_headers |= _JSON
        if isinstance(content, UploadSource):
            all_headers["Content-Length"] = str(content.size)
        all_headers |= headers or {}
        attempts = Attempts(
            Backoff(policy or self.policy, is_transfer=isinstance(content, UploadSource)),
            request_id=request_id,
            # A GET that issues numbers is a write.
            is_read=is_read and is_repeatable,
            is_repeatable=is_repeatable,
            settled_statuses=settled_statuses,
        )
        while True:
            self._require_open()
            try:
                response = await self._client.request(
                    method,
                    self._complete_url(path, params),
                    content=_stream(content) if isinstance(content, UploadSource) else content,
                    headers=httpx.Headers(all_headers, encoding="utf-8"),
                    timeout=self._timeout(read_timeout_seconds),
                )
            except httpx.RequestError as failure:
                delay: float | None = attempts.after_failure(failure)
            else:
                if response.status_code in accepted_statuses:
                    return response
                delay = attempts.after_response(response.status_code, response.headers, response.content)
                if delay is None:
                    return response
            await asyncio.sleep(delay or 0.0)

    async def get(self, path: str, *, params: Params | None = None, **options: Any) -> Any:
        """Return the JSON document of the response."""
        return parse_json(await self.request("GET", path, params=params, **options))

    async def get_as(self, class_: type[Any], path: str, **options: Any) -> Any:
        return decode(class_, await self.get(path, **options))

    async def download(
        self,
        path: str,
        file: IO[bytes],
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        on_progress: OnTransfer | None = None,
    ) -> None:
        """Write the body of the response into the empty file; an attempt that breaks off is repeated from its start."""
        request_id = uuid.uuid4().hex
        attempts = Attempts(Backoff(self.policy, is_transfer=True), request_id=request_id, is_read=True)
        all_headers = {"X-Request-ID": request_id, **(headers or {})}
        while True:
            try:
                async with self.stream(path, params=params, headers=all_headers) as response:
                    if response.is_success:
                        await _write_body(response, file, on_progress)
                        return
                    body = await response.aread()
                    delay = attempts.after_response(response.status_code, response.headers, body)
            except httpx.RequestError as failure:
                delay = attempts.after_failure(failure)
            await asyncio.sleep(delay or 0.0)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        read_timeout_seconds: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Yield the response to a GET, of any status, before its body is read; without retries."""
        self._require_open()
        async with self._client.stream(
            "GET",
            self._complete_url(path, params),
            headers=httpx.Headers(headers, encoding="utf-8"),
            timeout=self._timeout(read_timeout_seconds),
        ) as response:
            yield response

    def _require_open(self) -> None:
        if self._client.is_closed:
            raise QuintetError("the client must not be used after it was closed")

    def _complete_url(self, path: str, params: Params | None) -> httpx.URL:
        """Return the URL with the parameters added; raise InvalidInput for one of another server, or an invalid one."""
        if not path.startswith("/"):
            raise InvalidInput("the path must begin with /")
        try:
            url = httpx.URL(self._url + path)
        except httpx.InvalidURL as error:
            raise InvalidInput(f"the path must be valid: {error}") from error
        present = _present(params or {})
        return url.copy_merge_params(present) if present else url

    def _timeout(self, read_seconds: float | None) -> httpx.Timeout:
        return httpx.Timeout(self.timeout_seconds, read=read_seconds or self.timeout_seconds)


def parse_json(response: httpx.Response) -> Any:
    """Return the document in the body; raise ResponseError if it is not JSON, which no service of Quintet returns."""
    try:
        return response.json()
    except (ValueError, RecursionError) as error:
        raise ResponseError(
            "the response must be JSON: check whether the URL is that of Quintet's gateway",
            status=response.status_code,
            request_id=response.headers.get("x-request-id"),
        ) from error


def _present(params: Params) -> dict[str, str | list[str]]:
    """Return the parameters that have a value, as text; a list is a parameter that is repeated."""
    return {
        name: [_text(item) for item in value] if isinstance(value, (list, tuple)) else _text(value)
        for name, value in params.items()
        if value is not None
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _stream(source: UploadSource) -> AsyncIterator[bytes]:
    # Reading a chunk from the page cache takes less time than handing it to a thread.
    for chunk in source.chunks():
        yield chunk


async def _write_body(response: httpx.Response, file: IO[bytes], on_progress: OnTransfer | None) -> None:
    length = response.headers.get("content-length", "")
    is_plain = "content-encoding" not in response.headers
    total = int(length) if is_plain and length.isascii() and length.isdigit() else None
    file.seek(0)
    file.truncate()
    received = 0
    async for chunk in response.aiter_bytes(CHUNK_BYTES):
        file.write(chunk)
        received += len(chunk)
        if on_progress:
            on_progress(TransferProgress(received, total))
