"""Administration of consumers: their offsets, their parked events, and their deletion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

from quintet._async.paging import entries_by_offset
from quintet._async.transport import AsyncTransport
from quintet._decoding import decode, format_time
from quintet._paths import segment
from quintet.models import ParkedEvent


class AsyncConsumer:
    """The administration of a consumer: its offsets, its parked events, and its deletion."""

    def __init__(self, transport: AsyncTransport, stream_path: str, name: str) -> None:
        self.name = name
        self._transport = transport
        self._path = f"{stream_path}/consumers/{segment(name)}"

    async def offset(self, event_name: str, to: int | datetime | Literal["end"]) -> None:
        """Move the offset: the consumer continues after the event number `to`, from a time on, or at the end.

        0 delivers all events again. All leases of the consumer end.
        """
        target: Any = {"time": format_time(to)} if isinstance(to, datetime) else to
        body = {"eventName": event_name, "offset": target}
        await self._transport.request("PUT", f"{self._path}/offset", json=body)

    async def parked(self) -> AsyncIterator[ParkedEvent]:
        """Yield the events that were set aside after too many failed attempts, oldest first."""
        path, get = f"{self._path}/parked", self._transport.get
        async for entry in entries_by_offset(get, path, "parked", identity=lambda entry: entry["event"]["id"]):
            yield decode(ParkedEvent, entry)

    async def replay(self, event_id: str | None = None) -> None:
        """Deliver a parked event again, or all of them in order."""
        path = f"{self._path}/parked/replay"
        if event_id is not None:
            path = f"{self._path}/parked/{segment(event_id)}/replay"
        await self._transport.request("POST", path, settled_statuses=[404])

    async def delete(self) -> None:
        """Delete the offsets, leases and parked events of the consumer."""
        await self._transport.request("DELETE", self._path)
