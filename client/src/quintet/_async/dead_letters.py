"""Dead letters: messages that failed permanently. Requires the role admin."""

from __future__ import annotations

from typing import TypeAlias

from quintet._async.transport import AsyncTransport, parse_json
from quintet._decoding import decode
from quintet._paths import segment
from quintet.models import DeadLetter, Queue

# Within the class, `list` is its method.
_Queues: TypeAlias = list[Queue]
_DeadLetters: TypeAlias = list[DeadLetter]


class AsyncDeadLetters:
    """`q.dead_letters`: the queues of all services, and the messages that failed permanently."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def queues(self) -> _Queues:
        """Return the queues of the services that respond, ordered by name."""
        return [decode(Queue, queue) for queue in (await self._transport.get("/dead-letters"))["queues"]]

    async def list(self, queue: str) -> _DeadLetters:
        """Return the first dead letters of a queue, such as `orders.import`."""
        document = await self._transport.get(_path(queue))
        return [decode(DeadLetter, letter) for letter in document["dead_letters"]]

    async def requeue(self, queue: str, id: str | None = None) -> int:
        """Return one dead letter, or as many as possible within a few seconds, to the queue; return their number."""
        return await self._move("POST", f"{_path(queue)}/retry", id)

    async def delete(self, queue: str, id: str | None = None) -> int:
        """Delete one dead letter, or as many as possible within a few seconds; return their number."""
        return await self._move("DELETE", _path(queue), id)

    async def _move(self, method: str, path: str, id: str | None) -> int:
        # If the response to an attempt was lost, the message is no longer there.
        settled = [] if id is None else [404]
        response = await self._transport.request(method, path, params={"id": id}, settled_statuses=settled)
        return int(parse_json(response)["count"]) if response.is_success else 1


def _path(queue: str) -> str:
    return f"/dead-letters/{segment(queue)}"
