"""The connection to Postgres breaks while a change is committed: it may have been made, or not."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis.db import Database, Transaction
from chassis.errors import OutcomeUnknown, Unavailable
from chassis.messaging.delivery import Delivery
from chassis.runtime.config import ServiceSettings
from quintet_testing.proxies import PostgresProxy

INSERT = "INSERT INTO effects (name) VALUES ('changed')"


@pytest.fixture
def proxy(settings: ServiceSettings) -> Iterator[PostgresProxy]:
    with PostgresProxy(settings.database_url) as proxy:
        yield proxy


@pytest.fixture
def database(proxy: PostgresProxy) -> Iterator[Database]:
    database = Database(proxy.url, name="proxied", size=2, wait_seconds=30)
    yield database
    database.close()


@pytest.mark.parametrize("is_executed", [True, False])
def test_connection_lost_during_the_commit_leaves_the_outcome_unknown(
    proxy: PostgresProxy, database: Database, effects: Any, eventually: Callable[..., Any], is_executed: bool
) -> None:
    proxy.lose_connection_at(b"COMMIT", is_executed=is_executed)
    with pytest.raises(OutcomeUnknown), database.transaction() as tx:
        tx.run(INSERT)
    eventually(lambda: effects() == (["changed"] if is_executed else []))
    with database.transaction() as tx:
        assert tx.value("SELECT 1") == 1


@pytest.mark.parametrize("is_executed", [True, False])
def test_connection_lost_during_an_autocommit_statement_leaves_the_outcome_unknown(
    proxy: PostgresProxy, database: Database, effects: Any, eventually: Callable[..., Any], is_executed: bool
) -> None:
    proxy.lose_connection_at(b"INSERT", is_executed=is_executed)
    with pytest.raises(OutcomeUnknown), database.statements() as tx:
        tx.run(INSERT)
    eventually(lambda: effects() == (["changed"] if is_executed else []))
    with database.statements() as tx:
        assert tx.value("SELECT 1") == 1


def test_connection_lost_before_the_commit_changed_nothing(
    proxy: PostgresProxy, database: Database, effects: Any
) -> None:
    proxy.lose_connection_at(b"INSERT", is_executed=True)
    with pytest.raises(Unavailable) as raised, database.transaction() as tx:
        tx.run(INSERT)
    assert type(raised.value) is Unavailable
    assert effects() == []


def test_statement_that_postgres_rejects_changed_nothing(database: Database) -> None:
    with pytest.raises(Unavailable) as raised, database.statements() as tx:
        tx.run("SET statement_timeout = '50ms'")
        tx.run("SELECT pg_sleep(20)")
    assert type(raised.value) is Unavailable


def test_message_takes_effect_once_although_the_outcome_of_its_commit_was_unknown(
    proxy: PostgresProxy,
    database: Database,
    consume: Callable[..., Any],
    publish: Any,
    queue: str,
    effects: Any,
    logged: Any,
    eventually: Callable[..., Any],
) -> None:
    def record_effect(tx: Transaction, delivery: Delivery) -> None:
        tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])
        if delivery.body["name"] == "one":
            proxy.lose_connection_at(b"COMMIT", is_executed=True)

    consume(record_effect, database=database)
    publish(queue, b'{"name": "one"}')
    publish(queue, b'{"name": "two"}')
    eventually(lambda: sorted(effects()) == ["one", "two"])
    assert not proxy.is_armed
    # The effect is visible a moment before the worker notices that the connection is lost.
    eventually(lambda: logged("message.delayed"))
    assert len(logged("message.delayed")) == 1


REPEAT_WITH_KEY = "repeat the request with the same Idempotency-Key"
CHECK_FIRST = "check whether it was made before you repeat the request"


@pytest.mark.parametrize(
    ("method", "headers", "advice"),
    [
        ("POST", {"Idempotency-Key": "k"}, REPEAT_WITH_KEY),
        ("POST", {}, CHECK_FIRST),
        # This route does not accept a key.
        ("DELETE", {"Idempotency-Key": "k"}, CHECK_FIRST),
    ],
)
def test_client_is_told_to_repeat_the_key_or_to_check_first(
    client: Any, method: str, headers: dict[str, str], advice: str
) -> None:
    response = client.open("/errors/unknown", method=method, headers=headers)
    assert (response.status_code, "Retry-After" in response.headers) == (504, False)
    assert response.json["detail"].endswith(advice)


def test_read_whose_connection_was_lost_can_be_repeated(client: Any) -> None:
    response = client.get("/errors/unknown")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


def test_client_of_a_get_that_changes_something_is_told_that_the_result_is_lost(client: Any) -> None:
    response = client.get("/changing-errors/unknown", headers={"Idempotency-Key": "k"})
    assert (response.status_code, "Retry-After" in response.headers) == (504, False)
    assert response.json["detail"].endswith("repeat the request, because its result is lost")
