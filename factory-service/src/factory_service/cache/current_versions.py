"""Reads the current versions of resources from Postgres; each read begins after the requests that it serves."""

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

from chassis.db import Database
from chassis.errors import Unavailable
from factory_service.store.versions import find_versions

# Postgres counts as down if it does not respond within 80 polls of 50 ms. Counting polls instead of elapsed time
# excludes the time during which this process itself was suspended.
_MAX_POLLS = 80
_POLL_SECONDS = 0.05


class CurrentVersions:
    """Reads versions over a dedicated connection, so that no other statement delays them.

    Not safe for concurrent use. `database` must have a pool of exactly one connection.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="versions")
        self._pending_read: Future[dict[str, str]] = Future()
        self._is_unresponsive = False

    def find(self, resources: Collection[str]) -> dict[str, str]:
        """Return the versions of existing resources. Raise Unavailable only if Postgres is down, not if it is slow."""
        if self._is_unresponsive and not self._pending_read.done():
            raise Unavailable("the database is unreachable")
        try:
            self._pending_read = self._executor.submit(self._find, resources)
        except RuntimeError as error:
            # A process whose parent was killed ends at once, with requests that it has not answered.
            raise Unavailable("the service is being restarted") from error
        for _ in range(1 if self._is_unresponsive else _MAX_POLLS):
            try:
                return self._pending_read.result(_POLL_SECONDS)
            except TimeoutError:
                pass
        self._is_unresponsive = True
        raise Unavailable("the database is unreachable")

    def _find(self, resources: Collection[str], *, is_retry: bool = False) -> dict[str, str]:
        try:
            with self._database.statements() as tx:
                versions = find_versions(tx, resources)
        except Unavailable:
            if is_retry:
                raise
            # A broken connection does not mean that Postgres is down: a new connection shows whether it is.
            return self._find(resources, is_retry=True)
        self._is_unresponsive = False
        return versions
