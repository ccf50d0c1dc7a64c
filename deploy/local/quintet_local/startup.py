"""`make up`, step by step: brings a new, stopped or partly running stack to a healthy state."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from quintet_local import (
    broker_users,
    commands,
    gateway,
    orphans,
    ports,
    postgres,
    prometheus,
    rabbitmq,
    tls,
    upgrade,
    valkey,
)
from quintet_local.progress import StackError, log_progress, wait_until
from quintet_local.restore import reject_interrupted
from quintet_local.services import Service, log_tail
from quintet_local.stack import Stack
from quintet_local.watching import ProgramState, StackWatcher


def up(stack: Stack, reload: bool = False, tls: bool = False) -> None:
    """Start everything that is not running and wait until /health is OK; raise a StackError if that fails."""
    stack.layout.check_owner()
    with stack.exclusive_lock():
        reject_interrupted(stack.env_file)
        stack.layout.create_folders()
        prepare_settings(stack, tls)
        was_running = _ensure_supervisor(stack)
        _check_gateway_ports(stack)
        if was_running and not reload and _all_running(stack):
            stack.postgres.create_roles(stack.service_names)
            _update_broker_users(stack)
            start_gateway(stack)
            upgrade.forget_rotation(stack.env_file)
            log_progress("everything is already running")
            return
        ensure_servers(stack)
        migrate(stack)
        if reload:
            _replace_services(stack)
        else:
            _start_services(stack)
        log_progress("services: started")
        start_gateway(stack)
        upgrade.forget_rotation(stack.env_file)
        log_progress("ready")


def start_servers(stack: Stack) -> None:
    """Create the stack if necessary, and start Postgres, RabbitMQ and Valkey if they are not running."""
    stack.layout.check_owner()
    stack.layout.create_folders()
    prepare_settings(stack)
    _ensure_supervisor(stack)
    ensure_servers(stack)
    # Its virtual host need not exist: a restore that was interrupted may have deleted it.
    wait_for(stack, rabbitmq.NAME, lambda: not ports.is_free(stack.ports["amqp"]))
    stack.broker_tool("-q", "await_startup").run()


def prepare_settings(stack: Stack, with_tls: bool = False) -> None:
    commands.ensure_settings(stack.layout.env_file, stack.service_names)
    if with_tls:
        tls.ensure(stack.layout.env_file, stack.layout.users / "tls", key_mode=0o600)


def _ensure_supervisor(stack: Stack) -> bool:
    """Start the supervisor, or apply changed programs to a running one; return whether it was running."""
    # An interrupted upgrade may have left standbys, which are no longer among the programs.
    stack.gateway.deselect_standbys()
    if stack.supervisor.is_up():
        stack.supervisor.configure(stack.programs())
        if changed := stack.supervisor.reload_config():
            log_progress(f"new or changed programs: {', '.join(changed)}")
        return True
    orphans.wait_for_end(stack.layout.programs_lock)
    stack.choose_ports()
    stack.postgres.remove_stale_lock()
    stack.supervisor.configure(stack.programs())
    stack.supervisor.start()
    return False


def _check_gateway_ports(stack: Stack) -> None:
    for name, port in stack.gateway.ports.items():
        if not _is_running(stack, gateway.NAME) and not ports.is_free(port):
            raise StackError(
                f"{name} must be a free port, but another program uses {port}: stop that program, "
                f"or change {name} in {stack.layout.env_file}, then run `make up` again"
            )


def _all_running(stack: Stack) -> bool:
    return all(_is_running(stack, program.name) for program in stack.programs())


def ensure_servers(stack: Stack) -> None:
    """Start the servers; do not wait for RabbitMQ, which boots slowly while the web processes start."""
    _update_broker_users(stack)
    stack.supervisor.start_program(rabbitmq.EPMD)
    wait_for(stack, rabbitmq.EPMD, lambda: not ports.is_free(stack.ports["epmd"]))
    stack.supervisor.start_program(rabbitmq.NAME)
    stack.supervisor.start_program(valkey.NAME)
    if not _is_running(stack, postgres.NAME):
        stack.postgres.prepare()
        stack.supervisor.start_program(postgres.NAME)
    wait_for(stack, postgres.NAME, stack.postgres.is_ready)
    stack.postgres.create_roles(stack.service_names)
    log_progress("postgres: ready, roles created")
    wait_for(stack, valkey.NAME, stack.cache.is_ready)


def _update_broker_users(stack: Stack) -> None:
    """Update the files that RabbitMQ reads at startup, and its users if it is running."""
    if stack.broker.has_changed_users() and _is_running(stack, rabbitmq.NAME):
        stack.broker_tool("-q", "await_startup").run()
        broker_users.update(stack.broker_tool, stack.settings, stack.service_names)
    stack.broker.prepare()


def migrate(stack: Stack) -> None:
    """Run all migrations concurrently, without a time limit: a large table may need hours."""
    with ThreadPoolExecutor() as pool:
        futures = {service.name: pool.submit(service.migrate) for service in stack.services}
        wait_until(
            "migrations",
            lambda: all(future.done() for future in futures.values()),
            within_seconds=math.inf,
            describe_pending=lambda: ", ".join(name for name, future in futures.items() if not future.done()),
        )
    for future in futures.values():
        future.result()


def _start_services(stack: Stack) -> None:
    for service in stack.services:
        stack.supervisor.start_program(service.web.name)
    start_workers(stack)
    for service in stack.services:
        wait_for(stack, service.web.name, service.is_ready)


def _replace_services(stack: Stack) -> None:
    """Replace the workers before the web processes, whose messages a worker of the previous version may not know."""
    stack.supervisor.stop([service.worker.name for service in stack.services])
    start_workers(stack)
    for service in stack.services:
        _stop_web(stack, service)
        stack.supervisor.start_program(service.web.name)
        wait_for(stack, service.web.name, service.is_ready)
    stack.supervisor.stop([gateway.CONSOLE])


def start_workers(stack: Stack) -> None:
    wait_for(stack, rabbitmq.NAME, stack.broker.is_ready)
    log_progress("rabbitmq: ready")
    for service in stack.services:
        stack.supervisor.start_program(service.worker.name)


def _stop_web(stack: Stack, service: Service) -> None:
    """Stop a web process, which waits for its clients; the reload makes nginx close idle connections to it."""
    log_progress(f"{service.name}: restarting")
    stack.supervisor.request_stop([service.web.name])
    stack.reload_gateway()
    stack.supervisor.wait_until_stopped([service.web.name])


def start_gateway(stack: Stack) -> None:
    stack.gateway.prepare()
    prometheus.write_configuration(stack.layout, stack.service_names, stack.settings["METRICS_PORT"])
    stack.reload_gateway()
    stack.supervisor.start_program(gateway.CONSOLE)
    stack.supervisor.start_program(gateway.NAME)
    _wait_for_health(stack)


def _wait_for_health(stack: Stack) -> None:
    watcher = _watcher(stack, [program.name for program in stack.programs()], stack.gateway.health)
    watcher.wait(
        "all services: healthy",
        lambda: stack.gateway.health().get("status") == "OK",
        advice=lambda: f"/health returned: {stack.gateway.health()}\nthe logs are in {stack.layout.logs}",
    )


def wait_for(stack: Stack, name: str, is_ready: Callable[[], bool]) -> None:
    _watcher(stack, [name]).wait(f"{name}: ready", is_ready, advice=lambda: _log_tail(stack, name))


def _watcher(stack: Stack, names: list[str], get_health: Callable[[], Mapping[str, Any]] = dict) -> StackWatcher:
    def get_states() -> list[ProgramState]:
        states = stack.supervisor.states()
        return [_program_state(name, states[name]) for name in names if name in states]

    return StackWatcher(get_states, lambda name: _log_tail(stack, name), get_health)


def _log_tail(stack: Stack, name: str) -> str:
    log = stack.layout.log_of(name)
    return f"the end of {log}:\n{log_tail(log)}"


def _program_state(name: str, state: Mapping[str, Any]) -> ProgramState:
    is_failing, has_failed = state["statename"] == "BACKOFF", state["statename"] == "FATAL"
    return ProgramState(name, state["statename"], state["start"], is_failing, has_failed)


def _is_running(stack: Stack, name: str) -> bool:
    return bool(stack.supervisor.states()[name]["pid"])
