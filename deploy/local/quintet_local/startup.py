"""`make up`, step by step: from nothing, from a stopped stack or from a half dead one to a healthy one."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from quintet_local import commands, gateway, orphans, ports, postgres, rabbitmq, tls, valkey
from quintet_local.progress import StackError, say, wait_until
from quintet_local.services import Service, tail
from quintet_local.stack import Stack
from quintet_local.watching import Program, Watch


def up(stack: Stack, reload: bool = False, tls: bool = False) -> None:
    """Afterwards everything runs and /health is OK, or a StackError says what is wrong."""
    stack.layout.claim()
    with stack.alone():
        stack.layout.make()
        _make_settings(stack, tls)
        was_up = _make_supervisor(stack)
        _check_gateways_port(stack)
        if was_up and not reload and _all_run(stack):
            stack.postgres.make_roles(stack.words)
            _start_gateway(stack)
            say("everything already runs")
            return
        _start_servers(stack)
        _start_services(stack, reload)
        if reload:
            stack.supervisor.stop([gateway.CONSOLE])
        _start_gateway(stack)
        say("ready")


def _make_settings(stack: Stack, with_tls: bool) -> None:
    commands.make_settings(stack.layout.env_file, stack.words)
    if with_tls:
        tls.ensure(stack.layout.env_file, stack.layout.users / "tls", key_mode=0o600)


def _make_supervisor(stack: Stack) -> bool:
    """Whether it ran before. A running one takes in what has changed in its programs."""
    if stack.supervisor.is_up():
        stack.supervisor.configure(stack.programs())
        if changed := stack.supervisor.take_in_changes():
            say(f"new or changed: {', '.join(changed)}")
        return True
    orphans.wait_for_end(stack.layout.programs_lock)
    stack.choose_ports()
    stack.postgres.remove_stale_lock()
    stack.supervisor.configure(stack.programs())
    stack.supervisor.start()
    return False


def _check_gateways_port(stack: Stack) -> None:
    if not _runs(stack, gateway.NAME) and not ports.is_free(stack.gateway.port):
        raise StackError(
            f"port {stack.gateway.port} is in use by another program: stop that one, "
            f"or change GATEWAY_PORT in {stack.layout.env_file}, then `make up` again"
        )


def _all_run(stack: Stack) -> bool:
    return all(_runs(stack, program.name) for program in stack.programs())


def _start_servers(stack: Stack) -> None:
    """RabbitMQ is the slowest: it boots while the databases and the web processes start."""
    stack.broker.prepare()
    stack.supervisor.start_program(rabbitmq.EPMD)
    _wait_for(stack, rabbitmq.EPMD, lambda: not ports.is_free(stack.ports["epmd"]))
    stack.supervisor.start_program(rabbitmq.NAME)
    stack.supervisor.start_program(valkey.NAME)
    if not _runs(stack, postgres.NAME):
        stack.postgres.prepare()
        stack.supervisor.start_program(postgres.NAME)
    _wait_for(stack, postgres.NAME, stack.postgres.answers)
    stack.postgres.make_roles(stack.words)
    say("postgres: ready, roles made")
    _wait_for(stack, valkey.NAME, stack.cache.answers)


def _start_services(stack: Stack, reload: bool) -> None:
    _migrate(stack)
    for service in stack.services:
        if reload:
            _stop_web(stack, service)
        stack.supervisor.start_program(service.web.name)
        if reload:
            _wait_for(stack, service.web.name, service.answers)
    _wait_for(stack, rabbitmq.NAME, stack.broker.answers)
    say("rabbitmq: ready")
    for service in stack.services:
        if reload:
            stack.supervisor.stop([service.worker.name])
        stack.supervisor.start_program(service.worker.name)
    for service in stack.services:
        _wait_for(stack, service.web.name, service.answers)
    say("services: started")


def _migrate(stack: Stack) -> None:
    """Wait for as long as it takes: a large table may need hours."""
    with ThreadPoolExecutor() as pool:
        running = {service.word: pool.submit(service.migrate) for service in stack.services}
        wait_until(
            "migrations",
            lambda: all(future.done() for future in running.values()),
            within_seconds=math.inf,
            missing=lambda: ", ".join(word for word, future in running.items() if not future.done()),
        )
    for future in running.values():
        future.result()


def _stop_web(stack: Stack, service: Service) -> None:
    """It waits for its clients, so nginx has to drop the connections that it keeps open."""
    say(f"{service.word}: restarting")
    stack.supervisor.begin_to_stop([service.web.name])
    stack.reload_gateway()
    stack.supervisor.wait_for_end([service.web.name])


def _start_gateway(stack: Stack) -> None:
    stack.gateway.prepare()
    stack.reload_gateway()
    stack.supervisor.start_program(gateway.CONSOLE)
    stack.supervisor.start_program(gateway.NAME)
    _wait_for_health(stack)


def _wait_for_health(stack: Stack) -> None:
    watch = _watch(stack, [program.name for program in stack.programs()], stack.gateway.health)
    watch.wait(
        "health of all at the gateway",
        lambda: stack.gateway.health().get("status") == "OK",
        advice=lambda: f"/health says: {stack.gateway.health()}\nthe logs are in {stack.layout.logs}",
    )


def _wait_for(stack: Stack, name: str, answers: Callable[[], bool]) -> None:
    _watch(stack, [name]).wait(f"{name}: ready", answers, advice=lambda: _end_of_log(stack, name))


def _watch(stack: Stack, names: list[str], health: Callable[[], Mapping[str, Any]] = dict) -> Watch:
    def look() -> list[Program]:
        states = stack.supervisor.states()
        return [_program(name, states[name]) for name in names if name in states]

    return Watch(look, lambda name: _end_of_log(stack, name), health)


def _end_of_log(stack: Stack, name: str) -> str:
    log = stack.layout.log_of(name)
    return f"the end of {log}:\n{tail(log)}"


def _program(name: str, state: Mapping[str, Any]) -> Program:
    is_failing, has_failed = state["statename"] == "BACKOFF", state["statename"] == "FATAL"
    return Program(name, state["statename"], state["start"], is_failing, has_failed)


def _runs(stack: Stack, name: str) -> bool:
    return bool(stack.supervisor.states()[name]["pid"])
