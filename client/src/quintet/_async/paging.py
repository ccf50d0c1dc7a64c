"""Lists that are read page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from typing import Any

PAGE_SIZE = 1000


async def entries_by_offset(
    get: Callable[..., Awaitable[Any]],
    path: str,
    name: str,
    *,
    identity: Callable[[Any], Hashable],
    params: Mapping[str, Any] | None = None,
) -> AsyncIterator[Any]:
    """Yield the entries that the pages contain under `name`, each once.

    An entry that is added meanwhile may move others to the next page, where they are not yielded again. One that is
    deleted may move others to a page that was read already, so reading continues there.
    """
    seen: set[Hashable] = set()
    offset = total = 0
    while True:
        document = await get(path, params={**(params or {}), "limit": PAGE_SIZE, "offset": offset})
        previous_total, total = total, document.get("total", document.get("count", 0))
        if offset and total < previous_total:
            offset = max(0, offset - (previous_total - total))
            continue
        for entry in document[name]:
            if (key := identity(entry)) not in seen:
                seen.add(key)
                yield entry
        offset += PAGE_SIZE
        if offset >= total:
            return
