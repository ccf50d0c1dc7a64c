"""Notifications: a process that waits for new rows is woken by Postgres soon after their commit.

They are hints: one is missing if the writer dies after its commit, or if the waiting process was not connected. A
process that waits for one therefore also reads at intervals. Each schema has one channel, which is named after it.
"""

import select
import socket
import threading
import time
from collections.abc import Callable

from chassis.db.connection import Connection
from chassis.errors import Unavailable
from chassis.runtime import logs

log = logs.logger(__name__)

MIN_INTERVAL_SECONDS = 0.02
_RETRY_SECONDS, _LINGER_SECONDS = 1.0, 60.0
# Only for this statement, the commit does not wait for the disk: a lost notification is harmless.
NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(current_schema(), '')"
_LISTEN = "DO $$ BEGIN EXECUTE format('LISTEN %I', current_schema()); END $$"


class Notifier:
    """Notifies from a separate thread: immediately, but for all commits within 20 ms only once.

    Postgres commits transactions that notify one after the other, so the transactions of requests do not notify. The
    thread ends if no notification has been requested for a minute.
    """

    def __init__(self, notify: Callable[[], object]) -> None:
        self._notify = notify
        self._is_requested = threading.Event()
        self._lock = threading.Lock()
        self._is_running = False

    def request(self) -> None:
        """Notify soon. This never fails, because it follows a commit."""
        with self._lock:
            self._is_requested.set()
            if self._is_running:
                return
            try:
                threading.Thread(target=self._run, name="notifier", daemon=True).start()
                self._is_running = True
            except RuntimeError:
                log.exception("notifier.not_started")

    def _run(self) -> None:
        while self._must_continue():
            self._is_requested.clear()
            pause_seconds = MIN_INTERVAL_SECONDS
            try:
                self._notify()
            except Unavailable as problem:
                log.warning("notifier.unavailable", reason=problem.detail)
                self._is_requested.set()
                pause_seconds = _RETRY_SECONDS
            except Exception:
                log.exception("notifier.failed")
            time.sleep(pause_seconds)

    def _must_continue(self) -> bool:
        self._is_requested.wait(_LINGER_SECONDS)
        with self._lock:
            self._is_running = self._is_requested.is_set()
            return self._is_running


def listen(connection: Connection) -> None:
    """Receive the notifications of the schema on this connection, which must be in autocommit mode."""
    with connection.cursor() as cursor:
        cursor.execute(_LISTEN)


def received(connection: Connection) -> set[str]:
    """Return the payloads that have arrived since the last call. Raises an error if the connection is lost."""
    # The first call reads what Postgres sent before it closed the connection; the second detects the close.
    connection.poll()
    connection.poll()
    payloads = {notification.payload for notification in connection.notifies}
    connection.notifies.clear()
    return payloads


def wait(connection: Connection, seconds: float, *sockets: socket.socket) -> bool:
    """Wait for a notification or until one of the sockets is readable; return False if the time has passed."""
    if received(connection):
        return True
    # Unlike select(), poll() accepts descriptors above 1023: a process may have thousands of clients.
    poll = select.poll()
    for descriptor in (connection.fileno(), *(other.fileno() for other in sockets)):
        poll.register(descriptor, select.POLLIN)
    is_ready = bool(poll.poll(seconds * 1000))
    return bool(received(connection)) or is_ready
