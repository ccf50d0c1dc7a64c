"""The current versions of things, as Postgres states them after the request for them began."""

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

from chassis.db import Database
from chassis.errors import Unavailable
from factory_service.store.versions import find_versions

# Postgres counts as down if it does not respond within four seconds of which this process ran all the time: one that
# was suspended itself finds the response at its next look.
_LOOKS = 80
_LOOK_SECONDS = 0.05


class CurrentVersions:
    """`database` has a single connection for this purpose: no other statement makes it wait. One caller at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="versions")
        self._statement: Future[dict[str, str]] = Future()
        self._is_silent = False

    def find(self, things: Collection[str]) -> dict[str, str]:
        """Without those that do not exist. Raises Unavailable only if Postgres is down, not if it is slow."""
        if self._is_silent and not self._statement.done():
            raise Unavailable("the database is unreachable")
        self._statement = self._thread.submit(self._find, things)
        for _ in range(1 if self._is_silent else _LOOKS):
            try:
                return self._statement.result(_LOOK_SECONDS)
            except TimeoutError:
                pass
        self._is_silent = True
        raise Unavailable("the database is unreachable")

    def _find(self, things: Collection[str], *, is_retry: bool = False) -> dict[str, str]:
        try:
            with self._database.statements() as tx:
                versions = find_versions(tx, things)
        except Unavailable:
            if is_retry:
                raise
            # A connection that broke does not mean that Postgres is down: a new one shows whether it is.
            return self._find(things, is_retry=True)
        self._is_silent = False
        return versions
