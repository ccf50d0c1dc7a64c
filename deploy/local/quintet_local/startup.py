"""`make up`, step by step: from nothing, from a stopped stack or from a half dead one to a healthy one."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from quintet_local import commands, envfile, gateway, ports, postgres, rabbitmq, settings, tls, valkey
from quintet_local.progress import StackError, say, wait_until
from quintet_local.services import Service, tail
from quintet_local.stack import Stack

READY_WITHIN_SECONDS = 60
# Long enough for Postgres to find the memory of its killed predecessor released.
MOST_SECONDS_OF_FAILED_STARTS = 10


def up(stack: Stack, reload: bool = False, tls: bool = False) -> None:
    """Afterwards everything runs and /health is OK, or a StackError says what is wrong."""
    stack.layout.make()
    with stack.alone():
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
        _start_gateway(stack)
        say("ready")


def _make_settings(stack: Stack, with_tls: bool) -> None:
    commands.settle(stack.layout.env_file)
    made = envfile.ensure(stack.layout.env_file, stack.words, commands.free_port_from)
    settings.check(made, stack.words)
    if with_tls:
        tls.ensure(stack.layout.env_file, stack.layout.users / "tls", key_mode=0o600)


def _make_supervisor(stack: Stack) -> bool:
    """Whether it ran before. A running one takes in what has changed in its programs."""
    if stack.supervisor.is_up():
        stack.supervisor.configure(stack.programs())
        if changed := stack.supervisor.take_in_changes():
            say(f"new or changed: {', '.join(changed)}")
        return True
    stack.stop_leftovers()
    stack.choose_ports()
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
    with ThreadPoolExecutor() as pool:
        list(pool.map(Service.migrate, stack.services))
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


def _stop_web(stack: Stack, service: Service) -> None:
    """It waits for its clients, so nginx has to drop the connections that it keeps open."""
    say(f"{service.word}: restarting")
    stack.supervisor.begin_to_stop([service.web.name])
    if _runs(stack, gateway.NAME):
        stack.supervisor.signal(gateway.NAME, "HUP")
    stack.supervisor.wait_for_end([service.web.name])


def _start_gateway(stack: Stack) -> None:
    runs = _runs(stack, gateway.NAME)
    if stack.gateway.prepare() and runs:
        say("gateway: reloading with its new configuration")
        stack.supervisor.signal(gateway.NAME, "HUP")
    stack.supervisor.start_program(gateway.CONSOLE)
    stack.supervisor.start_program(gateway.NAME)
    _wait_for_health(stack)


def _wait_for_health(stack: Stack) -> None:
    """Says what it waits for: which services the gateway does not yet find healthy."""
    began = time.monotonic()
    wait_until(
        "health of all at the gateway",
        lambda: stack.gateway.health().get("status") == "OK",
        READY_WITHIN_SECONDS,
        give_up=lambda: _failed_start(stack, [program.name for program in stack.programs()], began),
        advice=lambda: f"/health says: {stack.gateway.health()}\nthe logs are in {stack.layout.logs}",
    )


def _wait_for(stack: Stack, name: str, answers: Callable[[], bool]) -> None:
    began = time.monotonic()
    log = stack.layout.log_of(name)
    wait_until(
        f"{name}: ready",
        answers,
        READY_WITHIN_SECONDS,
        give_up=lambda: _failed_start(stack, [name], began),
        advice=lambda: f"the end of {log}:\n{tail(log)}",
    )


def _failed_start(stack: Stack, names: list[str], began: float) -> str | None:
    """A program that ends by itself may succeed at the next attempt; not believed for long."""
    states = stack.supervisor.states()
    for name in names:
        state = states.get(name, {}).get("statename")
        if state == "FATAL" or (state == "BACKOFF" and time.monotonic() - began > MOST_SECONDS_OF_FAILED_STARTS):
            return f"{name} ends again and again (`make logs S={name}`)"
    return None


def _runs(stack: Stack, name: str) -> bool:
    return bool(stack.supervisor.states()[name]["pid"])
