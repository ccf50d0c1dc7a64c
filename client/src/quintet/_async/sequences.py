"""Sequences: numbers that are issued once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import itemgetter
from typing import Literal

from quintet._async.paging import PAGE_SIZE, entries_by_offset
from quintet._async.transport import AsyncTransport, parse_json
from quintet._decoding import decode
from quintet._paths import segment
from quintet.models import IssuedNumbers, IssuedRange, Sequence

MAX_NUMBER = 2**63 - 1


class AsyncSequences:
    """`q.sequences`: named counters. Numbers issued to one caller are issued to no other caller within a cycle."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def next(self, name: str, n: int = 1, *, idempotency_key: str | None = None) -> IssuedNumbers:
        """Issue the next `n` numbers, which are contiguous; raise Conflict if the sequence has fewer left.

        Retries issue no other numbers. A later call with the same idempotency key returns the same ones.
        """
        response = await self._transport.request("POST", f"{_path(name)}/next", json={"n": n}, key=idempotency_key)
        return decode(IssuedNumbers, parse_json(response))

    async def list(self) -> AsyncIterator[Sequence]:
        """Yield all sequences, ordered by name, including the four built-in ones."""
        get = self._transport.get
        async for sequence in entries_by_offset(get, "/sequences", "sequences", identity=itemgetter("name")):
            yield decode(Sequence, sequence)

    async def get(self, name: str) -> Sequence:
        return decode(Sequence, await self._transport.get(_path(name)))

    async def create(
        self,
        name: str,
        *,
        minimum: int = 1,
        maximum: int = MAX_NUMBER,
        cycle: bool = False,
        format: str = "{}",
        reset: Literal["year", "month", "day"] | None = None,
        timezone: str = "UTC",
        audit: bool = False,
    ) -> Sequence:
        """Create a sequence; do nothing if one with this definition exists, and raise Conflict if a different one does.

        `format` has one number field, such as `INV-{:05d}`, and with `reset` the fields of the period, such as
        `INV-{year}-{:04d}`. `audit` records who received which numbers.
        """
        definition = {
            "minimum": minimum,
            "maximum": maximum,
            "cycle": cycle,
            "format": format,
            "reset": reset,
            "timezone": timezone,
            "audit": audit,
        }
        return decode(Sequence, parse_json(await self._transport.request("PUT", _path(name), json=definition)))

    async def update(self, name: str, *, next: int | None = None, maximum: int | None = None) -> Sequence:
        """Skip forward to `next`, or extend the range to `maximum`; neither can be moved backwards."""
        change = {key: value for key, value in (("next", next), ("maximum", maximum)) if value is not None}
        return decode(Sequence, parse_json(await self._transport.request("PATCH", _path(name), json=change)))

    async def delete(self, name: str) -> None:
        """Delete a sequence. Its name stays reserved: the same definition revives it where it stopped."""
        await self._transport.request("DELETE", _path(name), settled_statuses=[404])

    async def issued(self, name: str, *, number: int | None = None) -> AsyncIterator[IssuedRange]:
        """Yield who received which numbers, newest first; raise Conflict if the sequence has no `audit`."""
        before: int | None = None
        while True:
            params = {"number": number, "before": before, "limit": PAGE_SIZE}
            page = (await self._transport.get(f"{_path(name)}/issued", params=params))["issued"]
            for entry in page:
                yield decode(IssuedRange, entry)
            if len(page) < PAGE_SIZE:
                return
            before = page[-1]["id"]


def _path(name: str) -> str:
    return f"/sequences/{segment(name)}"
