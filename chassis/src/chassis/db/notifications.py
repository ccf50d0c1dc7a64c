"""Notifications: a process that waits for new rows is woken by Postgres soon after their commit.

They are hints: one is missing if the writer dies after its commit, or if the waiting process was not connected. A
process that waits for one therefore also reads at intervals. Each schema has one channel, which is named after it.
"""

import select
import threading
import time
from collections.abc import Callable

from chassis.db.connection import Connection
from chassis.errors import Unavailable
from chassis.runtime import logs

log = logs.logger(__name__)

_MIN_INTERVAL_SECONDS = 0.02
# Nothing is lost if the notification is not on disk. `true`: for this statement only.
NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(current_schema(), '')"


class Notifier:
    """Notifies from a separate thread: at once, but for all commits within 20 ms only once.

    Postgres commits transactions that notify one after the other, so the transactions of requests do not notify.
    """

    def __init__(self, notify: Callable[[], object]) -> None:
        self._notify = notify
        self._is_requested = threading.Event()
        self._lock = threading.Lock()
        self._is_running = False

    def request(self) -> None:
        self._is_requested.set()
        with self._lock:
            must_start, self._is_running = not self._is_running, True
        if must_start:
            threading.Thread(target=self._run, name="notifier", daemon=True).start()

    def _run(self) -> None:
        while self._is_requested.wait():
            self._is_requested.clear()
            try:
                self._notify()
            except Unavailable as problem:
                log.warning("notifier.unavailable", reason=problem.detail)
            except Exception:
                log.exception("notifier.failed")
            time.sleep(_MIN_INTERVAL_SECONDS)


def listen(connection: Connection) -> None:
    """Receive the notifications of the schema on this connection, which must be in autocommit mode."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (channel,) = cursor.fetchone() or ("",)
        cursor.execute(f"LISTEN {channel}")


def has_arrived(connection: Connection) -> bool:
    """Return whether a notification has arrived since the last call. Raises an error if the connection is lost."""
    # The first call reads what Postgres sent before it closed the connection; the second detects the close.
    connection.poll()
    connection.poll()
    has_notification = bool(connection.notifies)
    connection.notifies.clear()
    return has_notification


def wait(connection: Connection, seconds: float) -> None:
    """Wait for a notification, at most for this time."""
    if not has_arrived(connection):
        # Unlike select(), poll() accepts descriptors above 1023: a process may have thousands of clients.
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        poll.poll(seconds * 1000)
        has_arrived(connection)
