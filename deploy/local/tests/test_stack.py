"""A running stack: its programs, its commands, and its recovery after programs are killed."""

import json
import os
import resource
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import datetime

import pika
import pika.exceptions
import psutil
import psycopg2
import psycopg2.errors
import pytest
import requests

from quintet_local import envfile, startup
from quintet_local.testing import TestStack, prepared_stack
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow

INFRASTRUCTURE = ["epmd", "nginx", "postgres", "rabbitmq", "valkey"]
INTERRUPTED = "database system was interrupted"
QUEUES = [
    "event.append",
    "factory.load",
    "factory.production",
    "factory.production_load",
    "orders.import",
    "orders.undo",
    "specstore.pipeline",
    "specstore.refresh",
]


def reopen(stack):
    """Return the stack as the next command reads it, without cached settings."""
    return TestStack(stack.layout)


def pids(stack):
    return {name: state["pid"] for name, state in stack.supervisor.states().items()}


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


def command(stack, *arguments, **environment):
    """Run a command as the Makefile does."""
    return subprocess.run(
        [sys.executable, str(stack.layout.checkout / "deploy" / "local"), *arguments],
        env=os.environ | {"STACK_DIR": str(stack.layout.home)} | environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=100,
    )


def rows(url, statement):
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
    finally:
        connection.close()


def test_all_programs_run_and_a_second_up_changes_nothing(stack):
    before = pids(stack)
    service_programs = [f"{service}-{kind}" for service in stack.service_names for kind in ("web", "worker")]
    assert sorted(before) == sorted([*INFRASTRUCTURE, "console", *service_programs])
    assert all(before.values())
    again = command(stack, "up")
    assert again.returncode == 0, again.stderr
    assert "already running" in again.stderr
    assert stack.password in again.stdout
    assert pids(stack) == before


def test_programs_listen_only_on_loopback(stack):
    for process in processes_of(stack):
        with suppress(psutil.NoSuchProcess):  # the process has ended
            for connection in process.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip in ("127.0.0.1", "::1"), (process.name(), connection.laddr)


def test_commands_print_address_state_and_logs(stack):
    assert command(stack, "url").stdout == f"http://admin:{stack.password}@127.0.0.1:{stack.gateway.port}\n"
    status = command(stack, "status")
    assert status.returncode == 0, status.stdout
    assert "health" in status.stdout
    assert "postgres" in status.stdout
    assert "database system is ready" in command(stack, "logs", "postgres", "--no-follow").stdout
    assert "program must be one of " in command(stack, "logs", "nonsense", "--no-follow").stderr


def test_logs_of_one_request_are_printed_from_all_programs_sorted_by_time(stack):
    request_id = f"import-{secrets.token_hex(4)}"
    response = requests.put(
        f"{stack.url}/acme_orders/api/v1/orders/import",
        data="id,name,email,state,zipcode,birthday\n",
        headers={"Content-Type": "text/csv", "X-Request-ID": request_id},
        auth=(stack.user, stack.password),
        timeout=30,
    )
    assert response.ok, response.text
    lines = []

    def programs_that_logged():
        lines[:] = map(json.loads, command(stack, "logs", "--request", request_id).stdout.splitlines())
        return {line.get("service") or line.get("logger") for line in lines}

    # The gateway forwards the upload, orders-web stores it, and orders-worker imports it and issues a batch number.
    eventually(lambda: {"gateway", "orders", "sequence"} <= programs_that_logged(), within_seconds=30)
    assert {line["request_id"] for line in lines} == {request_id}
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    assert times == sorted(times)


def test_logs_of_one_request_include_rotated_files(stack):
    request_id = f"rotated-{secrets.token_hex(4)}"
    rotated = stack.layout.logs / "orders-web.log.2"
    rotated.write_text(json.dumps({"time": "2026-01-01T00:00:00Z", "request_id": request_id}) + "\n")
    try:
        assert request_id in command(stack, "logs", "orders-web", "--request", request_id).stdout
        assert command(stack, "logs", "nginx", "--request", request_id).stdout == ""
    finally:
        rotated.unlink()


def test_logs_of_a_level_omit_lines_below_it(stack):
    output = command(stack, "logs", "postgres", "--no-follow", "--level", "warning")
    assert output.returncode == 0 and "database system is ready" not in output.stdout
    output = command(stack, "logs", "postgres", "--no-follow", "--level", "info")
    assert "database system is ready" in output.stdout
    assert "invalid choice: 'loud'" in command(stack, "logs", "--level", "loud").stderr


def test_dead_letters_lists_every_queue_in_two_seconds_of_processor_time(stack):
    stack.wait_until_healthy()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    listed = command(stack, "dead-letters")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines() == [f"{queue}: 0 dead letters" for queue in QUEUES]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


@pytest.mark.parametrize("action", ["retry", "discard"])
def test_unknown_queue_is_rejected_with_the_existing_queues(stack, action):
    stack.wait_until_healthy()
    rejected = command(stack, action, "orders.unknown")
    assert rejected.returncode == 1 and rejected.stdout == ""
    assert f"QUEUE must be one of {', '.join(QUEUES)}: 'orders.unknown'" in rejected.stderr


def test_unknown_message_is_rejected_with_its_id(stack):
    stack.wait_until_healthy()
    rejected = command(stack, "retry", "orders.import", "m1")
    assert rejected.returncode == 1 and "orders.import: no dead letter has the ID m1" in rejected.stderr


def test_one_dead_letter_is_listed_and_discarded_by_its_id(stack):
    stack.wait_until_healthy()
    message_id = f"m-{secrets.token_hex(4)}"
    with pika.BlockingConnection(pika.URLParameters(stack.amqp_url)) as connection:
        channel = connection.channel()
        channel.basic_publish("", "event.append", b"not JSON", pika.BasicProperties(message_id=message_id))
    eventually(lambda: message_id in command(stack, "dead-letters").stdout, within_seconds=30)
    discarded = command(stack, "discard", "event.append", message_id)
    assert discarded.stdout == "event.append: 1 dead letter discarded\n"
    eventually(lambda: "event.append: 0 dead letters" in command(stack, "dead-letters").stdout)


def test_queues_of_a_service_without_a_worker_are_reported_as_unknown(stack):
    stack.wait_until_healthy()
    stack.stop("orders-worker")
    try:
        listed = command(stack, "dead-letters")
        assert listed.returncode == 1
        assert "the queues of orders-service are unknown" in listed.stderr
        assert listed.stdout.splitlines() == [f"{queue}: 0 dead letters" for queue in QUEUES if "orders" not in queue]
        assert "the queues of orders-service are unknown" in command(stack, "retry", "orders.import").stderr
    finally:
        stack.start("orders-worker")
        stack.wait_until_healthy()


# Limits on how long a session can block others, including after the network to it fails.
SESSION_LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def test_each_service_has_its_own_role_and_schema(stack):
    for service in stack.service_names:
        url = stack.database_url(service)
        settings = (
            "current_user",
            "current_schema",
            *(f"current_setting('{name}')" for name in SESSION_LIMITS),
        )
        assert rows(url, f"SELECT {', '.join(settings)}") == [(service, service, *SESSION_LIMITS.values())]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            rows(url, "CREATE TABLE public.mine ()")
        for other in set(stack.service_names) - {service}:
            assert rows(url, f"SELECT has_schema_privilege('{other}', 'USAGE')") == [(False,)]


def test_postgres_is_configured_for_durability(stack):
    for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert rows(stack.admin_database_url, f"SHOW {name}") == [("on",)]
    assert rows(stack.admin_database_url, "SHOW max_connections") == [("200",)]


def test_rabbitmq_rejects_guest(stack):
    guest = stack.amqp_url.replace(f"quintet:{stack.settings['RABBITMQ_PASSWORD']}", "guest:guest")
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(pika.URLParameters(guest))


@pytest.mark.parametrize("program", INFRASTRUCTURE)
def test_killed_server_is_restarted(stack, program):
    stack.kill(program)
    eventually(stack.postgres.is_ready, within_seconds=30)
    eventually(stack.broker.is_ready, within_seconds=60)
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
    eventually(stack.broker.is_ready, within_seconds=60)
    stack.wait_until_healthy()


def test_reload_restarts_only_services_and_console(stack):
    before = pids(stack)
    startup.up(reopen(stack), reload=True)
    after = pids(stack)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == set(after) - set(INFRASTRUCTURE)


def test_stack_ends_with_killed_supervisor_and_up_restarts_it(stack):
    crashes = stack.log("postgres").count(INTERRUPTED)
    assert processes_of(stack) != []
    os.kill(stack.supervisor.pid(), signal.SIGKILL)
    eventually(lambda: processes_of(stack) == [], within_seconds=10)
    startup.up(reopen(stack))
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
        used_ports = [second.gateway.port, *second.ports.values()]
        web, nginx = second.pid("sequence-web"), second.pid("nginx")
        # A stopped process does not end by itself; nor do the workers of a killed nginx.
        os.kill(web, signal.SIGSTOP)
        os.kill(second.supervisor.pid(), signal.SIGKILL)
        os.kill(nginx, signal.SIGKILL)
        down = command(second, "down")
        assert down.returncode == 0, down.stderr
        assert processes_of(second) == []
        assert not {port for port in used_ports if port in listening_ports()}
        home = second.layout.home
        unconfirmed = command(second, "clean")
        assert unconfirmed.returncode == 1 and str(home) in unconfirmed.stderr and "YES=1" in unconfirmed.stderr
        assert home.exists()
        assert command(second, "clean", "--yes").returncode == 0
        assert not home.exists()
    assert stack.is_healthy()


def listening_ports():
    return {
        connection.laddr.port
        for connection in psutil.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_servers_use_the_configuration_shared_with_containers(stack):
    for name, value in {"shared_buffers": "256MB", "log_checkpoints": "off"}.items():
        assert rows(stack.admin_database_url, f"SHOW {name}") == [(value,)]
    assert "deploy/rabbitmq/rabbitmq.conf" in stack.log("rabbitmq")


def test_erlang_cookie_comes_from_env_and_a_weak_one_is_replaced(stack):
    cookie = stack.layout.home / "rabbitmq" / "home" / ".erlang.cookie"
    assert cookie.read_text() == stack.settings["RABBITMQ_ERLANG_COOKIE"]
    assert len(cookie.read_text()) >= 32
    assert cookie.stat().st_mode & 0o777 == 0o400
    cookie.unlink()
    cookie.write_text("ABCDEFGHIJKLMNOPQRST")
    stack.broker.prepare()
    assert cookie.read_text() == stack.settings["RABBITMQ_ERLANG_COOKIE"]
    assert cookie.stat().st_mode & 0o777 == 0o400


def test_changed_broker_password_takes_effect_at_the_next_up(stack):
    before = pids(stack)
    envfile.set_values(stack.layout.env_file, {"SEQUENCE_AMQP_PASSWORD": "another password: %/@"})
    try:
        startup.up(reopen(stack))
        changed = {name for name, pid in pids(stack).items() if pid != before[name]}
        assert changed == {"rabbitmq", "sequence-worker"}
        reopen(stack).wait_until_healthy()
        pika.BlockingConnection(pika.URLParameters(reopen(stack).broker.service_url("sequence"))).close()
    finally:
        envfile.set_values(stack.layout.env_file, {"SEQUENCE_AMQP_PASSWORD": stack.settings["SEQUENCE_AMQP_PASSWORD"]})
        startup.up(reopen(stack))
