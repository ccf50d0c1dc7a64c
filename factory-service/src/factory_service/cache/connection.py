"""Redis, asked in one round trip; away for a second once it did not answer in time."""

import threading
import time
from typing import Any

import redis

from chassis.runtime import logs

log = logs.logger(__name__)

_AWAY_SECONDS = 1.0
Error = redis.RedisError


class Away(Exception):
    """Redis did not confirm: what was asked may have been done, or may still be."""


class Link:
    """A connection, and which run of which server is at its other end."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._connection: Any = pool.make_connection()
        self._connection.connect()
        (info,) = self.ask([("INFO", "server")])
        lines = info.decode().splitlines()
        self.run_id = next(line.partition(":")[2] for line in lines if line.startswith("run_id:"))

    def ask(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """A reply for each; one that was refused is an exception."""
        connection = self._connection
        if len(commands) == 1:
            connection.send_packed_command(connection.pack_command(*commands[0]), check_health=False)
        else:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        return [self._reply() for _ in commands]

    def _reply(self) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as refused:
            return refused

    def close(self) -> None:
        self._connection.disconnect()


class Redis:
    """One connection for each that asks at the same time; all are dropped when one breaks."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._pool = redis.ConnectionPool.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, retry=None
        )
        self._idle: list[Link] = []
        self._away_until = 0.0
        self._lock = threading.Lock()

    @property
    def is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def run_id(self) -> str:
        """Of the server that answers now."""
        link = self._take()
        self._idle.append(link)
        return link.run_id

    def ask(self, run_id: str, *commands: tuple[Any, ...]) -> list[Any]:
        """Raises Away also where another run of the server answers than the one that is meant."""
        link = self._take()
        try:
            if link.run_id != run_id:
                raise Away("another Redis than the one that is trusted")
            replies = link.ask(list(commands))
        except Away:
            self._idle.append(link)
            raise
        except (redis.RedisError, OSError) as error:
            self._drop(link)
            raise self._away(error) from error
        except BaseException:
            # A reply may be on its way: nobody else must get it.
            link.close()
            raise
        self._idle.append(link)
        return replies

    def _take(self) -> Link:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        if self.is_away:
            raise Away("it was away a moment ago")
        try:
            return Link(self._pool)
        except (redis.RedisError, OSError, AttributeError, StopIteration) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> Away:
        if not self.is_away:
            log.warning("redis.away", reason=repr(error))
        self._away_until = time.monotonic() + _AWAY_SECONDS
        return Away(str(error))

    def _drop(self, link: Link) -> None:
        idle, self._idle = self._idle, []
        for dropped in [link, *idle]:
            try:
                dropped.close()
            except (redis.RedisError, OSError):
                pass
