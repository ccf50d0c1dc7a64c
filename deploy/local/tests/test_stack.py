"""A running stack: what it is, and that it comes back from whatever is killed."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pika
import pika.exceptions
import psutil
import psycopg2
import psycopg2.errors
import pytest

from quintet_local import envfile, processes, startup
from quintet_local.testing import TestStack, prepared_stack
from quintet_testing.waiting import eventually

INFRASTRUCTURE = ["epmd", "nginx", "postgres", "rabbitmq", "valkey"]


def fresh(stack):
    """The same stack as the next command would see it, nothing remembered."""
    return TestStack(stack.layout)


def pids(stack):
    return {name: state["pid"] for name, state in stack.supervisor.states().items()}


def processes_of(stack):
    """Whatever runs in the stack's folder or was told about it."""
    home = str(stack.layout.home)
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(home) or any(home in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def command(stack, *words, **environment):
    """As the Makefile calls it."""
    return subprocess.run(
        [sys.executable, str(stack.layout.checkout / "deploy" / "local"), *words],
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


def test_everything_runs_and_a_second_up_changes_nothing(stack):
    before = pids(stack)
    own = [f"{word}-{kind}" for word in stack.words for kind in ("web", "worker")]
    assert sorted(before) == sorted([*INFRASTRUCTURE, "console", *own])
    assert all(before.values())
    again = command(stack, "up")
    assert again.returncode == 0, again.stderr
    assert "already runs" in again.stderr
    assert stack.password in again.stdout
    assert pids(stack) == before


def test_nothing_listens_beyond_this_machine(stack):
    for process in processes_of(stack):
        with suppress(psutil.NoSuchProcess):  # one that has ended listens nowhere
            for connection in process.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip in ("127.0.0.1", "::1"), (process.name(), connection.laddr)


def test_the_commands_tell_the_address_the_state_and_the_logs(stack):
    assert command(stack, "url").stdout == f"http://admin:{stack.password}@127.0.0.1:{stack.gateway.port}\n"
    status = command(stack, "status")
    assert status.returncode == 0, status.stdout
    assert "health" in status.stdout
    assert "postgres" in status.stdout
    assert "database system is ready" in command(stack, "logs", "postgres", "--no-follow").stdout
    assert "there are: " in command(stack, "logs", "nonsense", "--no-follow").stderr


# How long a session of theirs may hold up others, also where the network to it is cut.
LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def test_each_service_has_a_role_and_a_schema_of_its_own(stack):
    for word in stack.words:
        url = stack.database_url(word)
        settings = (
            "current_user",
            "current_schema",
            *(f"current_setting('{name}')" for name in LIMITS),
        )
        assert rows(url, f"SELECT {', '.join(settings)}") == [(word, word, *LIMITS.values())]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            rows(url, "CREATE TABLE public.mine ()")
        for other in set(stack.words) - {word}:
            assert rows(url, f"SELECT has_schema_privilege('{other}', 'USAGE')") == [(False,)]


def test_postgres_keeps_what_it_promised_through_a_crash(stack):
    names = "fsync", "synchronous_commit", "full_page_writes", "data_checksums"
    for name in names:
        assert rows(stack.admin_database_url, f"SHOW {name}") == [("on",)]
    assert rows(stack.admin_database_url, "SHOW max_connections") == [("200",)]


def test_rabbitmq_knows_no_guest(stack):
    guest = stack.amqp_url.replace(f"quintet:{stack.settings['RABBITMQ_PASSWORD']}", "guest:guest")
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(pika.URLParameters(guest))


@pytest.mark.parametrize("program", INFRASTRUCTURE)
def test_a_killed_server_comes_back(stack, program):
    stack.kill(program)
    eventually(stack.postgres.answers, within_seconds=30)
    eventually(stack.broker.answers, within_seconds=60)
    eventually(stack.cache.answers)
    stack.wait_until_healthy()


def test_a_killed_web_process_and_a_killed_worker_come_back(stack):
    for word in stack.words:
        stack.kill(f"{word}-web")
        stack.kill(f"{word}-worker")
    stack.wait_until_healthy()


def test_a_single_program_can_be_away_for_a_while(stack):
    stack.stop("rabbitmq")
    assert not stack.broker.answers()
    stack.start("rabbitmq")
    eventually(stack.broker.answers, within_seconds=60)
    stack.wait_until_healthy()


def test_reload_restarts_the_services_and_the_console_only(stack):
    before = pids(stack)
    startup.up(fresh(stack), reload=True)
    after = pids(stack)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == set(after) - set(INFRASTRUCTURE)


def test_up_heals_a_stack_whose_supervisor_was_killed(stack):
    before = pids(stack)
    os.kill(stack.supervisor.pid(), signal.SIGKILL)
    eventually(lambda: not stack.supervisor.is_up())
    assert processes.runs(before["postgres"])
    startup.up(fresh(stack))
    assert not any(processes.runs(pid) for pid in before.values())
    assert stack.is_healthy()


def test_two_stacks_run_side_by_side_and_down_leaves_nothing_of_a_killed_one(stack):
    with prepared_stack() as second:
        startup.up(second)
        assert second.url != stack.url
        assert second.is_healthy()
        taken = [second.gateway.port, *second.ports.values()]
        os.kill(second.supervisor.pid(), signal.SIGKILL)
        os.kill(pids_file(second, "nginx"), signal.SIGKILL)
        down = command(second, "down")
        assert down.returncode == 0, down.stderr
        assert processes_of(second) == []
        assert not {port for port in taken if port in listening()}
        home = second.layout.home
        asked = command(second, "clean")
        assert asked.returncode == 1 and str(home) in asked.stderr and "YES=1" in asked.stderr
        assert home.exists()
        assert command(second, "clean", "--yes").returncode == 0
        assert not home.exists()
    assert stack.is_healthy()


def pids_file(stack, program):
    return int((stack.layout.pids / program).read_text().split()[0])


def listening():
    return {
        connection.laddr.port
        for connection in psutil.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_servers_read_the_configuration_that_containers_read(stack):
    for name, value in {"shared_buffers": "256MB", "log_checkpoints": "off"}.items():
        assert rows(stack.admin_database_url, f"SHOW {name}") == [(value,)]
    assert "deploy/rabbitmq/rabbitmq.conf" in stack.log("rabbitmq")


def test_the_erlang_cookie_is_ours_and_a_weak_one_is_replaced(stack):
    cookie = stack.layout.home / "rabbitmq" / "home" / ".erlang.cookie"
    assert cookie.read_text() == stack.settings["RABBITMQ_ERLANG_COOKIE"]
    assert len(cookie.read_text()) >= 32
    assert cookie.stat().st_mode & 0o777 == 0o400
    cookie.unlink()
    cookie.write_text("ABCDEFGHIJKLMNOPQRST")
    stack.broker.prepare()
    assert cookie.read_text() == stack.settings["RABBITMQ_ERLANG_COOKIE"]
    assert cookie.stat().st_mode & 0o777 == 0o400


def test_a_changed_password_of_a_broker_user_counts_after_the_next_up(stack):
    before = pids(stack)
    envfile.put(stack.layout.env_file, {"SEQUENCE_AMQP_PASSWORD": "another password: %/@"})
    try:
        startup.up(fresh(stack))
        changed = {name for name, pid in pids(stack).items() if pid != before[name]}
        assert changed == {"rabbitmq", "sequence-worker"}
        fresh(stack).wait_until_healthy()
        pika.BlockingConnection(pika.URLParameters(fresh(stack).broker.service_url("sequence"))).close()
    finally:
        envfile.put(stack.layout.env_file, {"SEQUENCE_AMQP_PASSWORD": stack.settings["SEQUENCE_AMQP_PASSWORD"]})
        startup.up(fresh(stack))
