"""gunicorn's settings for every service; what differs between services comes as arguments (chassis.cli)."""

import gc
import json
import os
import resource
import shutil
import signal
import socket
from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger

from chassis.runtime import logs
from chassis.runtime.config import metrics_folder

timeout = 30
graceful_timeout = 20
# Longer than nginx keeps an idle connection, so that it never picks one that is being closed.
keepalive = 75
worker_connections = 2000
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
control_socket_disable = True
# nginx bounds request lines, with an answer of ours.
limit_request_line = 0
forwarded_allow_ips = ""
forwarder_headers = ""
header_map = "drop"
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_KEEPALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 4}
max_requests = 1_000_000
max_requests_jitter = 100_000


class JsonLogger(Logger):
    """gunicorn's own lines in our shape. Requests are logged once, by the gateway."""

    def setup(self, cfg: Any) -> None:
        logs.configure(cfg.proc_name, cfg.loglevel)

    def access(self, *_: Any, **__: Any) -> None:
        pass


logger_class = JsonLogger


def _write_problem(client: Any, status: int, reason: str, _message: str) -> None:
    """What cannot be read as a request is told in the shape that every other error has."""
    body = json.dumps({"type": "about:blank", "title": reason, "status": status, "detail": "the request is malformed"})
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
    util.write_nonblock(client, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1"))


# gunicorn has no setting for it.
util.write_error = _write_problem


def on_starting(_server: Any) -> None:
    """A thousand waiting readers are a thousand open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16384 if hard == resource.RLIM_INFINITY else min(16384, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def when_ready(server: Any) -> None:
    """Find out within half a minute that a client is gone without a word (a cut network)."""
    for listener in server.LISTENERS:
        if listener.sock.family != socket.AF_UNIX:
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE.items():
                listener.sock.setsockopt(socket.IPPROTO_TCP, option, value)


def post_fork(_server: Any, _worker: Any) -> None:
    """Told to end before it has handlers of its own, it ends: the master's, which it inherits, would swallow that."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def post_worker_init(worker: Any) -> None:
    """What waits on purpose can see that the process wants to end."""
    # Not before gevent has patched the process.
    from chassis.db.connection import enable_gevent

    enable_gevent()
    worker.wsgi.is_stopping = lambda: not worker.alive
    # What a request leaves behind is freed by counting; looking for cycles after each body of JSON costs a seventh.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def on_exit(_server: Any) -> None:
    if folder := metrics_folder():
        shutil.rmtree(folder, ignore_errors=True)
