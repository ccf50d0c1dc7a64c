"""The services: whatever lies in a folder `<word>-service`. Everything else follows from the word."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from quintet_local import ports
from quintet_local.layout import Layout
from quintet_local.postgres import Postgres
from quintet_local.progress import StackError, say
from quintet_local.rabbitmq import RabbitMQ
from quintet_local.settings import variables
from quintet_local.supervise import Program
from quintet_local.valkey import Valkey


def discover(checkout: Path) -> list[str]:
    """The word of each service that can be run."""
    folders = checkout.glob("*-service")
    words = (folder.name.removesuffix("-service") for folder in folders)
    return sorted(word for word in words if _start_file(checkout, word).exists())


class Service:
    """One service of one stack: its processes and what they are told."""

    def __init__(
        self,
        word: str,
        layout: Layout,
        settings: Mapping[str, str],
        postgres: Postgres,
        broker: RabbitMQ,
        cache: Valkey,
    ) -> None:
        self.word = word
        self.layout = layout
        self.socket = layout.socket(word)
        services = discover(layout.checkout)
        self.common = {
            "DATABASE_URL": postgres.service_url(word),
            "REDIS_URL": cache.url(),
            "DATA_DIR": str(layout.files_of(word)),
            "RESERVED_STREAMS": ",".join(services),
            "PYTHONUNBUFFERED": "1",
            # Where a service that asks another one over HTTP finds it.
            **{f"{other.upper()}_URL": f"unix:{layout.socket(other)}" for other in services},
            **{name: settings[name] for name in variables(word) if name in settings},
        }
        self.amqp_url = broker.service_url(word)

    @property
    def web(self) -> Program:
        return self._program("web", self.common | {"BIND": f"unix:{self.socket}"})

    @property
    def worker(self) -> Program:
        return self._program("worker", self.common | {"AMQP_URL": self.amqp_url})

    def answers(self) -> bool:
        """Its web process takes a request on its socket."""
        return ports.responds(self.socket, b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n", b"HTTP/1.")

    def migrate(self) -> None:
        """Runs to its end; its output goes to a log of its own and, if it fails, to the person too."""
        log = self.layout.log_of(f"{self.word}-migrate")
        with open(log, "a") as out:
            environment = self.common | {"LANG": "C.UTF-8"}
            done = subprocess.run(self._command("migrate"), env=environment, stdout=out, stderr=out)
        if done.returncode:
            raise StackError(f"{self.word}: its migration failed; the end of {log}:\n{tail(log)}")
        say(f"{self.word}: migrated")

    def _program(self, kind: str, environment: Mapping[str, str]) -> Program:
        # gunicorn ends its workers; at SIGTERM it would wait for its clients.
        orphan_signal = "QUIT" if kind == "web" else "KILL"
        return Program(f"{self.word}-{kind}", self._command(kind), environment, orphan_signal=orphan_signal)

    def _command(self, kind: str) -> list[str]:
        return [sys.executable, "-m", f"{self.word}_service", kind]


def tail(log: Path, lines: int = 15) -> str:
    if not log.exists():
        return "(nothing was written to it)"
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])


def _start_file(checkout: Path, word: str) -> Path:
    return checkout / f"{word}-service" / "src" / f"{word}_service" / "__main__.py"
