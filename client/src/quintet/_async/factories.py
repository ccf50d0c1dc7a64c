"""Factories, their production over time, and sprockets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import TypeAlias

from quintet._async.paging import entries_by_offset
from quintet._async.transport import AsyncTransport, parse_json
from quintet._async.waiting import wait_until_finished
from quintet._decoding import decode, unix_seconds
from quintet._files import FileSource, OnTransfer, open_upload, replacing
from quintet._retry import RetryPolicy
from quintet.errors import LoadFailed
from quintet.models import Bucket, Chart, FactoryState, LoadStatus, Sprocket

Time: TypeAlias = datetime | str | float
Point: TypeAlias = tuple[Time, int, int]
_MAX_BATCH_POINTS = 10_000


class AsyncFactories:
    """`q.factories`: `q.factories(2)` is a factory, `q.factories.list()` yields all of them with their charts."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def __call__(self, factory_id: int) -> AsyncFactory:
        """Return the factory with this ID, without any request."""
        return AsyncFactory(self._transport, factory_id)

    async def list(self, *, newest: int | None = None) -> AsyncIterator[FactoryState]:
        """Yield all factories, ordered by ID; with at most `newest` points each, the newest ones."""
        params, get = {"newest": newest}, self._transport.get
        async for factory in entries_by_offset(
            get, "/api/factories", "factories", identity=itemgetter("id"), params=params
        ):
            yield FactoryState.from_json(factory)

    async def create(self, name: str, points: Iterable[Point] = ()) -> AsyncFactory:
        """Create a factory, and return it; a point is `(time, actual, goal)`."""
        columns = [(unix_seconds(time), actual, goal) for time, actual, goal in points]
        chart = {
            "time": [time for time, _, _ in columns],
            "sprocket_production_actual": [actual for _, actual, _ in columns],
            "sprocket_production_goal": [goal for _, _, goal in columns],
        }
        body = {"name": name, "chart_data": chart} if columns else {"name": name}
        return self(parse_json(await self._transport.request("POST", "/api/factories", json=body))["id"])

    async def load(self, file: FileSource, *, on_progress: OnTransfer | None = None) -> AsyncLoad:
        """Upload a JSON file of factories or sprockets; entries that were loaded before are skipped."""
        return await _upload(self._transport, "/api/factories/load", "application/json", file, on_progress)


class AsyncFactory:
    """A factory and its production over time."""

    def __init__(self, transport: AsyncTransport, factory_id: int) -> None:
        self.id = factory_id
        self._transport = transport
        self._path = f"/api/factory/{factory_id}"

    async def get(self) -> FactoryState:
        return FactoryState.from_json(await self._transport.get(self._path))

    async def delete(self) -> None:
        """Delete the factory and its chart."""
        await self._transport.request("DELETE", self._path, settled_statuses=[404])

    async def record(self, points: Iterable[Point]) -> int:
        """Record production, and return how many points were accepted; they are in the chart within a second.

        A point is `(time, actual, goal)`; of several points with the same time, the one that was recorded last counts.
        """
        accepted, remaining = 0, iter(points)
        while batch := [*islice(remaining, _MAX_BATCH_POINTS)]:
            body = [{"time": unix_seconds(time), "actual": actual, "goal": goal} for time, actual, goal in batch]
            response = await self._transport.request("POST", f"{self._path}/production", json=body)
            accepted += int(parse_json(response)["accepted"])
        return accepted

    async def load_csv(self, file: FileSource, *, on_progress: OnTransfer | None = None) -> AsyncLoad:
        """Upload a CSV file with the columns time, actual and goal; times are Unix seconds or RFC 3339."""
        return await _upload(self._transport, f"{self._path}/production", "text/csv", file, on_progress)

    async def chart(self, *, start: Time | None = None, end: Time | None = None, points: int | None = None) -> Chart:
        """Return the chart from `start` to `end`, both inclusive; `points` limits it, but keeps extremes."""
        params = {**_time_range(start, end), "points": points}
        return Chart.from_json(await self._transport.get(f"{self._path}/chart-data", params=params))

    async def attainment(
        self, bucket: str = "1d", tz: str = "UTC", *, start: Time | None = None, end: Time | None = None
    ) -> list[Bucket]:
        """Compare production with the goal per interval, such as `5m`, `1h`, `1d` or `1w` in the time zone `tz`."""
        params = {**_time_range(start, end), "bucket": bucket, "tz": tz}
        document = await self._transport.get(f"{self._path}/attainment", params=params)
        return [decode(Bucket, entry) for entry in document["buckets"]]

    async def save_points(
        self,
        path: str | os.PathLike[str],
        *,
        start: Time | None = None,
        end: Time | None = None,
        on_progress: OnTransfer | None = None,
    ) -> None:
        """Save all points as a CSV file."""
        with replacing(path) as file:
            params = _time_range(start, end)
            await self._transport.download(f"{self._path}/chart-data.csv", file, params=params, on_progress=on_progress)


class AsyncLoad:
    """The load of one uploaded file."""

    def __init__(self, transport: AsyncTransport, load_id: str) -> None:
        self.id = load_id
        self._transport = transport

    async def status(self) -> LoadStatus:
        return await self._status(None)

    async def _status(self, policy: RetryPolicy | None) -> LoadStatus:
        return decode(LoadStatus, await self._transport.get(f"/api/factories/load/{self.id}", policy=policy))

    async def wait(
        self,
        *,
        timeout_seconds: float | None = None,
        on_progress: Callable[[LoadStatus], object] | None = None,
    ) -> LoadStatus:
        """Wait until the load has ended, and return its status; raise LoadFailed or TimedOut."""
        status = await wait_until_finished(
            self._status,
            f"load {self.id}",
            policy=self._transport.policy,
            timeout_seconds=timeout_seconds,
            on_progress=on_progress,
        )
        if status.status != "SUCCESS":
            raise LoadFailed(status)
        return status


class AsyncSprockets:
    """`q.sprockets`: sprockets, each with four numbers."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self) -> AsyncIterator[Sprocket]:
        """Yield all sprockets, ordered by ID."""
        get = self._transport.get
        async for sprocket in entries_by_offset(get, "/api/sprockets", "sprockets", identity=itemgetter("id")):
            yield decode(Sprocket, sprocket)

    async def create(self, *, teeth: int, pitch_diameter: int, outside_diameter: int, pitch: int) -> Sprocket:
        numbers = {
            "teeth": teeth,
            "pitch_diameter": pitch_diameter,
            "outside_diameter": outside_diameter,
            "pitch": pitch,
        }
        response = await self._transport.request("POST", "/api/sprockets", json=numbers)
        return decode(Sprocket, parse_json(response)["sprocket"])

    async def get(self, sprocket_id: int) -> Sprocket:
        return decode(Sprocket, (await self._transport.get(f"/api/sprocket/{sprocket_id}"))["sprocket"])

    async def update(
        self,
        sprocket_id: int,
        *,
        teeth: int | None = None,
        pitch_diameter: int | None = None,
        outside_diameter: int | None = None,
        pitch: int | None = None,
    ) -> Sprocket:
        """Replace the numbers that are passed."""
        numbers = {
            "teeth": teeth,
            "pitch_diameter": pitch_diameter,
            "outside_diameter": outside_diameter,
            "pitch": pitch,
        }
        change = {name: number for name, number in numbers.items() if number is not None}
        response = await self._transport.request("PATCH", f"/api/sprocket/{sprocket_id}", json=change)
        return decode(Sprocket, parse_json(response)["sprocket"])

    async def delete(self, sprocket_id: int) -> None:
        await self._transport.request("DELETE", f"/api/sprocket/{sprocket_id}", settled_statuses=[404])


def _time_range(start: Time | None, end: Time | None) -> dict[str, int | str | None]:
    return {
        "from": None if start is None else unix_seconds(start),
        "to": None if end is None else unix_seconds(end),
    }


async def _upload(
    transport: AsyncTransport, path: str, content_type: str, file: FileSource, on_progress: OnTransfer | None
) -> AsyncLoad:
    with open_upload(file, on_progress) as source:
        response = await transport.request("POST", path, content=source, headers={"Content-Type": content_type})
    return AsyncLoad(transport, parse_json(response)["id"])
