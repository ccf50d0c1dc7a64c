"""Steps of a backup and a restore on a running stack, at moments that a journey does not reach."""

from contextlib import closing

import pika
import pytest

from quintet_local import backup, rabbitmq, restore, startup
from quintet_local.broker_users import VHOST
from quintet_local.progress import StackError
from quintet_local.tools import Session

pytestmark = pytest.mark.slow

QUEUE = "orders.without-consumer"


@pytest.fixture
def channel(stack):
    with closing(pika.BlockingConnection(pika.URLParameters(stack.amqp_url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
        channel.queue_delete(QUEUE)


@pytest.fixture
def saved(stack, tmp_path):
    backup.create(stack, tmp_path / "saved")
    return tmp_path / "saved"


def psql(stack, database="quintet"):
    return Session(backup.psql(stack, database))


def test_message_that_rabbitmq_has_not_counted_yet_prevents_a_backup(stack, channel, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "_DRAIN_SECONDS", 1)
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", QUEUE, b"{}")
    with pytest.raises(StackError, match=f"these queues are not empty: {QUEUE}: 1"):
        backup.create(stack, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_backup_with_a_migration_that_the_code_lacks_changes_nothing(stack, tmp_path):
    migration = "source = 'orders_service' AND name = '9999_later.sql'"
    values = "('orders_service', '9999_later.sql', '')"
    with psql(stack) as session:
        session.query(f"INSERT INTO orders.schema_migrations (source, name, sha256) VALUES {values}")
    try:
        backup.create(stack, folder := tmp_path / "backup")
    finally:
        with psql(stack) as session:
            session.query(f"DELETE FROM orders.schema_migrations WHERE {migration}")
    pids = stack.pids()
    with pytest.raises(StackError, match=r"nothing was changed: .* lacks its migration 9999_later\.sql"):
        restore.replace(stack, folder, restore.read_manifest(stack, folder), 0)
    assert stack.pids() == pids
    restore.reject_interrupted(stack.env_file)
    with psql(stack, "postgres") as session:
        assert session.value("SELECT count(*) FROM pg_database WHERE datname = 'quintet_restored'") == "0"


def test_restore_that_was_interrupted_without_a_virtual_host_continues(stack, saved):
    stack.broker_tool("-q", "delete_vhost", VHOST).run()
    startup.start_servers(stack)
    restore._reset_broker(stack, saved / backup.DEFINITIONS)
    stack.wait_until_healthy()


def test_users_count_as_data_that_a_restore_replaces(stack):
    before = restore.count_current(stack).get("users", 0)
    stack.run("user", "ann-of-the-backup", "reader")
    try:
        assert restore.count_current(stack)["users"] == before + 1
    finally:
        stack.run("user-remove", "ann-of-the-backup")


def test_backup_while_the_broker_is_down_says_what_to_do(stack, tmp_path):
    stack.stop(rabbitmq.NAME)
    try:
        with pytest.raises(StackError, match="the stack must be running: run `make up`"):
            backup.create(stack, tmp_path / "backup")
    finally:
        stack.start(rabbitmq.NAME)
        stack.wait_until_healthy()
    assert list(tmp_path.iterdir()) == []
