"""The services: one for each folder `<name>-service`. Program, role, schema and socket are derived from the name."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from quintet_local import ports
from quintet_local.layout import Layout
from quintet_local.postgres import Postgres
from quintet_local.progress import StackError, log_progress
from quintet_local.rabbitmq import RabbitMQ
from quintet_local.settings import variables
from quintet_local.supervise import Program
from quintet_local.tools import Tool
from quintet_local.valkey import Valkey


def discover(checkout: Path) -> list[str]:
    """Return the name of each service that can be run."""
    names = (folder.name.removesuffix("-service") for folder in checkout.glob("*-service"))
    return sorted(name for name in names if _main_module(checkout, name).exists())


class Service:
    """One service of one stack: its processes and their environment."""

    def __init__(
        self,
        name: str,
        layout: Layout,
        settings: Mapping[str, str],
        postgres: Postgres,
        broker: RabbitMQ,
        cache: Valkey,
    ) -> None:
        self.name = name
        self.layout = layout
        self.socket = layout.socket(name)
        services = discover(layout.checkout)
        self.common_environment = {
            "DATABASE_URL": postgres.service_url(name),
            "REDIS_URL": cache.url(),
            "DATA_DIR": str(layout.data_dir(name)),
            "RESERVED_STREAMS": ",".join(services),
            "PYTHONUNBUFFERED": "1",
            # Addresses for services that call another one over HTTP.
            **{f"{other.upper()}_URL": f"unix:{layout.socket(other)}" for other in services},
            **{variable: settings[variable] for variable in variables(name) if variable in settings},
        }
        self.amqp_url = broker.service_url(name)

    @property
    def web(self) -> Program:
        return self._program("web", self.common_environment | {"BIND": f"unix:{self.socket}"})

    @property
    def standby(self) -> Program:
        """The program that takes the requests while `make upgrade` replaces the web program."""
        environment = self.common_environment | {"BIND": f"unix:{self.layout.socket(f'{self.name}-standby')}"}
        return self._program("web", environment, f"{self.web.name}-standby")

    @property
    def worker(self) -> Program:
        bind = f"unix:{self.layout.socket(f'{self.name}-worker')}"
        return self._program("worker", self.common_environment | {"AMQP_URL": self.amqp_url, "WORKER_BIND": bind})

    def is_ready(self) -> bool:
        """Return whether its web process responds on its socket."""
        return ports.responds_to_livez(self.socket)

    def run(self, *arguments: str) -> str:
        """Run a command of the service, and return its output."""
        tool = Tool(f"{self.name}-service", self._command(*arguments), self.common_environment | {"LANG": "C.UTF-8"})
        return tool.run().decode()

    def migrate(self) -> None:
        """Run the migration with its output in a separate log; raise a StackError with its end on failure."""
        log = self.layout.log_of(f"{self.name}-migrate")
        with open(log, "a") as out:
            environment = self.common_environment | {"LANG": "C.UTF-8"}
            result = subprocess.run(self._command("migrate"), env=environment, stdout=out, stderr=out)
        if result.returncode:
            raise StackError(f"{self.name} could not be migrated; the end of {log}:\n{log_tail(log)}")
        log_progress(f"{self.name}: migrated")

    def _program(self, kind: str, environment: Mapping[str, str], name: str = "") -> Program:
        # SIGQUIT makes gunicorn end its workers; after SIGTERM it would wait for its clients.
        orphan_signal = "QUIT" if kind == "web" else "KILL"
        return Program(name or f"{self.name}-{kind}", self._command(kind), environment, orphan_signal=orphan_signal)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"{self.name}_service", *arguments]


def log_tail(log: Path, lines: int = 15) -> str:
    if not log.exists():
        return "    (the log does not exist)"
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])


def _main_module(checkout: Path, name: str) -> Path:
    return checkout / f"{name}-service" / "src" / f"{name}_service" / "__main__.py"
