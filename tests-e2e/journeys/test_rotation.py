"""All passwords are replaced while no request fails, and the old ones are rejected afterwards."""

from contextlib import closing

import pika
import pika.exceptions
import psycopg2
import pytest

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.faults import assert_recovered, kill_command
from quintet_e2e.load import Load
from quintet_e2e.stacks import MAINLY_WITH_CONTAINERS, ON_ONE_STACK
from quintet_local import envfile

pytestmark = pytest.mark.slow

SERVICES = ("event", "factory", "orders", "sequence", "specstore")


def postgres_urls(stack, settings):
    """Return the URL of each role with its password in these settings, at the current address."""
    passwords = {"admin": settings["POSTGRES_PASSWORD"]}
    passwords |= {service: settings[envfile.database_password_name(service)] for service in SERVICES}
    address = stack.database_url.partition("@")[2]
    return [f"postgresql://{role}:{password}@{address}" for role, password in passwords.items()]


def broker_urls(stack, settings):
    passwords = {"quintet": settings["RABBITMQ_PASSWORD"]}
    passwords |= {service: settings[envfile.broker_password_name(service)] for service in SERVICES}
    address = stack.amqp_url.partition("@")[2]
    return [f"amqp://{user}:{password}@{address}" for user, password in passwords.items()]


def assert_accepted(stack, settings):
    for url in postgres_urls(stack, settings):
        psycopg2.connect(url).close()
    for url in broker_urls(stack, settings):
        pika.BlockingConnection(pika.URLParameters(url)).close()
    if stack.kind == "compose":
        assert stack.is_cache_password(settings["REDIS_PASSWORD"])


def assert_rejected(stack, settings):
    for url in postgres_urls(stack, settings):
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(url)
    for url in broker_urls(stack, settings):
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(pika.URLParameters(url))
    if stack.kind == "compose":
        assert not stack.is_cache_password(settings["REDIS_PASSWORD"])


@MAINLY_WITH_CONTAINERS
def test_rotation_under_load_replaces_every_password_without_a_failed_request(stack, client):
    load, before = Load(client), dict(stack.settings)
    with load.running():
        load.wait_for_progress()
        counts = load.counts.copy()
        stack.run_command("rotate-passwords")
        assert load.has_continued(counts)
        load.wait_for_progress()
    stack.reload_settings()
    after = stack.settings
    names = envfile.password_names(SERVICES)
    assert [name for name in names if after[name] == before[name]] == []
    assert {name for name in before if after[name] != before[name]} == set(names)
    assert_rejected(stack, before)
    assert_accepted(stack, after)
    load.assert_nothing_lost()
    assert_recovered(stack)


@pytest.mark.fault
@ON_ONE_STACK
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("replacing the passwords of the servers", marks=pytest.mark.extended),
        "password of orders-service",
    ],
)
def test_killed_rotation_is_completed_by_the_next_one(stack, moment):
    before = dict(stack.settings)
    kill_command(stack, "rotate-passwords", "--administrator", during=moment)
    with pytest.raises(RuntimeError, match="a rotation of passwords was interrupted"):
        stack.run_command("upgrade", "--no-backup")
    stack.run_command("rotate-passwords")
    stack.reload_settings()
    assert stack.settings["ADMIN_PASSWORD"] != before["ADMIN_PASSWORD"]
    assert_rejected(stack, before)
    assert_accepted(stack, stack.settings)
    with closing(Client(stack)) as client:
        ok_json(client.get("/sequences"))
    assert_recovered(stack)
