"""The client: one object with an attribute for each kind of resource."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from quintet._async.datasets import AsyncDatasets
from quintet._async.dead_letters import AsyncDeadLetters
from quintet._async.factories import AsyncFactories, AsyncSprockets
from quintet._async.orders import AsyncOrders
from quintet._async.sequences import AsyncSequences
from quintet._async.streams import AsyncStreams
from quintet._async.transport import AsyncTransport, parse_json
from quintet._decoding import decode
from quintet._paths import segment
from quintet._responses import error_from_response
from quintet.config import find_url, parse_url
from quintet.models import Trace

_FULL_RUN_POLL_SECONDS = 0.5
# GETs that issue numbers: a repetition issues others.
_ISSUING_PATHS = frozenset({"/sequence", "/batch-sequence", "/image-sequence", "/json-sequence"})


class AsyncQuintet:
    """A client of Quintet's gateway.

    `url` is `http://user:password@host:port`; without it, the environment variable `QUINTET_URL` or the file of
    `quintet login` is used. `timeout_seconds` limits how long an attempt waits for a connection, and each time for the
    next bytes to be sent or received. The last attempt begins `retry_seconds` after the call at the latest; for a file
    that is uploaded or downloaded, after the first failure. `verify` is False or an SSL context for a gateway whose
    certificate no authority has signed.

    Use one client for all requests: it keeps connections open, and may be shared by threads (the synchronous one) or
    tasks. Close it, or use it in a `with` block.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout_seconds: float = 30.0,
        retry_seconds: float = 60.0,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        address = parse_url(find_url(url))
        self.url, self.user = address.url, address.user
        self._transport = AsyncTransport(
            address, timeout_seconds=timeout_seconds, retry_seconds=retry_seconds, verify=verify
        )
        self.sequences = AsyncSequences(self._transport)
        self.streams = AsyncStreams(self._transport)
        self.orders = AsyncOrders(self._transport)
        self.datasets = AsyncDatasets(self._transport)
        self.factories = AsyncFactories(self._transport)
        self.sprockets = AsyncSprockets(self._transport)
        self.dead_letters = AsyncDeadLetters(self._transport)

    async def __aenter__(self) -> AsyncQuintet:
        return self

    async def __aexit__(
        self, class_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; a request in progress in another thread or task may end first."""
        await self._transport.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, user={self.user!r})"

    async def health(self) -> dict[str, Any]:
        """Return the state of all services and their dependencies, also if some are down."""
        response = await self._transport.request("GET", "/health", accepted_statuses=[503])
        return _report(response)

    async def invariants(self, *, full: bool = False) -> dict[str, Any]:
        """Return the report on the invariants of all services, also if some do not hold; requires the role admin.

        With `full`, they are recomputed from the first item, which may take long, and this waits for it.
        """
        if full:
            await self._transport.request("GET", "/invariants", params={"full": 1}, accepted_statuses=[503])
        while True:
            response = await self._transport.request("GET", "/invariants", accepted_statuses=[503])
            report = _report(response)
            if not full or report.get("full") not in ("PENDING", "PROGRESS"):
                return report
            await asyncio.sleep(_FULL_RUN_POLL_SECONDS)

    async def trace(self, request_id: str) -> Trace:
        """Return what a request caused in all services, by its ID, for instance an error's; requires the role admin."""
        return decode(Trace, await self._transport.get(f"/trace/{segment(request_id)}"))

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        """Send any other request, with credentials, a key and retries; raise ResponseError unless it succeeds."""
        return await self._transport.request(
            method.upper(),
            path,
            params=params,
            json=json,
            content=content,
            headers=headers,
            key=idempotency_key,
            is_repeatable=path.partition("?")[0].rstrip("/") not in _ISSUING_PATHS,
        )


def _report(response: httpx.Response) -> dict[str, Any]:
    """Return the report on the services; raise the error if the gateway responded instead of the console."""
    document = parse_json(response)
    if not isinstance(document, dict) or "services" not in document:
        raise error_from_response(response.status_code, response.headers, response.content)
    return document
