"""Parser of server-sent events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSentEvent:
    """A message and the ID to resume after."""

    id: str
    data: str


class SseParser:
    """Collects bytes into messages, as the HTML standard defines them; `last_id` is the ID to resume after.

    Lines end with LF or CRLF only: `str.splitlines` would also split data that contains U+2028.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_seconds: float | None = None
        self._pending_id = last_id
        self._data: list[str] = []
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Add received bytes; yield the messages that they complete."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if message := self._add_line(line.removesuffix(b"\r").decode("utf-8", "replace")):
                yield message

    def _add_line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._pending_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_seconds = int(value) / 1000
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        # Only a complete message moves the ID: the connection may break within one.
        self.last_id = self._pending_id
        data, self._data = self._data, []
        return ServerSentEvent(self.last_id, "\n".join(data)) if data else None

    def reset(self) -> None:
        """Discard an incomplete message, before the next connection."""
        self._pending_id, self._data, self._rest = self.last_id, [], b""
