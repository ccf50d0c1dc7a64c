"""The servers of a running stack: their configuration, users and permissions."""

import pika
import pika.exceptions
import psycopg2
import psycopg2.errors
import pytest

from quintet_local import envfile, startup, upgrade

pytestmark = pytest.mark.slow

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


def rows(url, statement):
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
    finally:
        connection.close()


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


def test_servers_use_the_configuration_shared_with_containers(stack):
    for name, value in {"effective_cache_size": "512MB", "log_checkpoints": "off"}.items():
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
    before = stack.pids()
    envfile.set_values(stack.layout.env_file, {"SEQUENCE_AMQP_PASSWORD": "another password: %/@"})
    try:
        startup.up(stack.reopened())
        changed = {name for name, pid in stack.pids().items() if pid != before[name]}
        assert changed == {"sequence-worker"}
        stack.reopened().wait_until_healthy()
        pika.BlockingConnection(pika.URLParameters(stack.reopened().broker.service_url("sequence"))).close()
    finally:
        envfile.set_values(stack.layout.env_file, {"SEQUENCE_AMQP_PASSWORD": stack.settings["SEQUENCE_AMQP_PASSWORD"]})
        startup.up(stack.reopened())


def test_interrupted_rotation_of_passwords_is_completed_by_up(stack):
    """A rotation first changes the administrator of Postgres, then .env, and then one service after another."""
    names = ["POSTGRES_PASSWORD", "EVENT_DB_PASSWORD", "EVENT_AMQP_PASSWORD"]
    stored = stack.layout.env_file.with_name(upgrade.ROTATING)
    previous = {name: stack.settings[name] for name in names}
    try:
        set_passwords(stack, {name: envfile.new_secret() for name in names})
        stored.write_text("{}")
        startup.up(stack.reopened())
        assert not stored.exists()
        assert rows(stack.reopened().database_url("event"), "SELECT 1") == [(1,)]
        pika.BlockingConnection(pika.URLParameters(stack.reopened().broker.service_url("event"))).close()
    finally:
        set_passwords(stack.reopened(), previous)
        startup.up(stack.reopened())


def set_passwords(stack, passwords):
    connection = psycopg2.connect(stack.admin_database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("ALTER ROLE admin PASSWORD %s", [passwords["POSTGRES_PASSWORD"]])
    connection.close()
    envfile.set_values(stack.layout.env_file, passwords)
