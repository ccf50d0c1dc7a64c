"""Answers as they go out, kept in Redis: one hash for each thing, one field for each way of asking for it.

An answer gets in only in exchange for the hash's token. A reader takes the token before it looks into Postgres, under
the thing's shared lock; a writer takes the hash away, token and all, under the exclusive lock that it holds until after
its commit. So what was read before a write is never put where it could be found after it.
"""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from chassis import logs
from chassis.db import Transaction
from chassis.errors import Invalid
from factory_service.cache.connection import Away, Redis
from factory_service.cache.trust import LEASE_IS_OVER_SECONDS, Trust
from factory_service.store import trust as store
from factory_service.store.trust import State

log = logs.logger(__name__)

LARGEST_BYTES = 4 * 1024 * 1024
_KEPT_SECONDS = 86400
_FILL_MILLISECONDS = 3000
_LOOK_AGAIN_SECONDS = 0.01
_MOST_TRIES = 3
_MOST_REMEMBERED = 1000
# Ways of asking for one thing that are kept beside each other.
_MOST_FIELDS = 200

_BEGIN = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then return {known} end
redis.call('HSETNX', KEYS[1], 't', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local first = redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[3])
return {false, redis.call('HGET', KEYS[1], 't'), first and 1 or 0}
"""
_PUT = """
redis.call('DEL', KEYS[2])
if redis.call('HGET', KEYS[1], 't') ~= ARGV[1] then return 0 end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[5]) then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 't', ARGV[1])
end
redis.call('HSET', KEYS[1], 'e', ARGV[4], ARGV[2], ARGV[3])
return 1
"""


class Entry(NamedTuple):
    """`age_seconds` is told only where it may be old: Postgres cannot be asked."""

    tag: str
    body: bytes
    age_seconds: int | None = None


Load = Callable[[bool], tuple[str, str] | None]


def _key(state: State, entity: str) -> str:
    return f"quintet:factory:{state.generation}:{entity}"


def _packed(tag: str, body: bytes) -> bytes:
    return b"%b %d\n%b" % (tag.encode(), int(time.time()), body)


def _unpacked(raw: bytes, *, is_old: bool) -> Entry:
    head, _, body = raw.partition(b"\n")
    tag, stored_at = head.decode().split(" ")
    return Entry(tag, body, max(0, int(time.time()) - int(stored_at)) if is_old else None)


class Answers:
    """`redis` and `trust` are None where no Redis is configured."""

    def __init__(self, redis: Redis | None, trust: Trust | None) -> None:
        self._redis, self._trust = redis, trust
        self._flights: dict[tuple[str, str], threading.Event] = {}
        self._too_large: set[tuple[str, str]] = set()

    def find(self, entity: str, way: str) -> Entry | None:
        """What Redis has, in one round trip."""
        state, is_old = self._believed()
        return self._get(state, entity, way, is_old=is_old) if state else None

    def find_tag(self, entity: str) -> str | None:
        """Of every way of asking for it, as long as it has not changed."""
        state, is_old = self._believed()
        if state is None or is_old:
            return None
        raw = self._ask(state, ("HGET", _key(state, entity), "e"))
        return raw.decode() if raw else None

    def read(self, entity: str, way: str, load: Load) -> Entry | None:
        """From Redis, else from Postgres, which one reader asks on behalf of all; None where there is no such thing."""
        for _ in range(_MOST_TRIES):
            state, is_old = self._believed()
            if state is None:
                break
            if found := self._get(state, entity, way, is_old=is_old):
                return found
            if is_old or (entity, way) in self._too_large:
                break
            mine = threading.Event()
            flight = self._flights.setdefault((entity, way), mine)
            if flight is not mine:
                # Its answer may be older than this request: what it puts into Redis is not.
                flight.wait(_FILL_MILLISECONDS / 1000)
                continue
            try:
                return self._fill(state, entity, way, load)
            except Away:
                break
            finally:
                del self._flights[entity, way]
                mine.set()
        return _entry(load(False))

    def changing(self, tx: Transaction, *entities: str) -> "Change":
        """To be called last in the transaction that changes them. Until it ends nobody else reads or writes them."""
        state = store.guard(tx, entities)
        change = Change(self._redis, self._trust, state, entities)
        if self._redis is None or not change.take_away():
            store.suspend(tx, state.generation)
        tx.after_commit.append(change.settle)
        return change

    def find_tags(self, entities: list[str]) -> dict[str, str]:
        """Those that Redis has, whatever was believed."""
        state = self._trust.current() if self._trust else None
        if self._redis is None or state is None or state.run_id is None or not entities:
            return {}
        try:
            replies = self._redis.ask(state.run_id, *(("HGET", _key(state, entity), "e") for entity in entities))
        except Away:
            return {}
        pairs = zip(entities, replies, strict=True)
        return {entity: reply.decode() for entity, reply in pairs if isinstance(reply, bytes)}

    def _believed(self) -> tuple[State | None, bool]:
        if self._trust is None:
            return None, False
        state = self._trust.current()
        if state is None:
            return self._trust.last(), True
        return (state, False) if state.run_id else (None, False)

    def _ask(self, state: State, *command: object) -> bytes | None:
        try:
            (reply,) = self._redis.ask(state.run_id, *command)  # type: ignore[union-attr,arg-type]
        except Away:
            self._trust.suspect(state)  # type: ignore[union-attr]
            return None
        return reply if isinstance(reply, bytes) else None

    def _get(self, state: State, entity: str, way: str, *, is_old: bool) -> Entry | None:
        raw = self._ask(state, ("HGET", _key(state, entity), way))
        return _unpacked(raw, is_old=is_old) if raw else None

    def _fill(self, state: State, entity: str, way: str, load: Load) -> Entry | None:
        assert self._redis and state.run_id
        key = _key(state, entity)
        lock = f"{key}:{way}"
        until = time.monotonic() + _FILL_MILLISECONDS / 1000
        while True:
            begin = ("EVAL", _BEGIN, 2, key, lock, way, secrets.token_hex(8), _FILL_MILLISECONDS, _KEPT_SECONDS)
            (reply,) = self._redis.ask(state.run_id, begin)
            if isinstance(reply, Exception):
                raise Away(str(reply))
            if reply[0]:
                return _unpacked(reply[0], is_old=False)
            if reply[2]:
                break
            if time.monotonic() > until:
                return _entry(load(False))
            time.sleep(_LOOK_AGAIN_SECONDS)
        return self._load_and_put(state, key, lock, entity, way, reply[1], load)

    def _load_and_put(
        self, state: State, key: str, lock: str, entity: str, way: str, token: bytes, load: Load
    ) -> Entry | None:
        entry = None
        try:
            entry = _entry(load(True))
        finally:
            put: tuple[object, ...] = ("DEL", lock)
            if entry and len(entry.body) > LARGEST_BYTES:
                self._remember_too_large(entity, way)
            elif entry:
                put = _put(key, lock, token, way, entry)
            self._ask(state, put)
        return entry

    def _remember_too_large(self, entity: str, way: str) -> None:
        if len(self._too_large) > _MOST_REMEMBERED:
            self._too_large.clear()
        self._too_large.add((entity, way))


def _entry(loaded: tuple[str, str] | None) -> Entry | None:
    return Entry(loaded[0], loaded[1].encode()) if loaded else None


def _put(key: str, lock: str, token: str | bytes, way: str, entry: Entry) -> tuple[object, ...]:
    packed = _packed(entry.tag, entry.body)
    return ("EVAL", _PUT, 2, key, lock, token, way, packed, entry.tag, _MOST_FIELDS)


class Change:
    """What a transaction does to things that Redis may hold."""

    def __init__(self, redis: Redis | None, trust: Trust | None, state: State, entities: Sequence[str]) -> None:
        self._redis, self._trust, self._state, self._entities = redis, trust, state, entities
        self._tokens = {entity: secrets.token_hex(8) for entity in entities}
        self._new: list[tuple[str, str, Entry]] = []
        self._is_taken_away = False

    def take_away(self) -> bool:
        """Whether nobody will find there any more what was there."""
        if self._state.run_id is None:
            return True
        commands: list[tuple[object, ...]] = []
        for entity in self._entities:
            key = _key(self._state, entity)
            commands += [("DEL", key), ("HSET", key, "t", self._tokens[entity]), ("EXPIRE", key, _KEPT_SECONDS)]
        try:
            replies = self._redis.ask(self._state.run_id, *commands)  # type: ignore[union-attr]
        except Away as away:
            log.warning("cache.suspended", reason=str(away))
            return False
        self._is_taken_away = all(isinstance(reply, int) for reply in replies[::3])
        return self._is_taken_away

    def put(self, entity: str, way: str, loaded: tuple[str, str] | None) -> None:
        """What it is from the commit on, as its own transaction sees it."""
        entry = _entry(loaded)
        if self._is_taken_away and entry and len(entry.body) <= LARGEST_BYTES:
            self._new.append((entity, way, entry))

    def settle(self) -> None:
        """After the commit, before anybody is told of it."""
        if not self._is_taken_away:
            if self._trust:
                self._trust.wait_until_disbelieved(self._state.generation)
            elif self._state.run_id:
                time.sleep(LEASE_IS_OVER_SECONDS)
            return
        puts = []
        for entity, way, entry in self._new:
            key = _key(self._state, entity)
            puts.append(_put(key, f"{key}:{way}", self._tokens[entity], way, entry))
        if puts:
            try:
                self._redis.ask(self._state.run_id, *puts)  # type: ignore[union-attr,arg-type]
            except Away as away:
                log.info("cache.not_warmed", reason=str(away))


def too_many(what: str, size: int, most: int, advice: str) -> Invalid:
    return Invalid.field(what, f"{size:,} are more than {most:,} in one answer: {advice}")
