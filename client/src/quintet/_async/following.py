"""Following a stream with server-sent events."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator

import httpx

from quintet._async.transport import AsyncTransport
from quintet._decoding import decode
from quintet._retry import Attempts, Backoff, RetryPolicy
from quintet._sse import SseParser
from quintet.models import Event

# The service sends a comment every 15 seconds.
_LIVE_TIMEOUT_SECONDS = 60.0
_RECONNECT_SECONDS = 1.0


async def follow_events(
    transport: AsyncTransport, stream_path: str, event_name: str, after: int | None
) -> AsyncGenerator[Event, None]:
    """Yield events as they are appended, and reconnect after the last one, indefinitely.

    `after` is a position; None begins with the next event.
    """
    parser = SseParser("" if after is None else str(after))
    backoff = Backoff(RetryPolicy(total_seconds=None))
    while True:
        request_id = uuid.uuid4().hex
        attempts = Attempts(backoff, request_id=request_id, is_read=True)
        headers = {"Accept": "text/event-stream", "X-Request-ID": request_id}
        headers |= {"Last-Event-ID": parser.last_id} if parser.last_id else {}
        delay: float | None
        try:
            async with transport.stream(
                f"{stream_path}/live",
                params={"eventName": event_name},
                headers=headers,
                read_timeout_seconds=_LIVE_TIMEOUT_SECONDS,
            ) as response:
                if response.is_success:
                    backoff.reset()
                    async for chunk in response.aiter_bytes():
                        for message in parser.feed(chunk):
                            yield decode(Event, json.loads(message.data))
                    delay = parser.retry_seconds or _RECONNECT_SECONDS
                else:
                    body = await response.aread()
                    delay = attempts.after_response(response.status_code, response.headers, body)
        except httpx.RequestError as failure:
            delay = attempts.after_failure(failure)
        parser.reset()
        await asyncio.sleep(delay or 0.0)
