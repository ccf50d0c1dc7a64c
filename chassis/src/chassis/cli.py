"""`python -m <service> web | worker | migrate | dead-letters | retry | openapi`, the same for every service."""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from chassis.errors import Problem
from chassis.messaging.consumer import ConsumerConfig
from chassis.messaging.worker import Timer
from chassis.runtime import logs
from chassis.runtime.config import METRICS_FOLDER, ConfigError, ServiceSettings, WebSettings, environment

log = logs.logger(__name__)

# Requests come before background work where both want the processor.
_WORKER_NICENESS = 10
_POSTGRES_PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Service:
    """`name` names folder, schema and queues."""

    name: str
    settings: type[WebSettings]
    consumers: Callable[[Any], Mapping[str, ConsumerConfig]] = lambda _settings: {}
    timers: Callable[[Any], Mapping[str, Timer]] = lambda _settings: {}

    @property
    def package(self) -> str:
        return f"{self.name}_service"


def main(service: Service, argv: list[str] | None = None) -> None:
    processes: dict[str, Callable[[Service, Any], None]] = {"web": _web}
    if issubclass(service.settings, ServiceSettings):
        processes |= {"worker": _worker, "migrate": _migrate, "dead-letters": _dead_letters, "openapi": _openapi}
    parser = argparse.ArgumentParser(prog=f"python -m {service.package}")
    parser.add_argument("process", choices=[*processes, "retry"] if "worker" in processes else [*processes])
    parser.add_argument("queue", nargs="?", help="whose dead letters `retry` puts back")
    given = parser.parse_args(argv)
    try:
        settings = service.settings.load()
    except ConfigError as error:
        sys.exit(f"{service.name}-service cannot start; set these variables right:\n{error}")
    logs.configure(service.name, settings.log_level)
    if given.process == "retry":
        _retry(service, settings, given.queue)  # type: ignore[arg-type]
    else:
        processes[given.process](service, settings)


def _web(service: Service, settings: WebSettings) -> None:
    name = hashlib.sha256(f"{service.name} {settings.bind} {os.getuid()}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"quintet-metrics-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for left_behind in folder.glob("*.db"):
        left_behind.unlink(missing_ok=True)
    options: dict[str, object] = {
        "config": "python:chassis.web.server",
        "name": service.name,
        "bind": settings.bind,
        "worker-class": "gevent",
        "workers": settings.web_concurrency,
        "log-level": settings.log_level,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "gunicorn", *arguments, f"{service.package}.app:create_app()"]
    os.execve(sys.executable, command, environment(**{METRICS_FOLDER: str(folder)}))


def _worker(service: Service, settings: ServiceSettings) -> None:
    from chassis.messaging import worker
    from chassis.web import idempotency

    os.nice(_WORKER_NICENESS)
    timers = {"prune-idempotency-keys": Timer(60, idempotency.prune), **service.timers(settings)}
    worker.run(service.name, settings, service.consumers(settings), timers)


def _dead_letters(service: Service, settings: ServiceSettings) -> None:
    from chassis.messaging import deadletters

    deadletters.show(settings.amqp_url, sorted(service.consumers(settings)))


def _retry(service: Service, settings: ServiceSettings, queue: str | None) -> None:
    from chassis.messaging import deadletters

    queues = service.consumers(settings)
    if queue is None or queue not in queues:
        sys.exit(f"{service.name}-service has no queue {queue}; it has: {', '.join(queues) or 'none'}")
    deadletters.requeue(settings.amqp_url, queue)


def _openapi(service: Service, settings: ServiceSettings) -> None:
    app = import_module(f"{service.package}.app").create_app(settings)
    print(app.test_client().get("/openapi.yaml").text, end="")


def _migrate(service: Service, settings: ServiceSettings) -> None:
    from chassis.db.migrate import MigrationError, migrate, migrations_of

    deadline = time.monotonic() + _POSTGRES_PATIENCE_SECONDS
    while True:
        try:
            count = migrate(settings.database_url, service.name, migrations_of("chassis", service.package))
        except Problem as problem:
            if time.monotonic() > deadline:
                sys.exit(f"{service.name}-service cannot migrate: {problem.detail} for {_POSTGRES_PATIENCE_SECONDS} s")
            log.info("migrate.waits", reason=problem.detail, cause=str(problem.__cause__))
            time.sleep(0.5)
        except MigrationError as error:
            sys.exit(f"{service.name}-service cannot migrate: {error}")
        else:
            log.info("migrate.done", applied=count)
            return
