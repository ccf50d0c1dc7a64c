"""The command line of every service: `python -m <service> web | worker | migrate | openapi`."""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any

from chassis.errors import Problem
from chassis.messaging.consumer import ConsumerConfig
from chassis.messaging.worker import Timer
from chassis.messaging.worker_metrics import StateGauge, WorkerMetrics
from chassis.runtime import logs, tracing
from chassis.runtime.config import METRICS_VARIABLE, ConfigError, ServiceSettings, WebSettings, environment
from chassis.runtime.metrics import Metrics

log = logs.logger(__name__)

# Requests take precedence over background work when both need the processor.
_WORKER_NICENESS = 10
_POSTGRES_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Service:
    """A service as its `__main__` declares it; the schema, the queues and the package are named after `name`."""

    name: str
    settings: type[WebSettings]
    consumers: Callable[[Any], Mapping[str, ConsumerConfig]] = lambda _settings: {}
    timers: Callable[[Any], Mapping[str, Timer]] = lambda _settings: {}
    # Gauges of the service's state, in addition to those that every worker has.
    gauges: Callable[[Any], Sequence[StateGauge]] = lambda _settings: ()
    # Creates the metrics of the service that its jobs receive in their context.
    metrics: Callable[[Metrics], Any] = lambda _metrics: None
    # Further commands of the service: functions of its settings and the remaining arguments.
    commands: Mapping[str, Callable[[Any, list[str]], None]] = field(default_factory=dict)

    @property
    def package(self) -> str:
        return f"{self.name}_service"


def main(service: Service, argv: list[str] | None = None) -> None:
    commands: dict[str, Callable[[Service, Any], None]] = {"web": _web, "openapi": _openapi}
    if issubclass(service.settings, ServiceSettings):
        commands |= {"worker": _worker, "migrate": _migrate}
    parser = argparse.ArgumentParser(prog=f"python -m {service.package}")
    parser.add_argument("command", choices=[*commands, *service.commands])
    parser.add_argument("arguments", nargs="*")
    args = parser.parse_args(argv)
    if args.arguments and args.command not in service.commands:
        parser.error(f"{args.command} does not accept arguments")
    try:
        settings = service.settings.load()
    except ConfigError as error:
        sys.exit(f"{service.name}-service cannot start; correct these environment variables:\n{error}")
    logs.configure(service.name, settings.log_level)
    if args.command in service.commands:
        service.commands[args.command](settings, args.arguments)
    else:
        commands[args.command](service, settings)


def _web(service: Service, settings: WebSettings) -> None:
    # Neither two stacks on one machine nor two users may share the directory.
    digest = hashlib.sha256(f"{service.name} {settings.bind} {os.getuid()}".encode()).hexdigest()[:16]
    metrics_directory = Path(tempfile.gettempdir()) / f"quintet-metrics-{digest}"
    metrics_directory.mkdir(mode=0o700, exist_ok=True)
    for stale_file in metrics_directory.iterdir():
        stale_file.unlink(missing_ok=True)
    options: dict[str, object] = {
        "config": "python:chassis.web.server",
        "name": service.name,
        "bind": settings.bind,
        "log-level": settings.log_level,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "gunicorn", *arguments, f"{service.package}.app:create_app()"]
    # gunicorn reads WEB_CONCURRENCY itself, but does not know `auto`.
    variables = {METRICS_VARIABLE: str(metrics_directory), "WEB_CONCURRENCY": str(settings.web_concurrency)}
    os.execve(sys.executable, command, environment(**variables))


def _worker(service: Service, settings: ServiceSettings) -> None:
    from chassis.db import idempotency_keys, invariant_runs
    from chassis.messaging import worker

    os.nice(_WORKER_NICENESS)
    tracing.configure(service.name, "worker", settings.otel_exporter_otlp_endpoint)
    # Not from the app, which would also import Flask and the routes.
    invariants = import_module(f"{service.package}.store.invariants").INVARIANTS
    timers = {
        "prune-idempotency-keys": Timer(60, idempotency_keys.prune),
        "verify-invariants": Timer(5, lambda tx, _now: invariant_runs.advance(tx, invariants)),
        **service.timers(settings),
    }
    metrics = WorkerMetrics(service.name, service.gauges(settings), service.metrics)
    try:
        worker.run(service.name, settings, service.consumers(settings), timers, metrics)
    except ConfigError as error:
        sys.exit(f"{service.name}-service cannot start its worker: {error}")


def _openapi(service: Service, settings: WebSettings) -> None:
    # Standard output must contain nothing but the document, not the log line of the request.
    logs.configure(service.name, "warning")
    app = import_module(f"{service.package}.app").create_app(settings)
    response = app.test_client().get("/openapi.yaml")
    if response.status_code != HTTPStatus.OK:
        sys.exit(response.text)
    print(response.text, end="")


def _migrate(service: Service, settings: ServiceSettings) -> None:
    from chassis.db.migrate import MigrationError, migrate, migrations_of

    deadline = time.monotonic() + _POSTGRES_TIMEOUT_SECONDS
    while True:
        try:
            count = migrate(settings.database_url, service.name, migrations_of("chassis", service.package))
        except Problem as problem:
            if time.monotonic() > deadline:
                sys.exit(
                    f"{service.name}-service cannot migrate within {_POSTGRES_TIMEOUT_SECONDS} s: {problem.detail}"
                )
            log.info("migrate.waiting", reason=problem.detail, cause=str(problem.__cause__))
            time.sleep(0.5)
        except MigrationError as error:
            sys.exit(f"{service.name}-service cannot migrate: {error}")
        else:
            log.info("migrate.done", applied=count)
            return
