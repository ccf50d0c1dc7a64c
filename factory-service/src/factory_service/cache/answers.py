"""Answers as they go out, kept in Redis: one hash for each thing, one field for each way of asking for it.

An answer gets in only in exchange for the hash's token. A reader takes the token before it looks into Postgres, under
the thing's shared lock; a writer takes the hash away, token and all, under the exclusive lock that it holds until after
its commit. So what was read before a write is never put where it could be found after it.
"""

import threading
import time

from chassis.db import Transaction
from chassis.runtime.batching import Batcher
from factory_service.cache import entries
from factory_service.cache.changes import Change
from factory_service.cache.connection import Away, Redis
from factory_service.cache.trust import Trust
from factory_service.store import trust as store
from factory_service.store.trust import State

_LOOK_AGAIN_SECONDS = 0.01
_MOST_TRIES = 3
_MOST_REMEMBERED = 1000


Get = tuple[State, str, str]


def _look_once(loads: list[entries.Load]) -> list[entries.Loaded]:
    return [loads[0](False)] * len(loads)


class Answers:
    """`redis` and `trust` are None where no Redis is configured."""

    def __init__(self, redis: Redis | None, trust: Trust | None) -> None:
        self._redis, self._trust = redis, trust
        self._gets: Batcher[Get, bytes | None] = Batcher(self._get_together)
        self._loads: dict[tuple[str, str], tuple[int, Batcher[entries.Load, entries.Loaded]]] = {}
        self._lock = threading.Lock()
        self._flights: dict[tuple[str, str], threading.Event] = {}
        self._too_large: set[tuple[str, str]] = set()

    def find(self, entity: str, way: str) -> entries.Entry | None:
        """What Redis has, in one round trip."""
        state, is_old = self._believed()
        return self._get(state, entity, way, is_old=is_old) if state else None

    def read(self, entity: str, way: str, load: entries.Load) -> entries.Entry | None:
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
                flight.wait(entries.FILL_MILLISECONDS / 1000)
                continue
            try:
                return self._fill(state, entity, way, load)
            except Away:
                break
            finally:
                del self._flights[entity, way]
                mine.set()
        return self._load_together(entity, way, load)

    def _load_together(self, entity: str, way: str, load: entries.Load) -> entries.Entry | None:
        """Who comes while another looks for the same shares the next look, not that one: it may be too old for him."""
        key = entity, way
        with self._lock:
            users, together = self._loads.get(key) or (0, Batcher(_look_once))
            self._loads[key] = users + 1, together
        try:
            return entries.entry_of(together.submit(load))
        finally:
            with self._lock:
                users, together = self._loads.pop(key)
                if users > 1:
                    self._loads[key] = users - 1, together

    def changing(self, tx: Transaction, *entities: str) -> Change:
        """To be called last in the transaction that changes them. Until it ends nobody else reads or writes them."""
        state = store.guard(tx, entities)
        change = Change(self._redis, self._trust, state, entities)
        if not change.take_away():
            store.suspend(tx, state.generation)
        tx.after_commit.append(change.settle)
        return change

    def settle(self, tx: Transaction) -> None:
        """After the commit, as after a change that somebody else made and did not see through."""
        tx.after_commit.append(Change(self._redis, self._trust, store.find_state(tx), ()).settle)

    def find_tags(self, entities: list[str]) -> dict[str, str]:
        """Those that Redis has, whatever was believed."""
        state = self._trust.current() if self._trust else None
        if self._redis is None or state is None or state.run_id is None or not entities:
            return {}
        try:
            asked = (("HGET", entries.key_of(state, entity), "e") for entity in entities)
            replies = self._redis.ask(state.run_id, *asked)
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

    def _ask(self, state: State, *commands: tuple[object, ...]) -> list[bytes | None]:
        try:
            replies = self._redis.ask(state.run_id, *commands)  # type: ignore[union-attr,arg-type]
        except Away:
            self._trust.suspect(state)  # type: ignore[union-attr]
            return [None] * len(commands)
        return [reply if isinstance(reply, bytes) else None for reply in replies]

    def _get(self, state: State, entity: str, way: str, *, is_old: bool) -> entries.Entry | None:
        raw = self._gets.submit((state, entity, way))
        return entries.unpacked(raw, is_old=is_old) if raw else None

    def _get_together(self, gets: list[Get]) -> list[bytes | None]:
        """Those who ask at the same time share a round trip, and those who ask for the same the answer."""
        state = gets[0][0]
        places = {get: place for place, get in enumerate(dict.fromkeys(get for get in gets if get[0] == state))}
        found = self._ask(state, *(("HGET", entries.key_of(state, entity), way) for _, entity, way in places))
        # Who believes another Redis than the first looks into Postgres, once.
        return [found[places[get]] if get in places else None for get in gets]

    def _fill(self, state: State, entity: str, way: str, load: entries.Load) -> entries.Entry | None:
        assert self._redis and state.run_id
        key = entries.key_of(state, entity)
        lock = f"{key}:{way}"
        until = time.monotonic() + entries.FILL_MILLISECONDS / 1000
        while True:
            (reply,) = self._redis.ask(state.run_id, entries.begin(key, lock, way))
            if isinstance(reply, Exception):
                raise Away(str(reply))
            if reply[0]:
                return entries.unpacked(reply[0], is_old=False)
            if reply[2]:
                break
            if time.monotonic() > until:
                return entries.entry_of(load(False))
            time.sleep(_LOOK_AGAIN_SECONDS)
        return self._load_and_put(state, key, lock, entity, way, reply[1], load)

    def _load_and_put(
        self, state: State, key: str, lock: str, entity: str, way: str, token: bytes, load: entries.Load
    ) -> entries.Entry | None:
        entry = None
        try:
            entry = entries.entry_of(load(True))
        finally:
            put: tuple[object, ...] = ("DEL", lock)
            if entry and len(entry.body) > entries.LARGEST_BYTES:
                self._remember_too_large(entity, way)
            elif entry:
                put = entries.put(key, lock, token, way, entry)
            self._ask(state, put)
        return entry

    def _remember_too_large(self, entity: str, way: str) -> None:
        if len(self._too_large) > _MOST_REMEMBERED:
            self._too_large.clear()
        self._too_large.add((entity, way))
