"""Whether this process may believe Redis: for half a second after Postgres has said so."""

import threading
import time

from chassis.db import Database
from chassis.errors import Unavailable
from chassis.runtime import logs
from factory_service.cache.connection import Away, Redis
from factory_service.store import trust as store
from factory_service.store.trust import State

log = logs.logger(__name__)

LEASE_SECONDS = 0.5
# What was believed when it began, a tenth more for clocks that differ.
LEASE_IS_OVER_SECONDS = 0.6
_ASK_EVERY_SECONDS = 0.2
_WANTED_FOR_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.05
# Four seconds of those in which this process runs: one that was held up finds what has come before its next look.
_MOST_LOOKS = 80
_MOST_REMEMBERED = 100
# For a process that starts while Postgres is away: which keys were believed last.
POINTER = "quintet:factory:trusted"

# Goes on while the machine sleeps, where there is such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    return time.clock_gettime(_CLOCK)


class Trust:
    def __init__(self, database: Database, redis: Redis) -> None:
        self._database, self._redis = database, redis
        self.state: State | None = None
        self._asked_at = self._until = 0.0
        self._wanted_until = 0.0
        self._is_asking = False
        self._suspect = ""
        self._answered = threading.Event()
        self._lock = threading.Lock()
        # When this process first saw that Redis must not be believed, by generation.
        self._suspended_at: dict[str, float] = {}
        self.postgres_is_silent = False

    def current(self) -> State | None:
        """As Postgres said less than half a second ago, or since this began; None where it does not answer at all."""
        moment = now()
        if moment < self._until:
            if moment > self._wanted_until - _WANTED_FOR_SECONDS / 2:
                self._want(moment)
            return self.state
        for _ in range(_MOST_LOOKS):
            self._want(now())
            if self.postgres_is_silent:
                return None
            self._answered.clear()
            self._answered.wait(_LOOK_AGAIN_SECONDS)
            if now() < self._until or self._asked_at >= moment:
                return self.state
        self.postgres_is_silent = True
        return None

    def last(self) -> State | None:
        """What was believed before Postgres fell silent; None if that was nothing."""
        if self.state is None:
            try:
                (found,) = self._redis.ask(self._redis.run_id(), ("GET", POINTER))
                self.state = State(*found.decode().split()) if found else None
            except Away:
                return None
        return self.state if self.state and self.state.run_id else None

    def suspect(self, state: State) -> None:
        """That Redis is not there any more: Postgres will be told."""
        self._suspect = state.generation

    def wait_until_disbelieved(self, generation: str) -> None:
        """Before anybody is told of a change: nobody believes any longer what Redis had before it."""
        until = self._first_seen(generation) + LEASE_IS_OVER_SECONDS
        while (left := until - now()) > 0:
            time.sleep(left)

    def _first_seen(self, generation: str) -> float:
        while len(self._suspended_at) > _MOST_REMEMBERED:
            self._suspended_at.pop(next(iter(self._suspended_at)))
        return self._suspended_at.setdefault(generation, now())

    def _want(self, moment: float) -> None:
        with self._lock:
            self._wanted_until = moment + _WANTED_FOR_SECONDS
            starts, self._is_asking = not self._is_asking, True
        if starts:
            threading.Thread(target=self._ask_while_wanted, daemon=True, name="trust").start()

    def _ask_while_wanted(self) -> None:
        while True:
            self._ask()
            time.sleep(_ASK_EVERY_SECONDS)
            with self._lock:
                self._is_asking = now() < self._wanted_until
                if not self._is_asking:
                    return

    def _ask(self) -> None:
        began = now()
        try:
            state = self._find_state()
        except Exception as error:
            # Whatever it was: this thread has to live, or Redis would never be believed again.
            if not self.postgres_is_silent:
                log.warning("trust.not_asked", reason=repr(error))
            self.postgres_is_silent = True
            self._answered.set()
            return
        self.state, self._asked_at, self._until = state, began, began + LEASE_SECONDS
        self.postgres_is_silent = False
        self._answered.set()
        try:
            self._follow_up(state)
        except Exception as error:
            log.info("trust.not_changed", reason=repr(error))

    def _find_state(self) -> State:
        """A connection that broke says nothing of Postgres: a new one does."""
        try:
            return self._database_says()
        except Unavailable:
            return self._database_says()

    def _database_says(self) -> State:
        with self._database.statements() as tx:
            return store.find_state(tx)

    def _follow_up(self, state: State) -> None:
        if state.run_id:
            if self._suspect == state.generation and self._redis.run_id() != state.run_id:
                with self._database.transaction() as tx:
                    store.suspend(tx, state.generation)
            return
        if now() < self._first_seen(state.generation) + LEASE_IS_OVER_SECONDS:
            return
        run_id = self._redis.run_id()
        self._redis.ask(run_id, ("PING",))
        with self._database.transaction() as tx:
            resumed = store.resume(tx, state.generation, run_id)
        if resumed:
            log.info("trust.resumed", generation=resumed.generation)
            self._redis.ask(run_id, ("SET", POINTER, " ".join(map(str, resumed))))
