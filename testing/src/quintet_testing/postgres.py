"""A temporary Postgres server: real binaries, private data, loopback only."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from chassis import db
from chassis.errors import Unavailable
from quintet_local import binaries, ports, postgres_user

_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 200,
    "client_connection_check_interval": "2s",
}


def free_port() -> int:
    return ports.find_free_port(set())


class TemporaryPostgres:
    """A server that can be killed and restarted with the same port and data."""

    def __init__(self) -> None:
        self._prefix = postgres_user.command_prefix()
        self._folder = Path(tempfile.mkdtemp(prefix="quintet-test-postgres-"))
        if self._prefix == postgres_user.SETPRIV:
            os.chown(self._folder, postgres_user.NOBODY, postgres_user.NOBODY)
        self._port = free_port()
        self.url = f"postgresql://{postgres_user.ADMIN}@127.0.0.1:{self._port}/postgres"
        self.socket_url = f"postgresql://{postgres_user.ADMIN}@/postgres?host={self._folder}&port={self._port}"
        self._run("initdb", *postgres_user.INITDB_OPTIONS, "-A", "trust", "--no-sync").wait()

    def start(self) -> None:
        options = {**_OPTIONS, "unix_socket_directories": self._folder, "port": self._port}
        command = ["postgres", *(part for name, value in options.items() for part in ("-c", f"{name}={value}"))]
        self.process = self._run(*command)
        deadline = time.monotonic() + 60
        while True:
            try:
                db.connect(self.url, name="tests").close()
                return
            except Unavailable:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Postgres did not start:\n{self._log.read_text()[-2000:]}") from None
                time.sleep(0.02)
                # The server exits immediately while backends of its killed predecessor are still running.
                if self.process.poll() is not None:
                    self.process = self._run(*command)

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        """Stop the server. The default is SIGINT: SIGTERM would wait for a connection that a test left open."""
        self.process.send_signal(signal_number)
        self.process.wait(timeout=60)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze all processes of the server: it accepts connections and never responds."""
        parent = psutil.Process(self.process.pid)
        processes = [parent, *parent.children()]
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # an autovacuum worker ends by itself
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            command = [*self._prefix, str(binaries.postgres(program)), "-D", str(self._folder / "data"), *arguments]
            return subprocess.Popen(command, stdout=log, stderr=log)
