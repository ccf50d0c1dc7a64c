"""A running stack: its programs, its commands, and its recovery after programs are killed."""

import os
import re
import signal
from contextlib import suppress

import psutil
import pytest

from quintet_local import startup
from quintet_local.testing import prepared_stack
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow

INFRASTRUCTURE = ["epmd", "nginx", "postgres", "rabbitmq", "valkey"]
INTERRUPTED = "database system was interrupted"


def processes_of(stack):
    """Return the processes whose working directory or arguments contain the stack's folder."""
    home = str(stack.layout.home)
    processes = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(home) or any(home in argument for argument in process.cmdline()):
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def test_all_programs_run_and_a_second_up_changes_nothing(stack):
    before = stack.pids()
    service_programs = [f"{service}-{kind}" for service in stack.service_names for kind in ("web", "worker")]
    assert sorted(before) == sorted([*INFRASTRUCTURE, "console", *service_programs])
    assert all(before.values())
    again = stack.run("up")
    assert again.returncode == 0, again.stderr
    assert "already running" in again.stderr
    assert stack.password in again.stdout
    assert stack.pids() == before


def test_changes_of_users_restart_nothing(stack):
    before = stack.pids()
    assert "password: " in stack.run("user", "ann", "reader").stdout
    assert stack.run("users").stdout == "admin admin\nann reader\n"
    assert stack.run("user-remove", "ann").returncode == 0
    assert stack.run("users").stdout == "admin admin\n"
    assert stack.pids() == before


def test_programs_listen_only_on_loopback(stack):
    for process in processes_of(stack):
        with suppress(psutil.NoSuchProcess):  # the process has ended
            for connection in process.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip in ("127.0.0.1", "::1"), (process.name(), connection.laddr)


def test_commands_print_address_state_and_logs(stack):
    assert stack.run("url").stdout == f"http://admin:{stack.password}@127.0.0.1:{stack.gateway.ports['GATEWAY_PORT']}\n"
    status = stack.run("status")
    assert status.returncode == 0, status.stdout
    assert "health" in status.stdout
    assert "postgres" in status.stdout
    assert "database system is ready" in stack.run("logs", "postgres", "--no-follow").stdout
    assert "program must be one of " in stack.run("logs", "nonsense", "--no-follow").stderr


@pytest.mark.parametrize("program", INFRASTRUCTURE)
def test_killed_server_is_restarted(stack, program):
    stack.kill(program)
    eventually(stack.postgres.is_ready)
    eventually(stack.broker.is_ready)
    eventually(stack.cache.is_ready)
    stack.wait_until_healthy()


def test_killed_web_and_worker_processes_are_restarted(stack):
    for service in stack.service_names:
        stack.kill(f"{service}-web")
        stack.kill(f"{service}-worker")
    stack.wait_until_healthy()


def test_stack_recovers_after_a_program_was_stopped(stack):
    stack.stop("rabbitmq")
    assert not stack.broker.is_ready()
    stack.start("rabbitmq")
    eventually(stack.broker.is_ready)
    stack.wait_until_healthy()


def test_reload_replaces_only_services_and_console_and_workers_first(stack):
    before, log = stack.pids(), stack.log("supervisord")
    startup.up(stack.reopened(), reload=True)
    after = stack.pids()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == set(after) - set(INFRASTRUCTURE)
    # A worker of the previous version may not know the messages of a new web process.
    events = re.findall(r"(stopped: |spawned: ')\w+-(worker|web)", stack.log("supervisord").removeprefix(log))
    services = len(stack.service_names)
    assert events[: 2 * services] == [("stopped: ", "worker")] * services + [("spawned: '", "worker")] * services
    assert events[2 * services :] == [("stopped: ", "web"), ("spawned: '", "web")] * services


def test_stack_ends_with_killed_supervisor_and_up_restarts_it(stack):
    crashes = stack.log("postgres").count(INTERRUPTED)
    assert processes_of(stack) != []
    os.kill(stack.supervisor.pid(), signal.SIGKILL)
    eventually(lambda: processes_of(stack) == [])
    startup.up(stack.reopened())
    assert stack.is_healthy()
    assert stack.log("postgres").count(INTERRUPTED) == crashes


def test_workers_of_killed_nginx_end(stack):
    workers = psutil.Process(stack.pid("nginx")).children()
    stack.kill("nginx")
    assert workers
    eventually(lambda: not {*workers} & {*processes_of(stack)})
    stack.wait_until_healthy()


def test_two_stacks_run_concurrently_and_down_ends_programs_of_a_killed_supervisor(stack):
    with prepared_stack() as second:
        startup.up(second)
        assert second.url != stack.url
        assert second.is_healthy()
        used_ports = [*second.gateway.ports.values(), *second.ports.values()]
        web, nginx = second.pid("sequence-web"), second.pid("nginx")
        # A stopped process does not end by itself; nor do the workers of a killed nginx.
        os.kill(web, signal.SIGSTOP)
        os.kill(second.supervisor.pid(), signal.SIGKILL)
        os.kill(nginx, signal.SIGKILL)
        down = second.run("down")
        assert down.returncode == 0, down.stderr
        assert processes_of(second) == []
        assert not {port for port in used_ports if port in listening_ports()}
        home = second.layout.home
        unconfirmed = second.run("clean")
        assert unconfirmed.returncode == 1 and str(home) in unconfirmed.stderr and "YES=1" in unconfirmed.stderr
        assert home.exists()
        assert second.run("clean", "--yes").returncode == 0
        assert not home.exists()
    assert stack.is_healthy()


def listening_ports():
    return {
        connection.laddr.port
        for connection in psutil.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
