"""The gunicorn configuration of every service; settings that differ between services are arguments (chassis.cli)."""

import gc
import json
import os
import resource
import shutil
import signal
import socket
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from gevent import monkey
from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.workers import ggevent

from chassis.runtime import logs
from chassis.runtime.config import metrics_directory

timeout = 30
graceful_timeout = 20
# Longer than nginx keeps an idle connection, so that nginx never uses one that is being closed.
keepalive = 75
worker_connections = 2000
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
control_socket_disable = True
# nginx limits request lines, and its error response follows the contract.
limit_request_line = 0
forwarded_allow_ips = ""
forwarder_headers = ""
header_map = "drop"
max_requests = 1_000_000
max_requests_jitter = 100_000

_MIN_OPEN_FILES = 16384
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_TCP_KEEPALIVE_OPTIONS = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 4}


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Logs gunicorn's own lines in the format of the service. The app logs the requests (`request.handled`)."""

    def setup(self, cfg: Any) -> None:
        logs.configure(cfg.proc_name, cfg.loglevel)

    def access(self, *_: Any, **__: Any) -> None:
        pass


logger_class = JsonLogger


def _write_problem(client: socket.socket, status: int, reason: str, _message: str) -> None:
    """Send a problem document, as for every other error, in response to bytes that cannot be parsed as a request."""
    body = json.dumps({"type": "about:blank", "title": reason, "status": status, "detail": "the request is malformed"})
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
    util.write_nonblock(client, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1"))


class GeventWorker(ggevent.GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker that inherits the patched modules, and patches only what the arbiter must not."""

    def patch(self) -> None:
        with warnings.catch_warnings():
            # gevent warns that this adds patches to those of the arbiter, as it should.
            warnings.simplefilter("ignore", monkey.MonkeyPatchWarning)
            super().patch()


worker_class = GeventWorker

# gunicorn has no setting for this.
util.write_error = _write_problem


def on_starting(_server: Any) -> None:
    """Raise the limit on open files: every waiting client holds one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MIN_OPEN_FILES if hard == resource.RLIM_INFINITY else min(_MIN_OPEN_FILES, hard)
    if soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def when_ready(server: Any) -> None:
    """Prepare what the workers inherit: listeners, and the imported modules, whose memory they share."""
    _enable_keepalive(server)
    # Before the import, because modules bind what is patched. gunicorn reaps its workers with the original functions.
    monkey.patch_all(os=False, signal=False)
    # The app itself is created in each worker: its connections, metrics and threads must not be inherited.
    import_module(server.app.app_uri.partition(":")[0])
    # Otherwise the garbage collector of a worker would write to each object, and thereby copy the shared memory.
    gc.collect()
    gc.freeze()


def _enable_keepalive(server: Any) -> None:
    """Detect within 30 s that a client disappeared without closing its connection."""
    for listener in server.LISTENERS:
        if listener.sock.family != socket.AF_UNIX:
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _TCP_KEEPALIVE_OPTIONS.items():
                listener.sock.setsockopt(socket.IPPROTO_TCP, option, value)


def post_fork(_server: Any, _worker: Any) -> None:
    """Let SIGTERM end a worker that has not installed its handlers yet: the inherited handlers would swallow it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def post_worker_init(worker: Any) -> None:
    """Prepare a worker process: cooperative waits for Postgres, a stop flag for the app, less garbage collection."""
    # Imported only after gevent has patched the process.
    from chassis.db.connection import enable_gevent

    enable_gevent()
    worker.wsgi.is_stopping = lambda: not worker.alive
    # Reference counting frees what a request allocates. With the default threshold, almost every body triggers a search
    # for reference cycles, which takes 14 % of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    logs.delay_lines()


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a worker process that has ended; its counts remain."""
    # As prometheus_client's mark_process_dead does, whose import would cost the arbiter memory.
    if directory := metrics_directory():
        for file in Path(directory).glob(f"gauge_live*_{worker.pid}.db"):
            file.unlink(missing_ok=True)


def on_exit(_server: Any) -> None:
    if directory := metrics_directory():
        shutil.rmtree(directory, ignore_errors=True)
