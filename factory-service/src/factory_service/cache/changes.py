"""What a transaction that changes things does to what Redis has of them."""

import secrets
import time
from collections.abc import Sequence

from chassis.runtime import logs
from factory_service.cache import entries
from factory_service.cache.connection import Away, Redis
from factory_service.cache.trust import LEASE_IS_OVER_SECONDS, Trust
from factory_service.store.trust import State

log = logs.logger(__name__)


class Change:
    """What a transaction does to things that Redis may hold."""

    def __init__(self, redis: Redis | None, trust: Trust | None, state: State, entities: Sequence[str]) -> None:
        self._redis, self._trust, self._state, self._entities = redis, trust, state, entities
        self._tokens = {entity: secrets.token_hex(8) for entity in entities}
        self._new: list[tuple[str, str, entries.Entry]] = []
        self._is_confirmed = state.run_id is not None and redis is not None

    def take_away(self) -> bool:
        """Whether nobody will find there any more what was there; where no Redis is believed, that is so anyway."""
        if self._state.run_id is None:
            return True
        commands: list[tuple[object, ...]] = []
        for entity in self._entities:
            key = entries.key_of(self._state, entity)
            commands += [("DEL", key), ("HSET", key, "t", self._tokens[entity]), ("EXPIRE", key, entries.KEPT_SECONDS)]
        try:
            replies = self._redis.ask(self._state.run_id, *commands) if self._redis else [None]
        except Away as away:
            log.warning("cache.suspended", reason=str(away))
            replies = [away]
        self._is_confirmed = all(isinstance(reply, int) for reply in replies[::3])
        return self._is_confirmed

    def put(self, entity: str, way: str, loaded: tuple[str, str] | None) -> None:
        """What it is from the commit on, as its own transaction sees it."""
        entry = entries.entry_of(loaded)
        if self._is_confirmed and entry and len(entry.body) <= entries.LARGEST_BYTES:
            self._new.append((entity, way, entry))

    def settle(self) -> None:
        """After the commit, before anybody is told of it."""
        if self._is_confirmed:
            self._put_new()
        elif self._trust:
            self._trust.wait_until_disbelieved(self._state.generation)
        elif self._state.run_id:
            time.sleep(LEASE_IS_OVER_SECONDS)

    def _put_new(self) -> None:
        puts = []
        for entity, way, entry in self._new:
            key = entries.key_of(self._state, entity)
            puts.append(entries.put(key, f"{key}:{way}", self._tokens[entity], way, entry))
        try:
            if puts and self._redis and self._state.run_id:
                self._redis.ask(self._state.run_id, *puts)
        except Away as away:
            log.info("cache.not_warmed", reason=str(away))
