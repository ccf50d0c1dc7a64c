"""Lists that are read page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from quintet._async.transport import AsyncTransport

PAGE_SIZE = 1000


async def pages_by_offset(
    transport: AsyncTransport,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Any]:
    """Yield the documents of the pages, until the entries of all of them are as many as their total."""
    offset = 0
    while True:
        document = await transport.get(
            path, params={**(params or {}), "limit": PAGE_SIZE, "offset": offset}, headers=headers
        )
        yield document
        offset += PAGE_SIZE
        if offset >= document.get("total", document.get("count", 0)):
            return
