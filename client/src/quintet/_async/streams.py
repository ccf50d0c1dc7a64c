"""Streams of events: appending and reading."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from datetime import datetime
from operator import itemgetter
from typing import Any

from quintet._async.consumer_states import AsyncConsumer
from quintet._async.consumers import AsyncConsumption
from quintet._async.following import follow_events
from quintet._async.paging import PAGE_SIZE, entries_by_offset
from quintet._async.transport import AsyncTransport, parse_json
from quintet._decoding import decode, format_time
from quintet._events import EventLike, batches, event_body
from quintet._paths import segment
from quintet.models import ConsumerState, Event, NewEvent, Retention, SchemaKey, StreamState

# Greater than every position.
_MAX_POSITION = 2**53
# The namespace of the keys of later batches, which are derived from the key of the first one: of any length, and never
# equal to another key of the caller.
_BATCH_KEYS = uuid.UUID("5b1f4d0c-9a57-4e5e-8a53-0d8a8e6f2f11")


class AsyncStreams:
    """`q.streams`: `q.streams("webshop")` is a stream, `q.streams.list()` yields all of them."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def __call__(self, name: str, producer: str | None = None) -> AsyncStream:
        """Return the stream of this name, without any request; `producer` writes to it, by default the user's name."""
        return AsyncStream(self._transport, name, producer or self._transport.user)

    async def list(self, *, prefix: str | None = None) -> AsyncIterator[StreamState]:
        """Yield all streams, or those whose names begin with `prefix`, ordered by name."""
        after: str | None = None
        while True:
            params = {"limit": PAGE_SIZE, "prefix": prefix, "after": after}
            page = (await self._transport.get("/api/v1/streams", params=params))["streams"]
            for stream in page:
                yield decode(StreamState, stream)
            if len(page) < PAGE_SIZE:
                return
            after = page[-1]["stream"]


class AsyncStream:
    """A stream, which exists from its first event on; its producer is the only writer."""

    def __init__(self, transport: AsyncTransport, name: str, producer: str) -> None:
        self.name, self.producer = name, producer
        self._transport = transport
        self._path = f"/api/v1/streams/{segment(name)}"

    async def append(
        self,
        event_name: str,
        payload: dict[str, Any],
        *,
        version: int = 1,
        system: dict[str, Any] | None = None,
        trigger: dict[str, Any] | None = None,
        expected_position: int | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Append one event and return its ID; it is durable, and retries append nothing else.

        Raises Locked if the stream has another producer or owner, and Conflict if `expected_position` is not its last
        position. A later call with the same idempotency key must have the same content, including `system["time"]`,
        which is the current time by default.
        """
        event = NewEvent(event_name, payload, version, system, trigger)
        response = await self._transport.request(
            "POST",
            f"{self._path}/events",
            json=event_body(event, self.producer),
            headers=self._headers(expected_position),
            key=idempotency_key,
        )
        return str(parse_json(response))

    async def append_many(
        self,
        events: Iterable[EventLike],
        *,
        expected_position: int | None = None,
        idempotency_key: str | None = None,
    ) -> list[str]:
        """Append many events in order and return their IDs; an event is a NewEvent or `(name, payload)`.

        They are sent in batches of at most 1000 events and 1 MiB, each of which is appended completely or not at all,
        and each with a key of its own. After an error, the batches before it are stored; a later call with the same
        events, including `system["time"]`, and the same idempotency key appends the rest. See `append` for errors.
        """
        ids: list[str] = []
        key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
        bodies = (event_body(event, self.producer) for event in events)
        for number, (batch, _) in enumerate(batches(bodies)):
            position = None if expected_position is None else expected_position + len(ids)
            response = await self._transport.request(
                "POST",
                f"{self._path}/events",
                content=batch,
                headers={"Content-Type": "application/json", **self._headers(position)},
                key=uuid.uuid5(_BATCH_KEYS, f"{number} {key}").hex if number else key,
            )
            ids += parse_json(response)
        return ids

    def _headers(self, expected_position: int | None) -> dict[str, str]:
        headers: dict[str, str] = {"X-Producer-ID": self.producer}
        if expected_position is not None:
            headers["X-Expected-Position"] = str(expected_position)
        return headers

    async def get(self) -> StreamState:
        return decode(StreamState, await self._transport.get(self._path))

    async def event(self, event_id: str) -> Event:
        return decode(Event, await self._transport.get(f"{self._path}/events/{segment(event_id)}"))

    async def events(
        self,
        *,
        start: int = 1,
        name: str | None = None,
        newest_first: bool = False,
        since: datetime | str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Event]:
        """Yield the events that are stored now, regardless of any consumer.

        `start` is the first position, `since` the time from which they were received, `name` their only name, and
        `limit` their number at most.
        """
        if since is not None:
            first = await self._page({"from_time": format_time(since), "limit": 1})
            if not first:
                return
            start = max(start, first[0]["position"])
        key, position = ("before", _MAX_POSITION) if newest_first else ("from", start)
        while (size := PAGE_SIZE if limit is None else min(limit, PAGE_SIZE)) > 0:
            page = await self._page({key: position, "name": name, "limit": size})
            for document in page:
                if document["position"] < start:
                    return
                yield decode(Event, document)
            if len(page) < size:
                return
            position = page[-1]["position"] + (0 if newest_first else 1)
            limit = None if limit is None else limit - size

    async def _page(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        page: list[dict[str, Any]] = await self._transport.get(f"{self._path}/events", params=params)
        return page

    def follow(self, event_name: str = "*", *, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Yield events as they are appended: those after the position `after`, by default only new ones.

        It does not end by itself, and reconnects without a gap or a duplicate for as long as an outage lasts. A stream
        that does not exist yet is followed from its first event on.
        """
        return follow_events(self._transport, self._path, event_name, after)

    def consume(
        self,
        consumer: str,
        event_name: str = "*",
        *,
        lease_seconds: float | None = None,
        batch_size: int | None = None,
        stop_when_empty: bool = False,
    ) -> AsyncConsumption:
        """Return the events that the consumer has not acknowledged, as an iterator that waits for new ones.

        Each event is acknowledged when the next one is requested. See AsyncConsumption for errors, and for the
        difference between `with` and a bare loop. With `lease_seconds`, several programs with the same consumer name
        divide the events between them. `stop_when_empty` ends the loop instead of waiting.
        """
        return AsyncConsumption(
            self._transport,
            self._path,
            consumer,
            event_name,
            lease_seconds=lease_seconds,
            batch_size=batch_size,
            stop_when_empty=stop_when_empty,
        )

    async def consumers(self) -> AsyncIterator[ConsumerState]:
        """Yield the offset of each consumer for each event name that it reads."""
        path, get = f"{self._path}/consumers", self._transport.get
        async for entry in entries_by_offset(get, path, "consumers", identity=itemgetter("consumer", "eventName")):
            yield decode(ConsumerState, entry)

    def consumer(self, name: str) -> AsyncConsumer:
        """Return the consumer of this name, without any request."""
        return AsyncConsumer(self._transport, self._path, name)

    async def schemas(self) -> AsyncIterator[SchemaKey]:
        """Yield the event names and versions that have a JSON Schema."""
        path, get = f"{self._path}/schemas", self._transport.get
        async for entry in entries_by_offset(get, path, "schemas", identity=itemgetter("eventName", "version")):
            yield decode(SchemaKey, entry)

    async def schema(self, event_name: str, version: int = 1) -> Any:
        return await self._transport.get(self._schema_path(event_name, version))

    async def set_schema(self, event_name: str, version: int, schema: dict[str, Any] | bool) -> None:
        """Set the JSON Schema that later payloads of this name and version must match."""
        await self._transport.request("PUT", self._schema_path(event_name, version), json=schema)

    async def delete_schema(self, event_name: str, version: int = 1) -> None:
        await self._transport.request("DELETE", self._schema_path(event_name, version), settled_statuses=[404])

    def _schema_path(self, event_name: str, version: int) -> str:
        return f"{self._path}/schemas/{segment(event_name)}/{version}"

    async def retention(self) -> Retention:
        return decode(Retention, await self._transport.get(f"{self._path}/retention"))

    async def set_retention(self, *, max_age_days: int | None = None, max_events: int | None = None) -> None:
        """Delete older events from now on; a limit that is None does not apply."""
        limits = {"max_age_days": max_age_days, "max_events": max_events}
        await self._transport.request("PUT", f"{self._path}/retention", json=limits)

    async def delete_retention(self) -> None:
        """Keep the events indefinitely."""
        await self._transport.request("DELETE", f"{self._path}/retention")

    async def erase(self, event_id: str) -> None:
        """Erase the payload, system and trigger of an event, for instance personal data; requires the role admin."""
        await self._transport.request("DELETE", f"{self._path}/events/{segment(event_id)}")
