"""If the primary of Postgres is lost and its standby is promoted, the services continue there, and nothing is lost."""

import secrets
import time
from contextlib import closing

import psycopg2
import pytest

from quintet_e2e.clients import attempt_request, background_threads, ok_json
from quintet_e2e.faults import POSTGRES_RECOVERY_SECONDS, LoadMonitor, assert_recovered
from quintet_e2e.sequences import UniqueSequence
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.parametrize("stack", ["standby"], indirect=True)]

STANDBY_SECONDS = 60
OUTAGE_SECONDS = 3
MIN_WRITES = 20
READ_PATHS = [
    "/sequences/sequence",
    "/api/v1/streams",
    "/acme_orders/api/v1/orders?limit=1",
    "/source",
    "/api/factories",
]


def query(stack, program, statement, **parameters):
    with closing(psycopg2.connect(stack.postgres_url(program), connect_timeout=5)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def synchronous_standby(stack):
    """Let each commit wait until the standby has stored it: otherwise the last ones before the fault may be lost."""
    query(stack, "postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
    query(stack, "postgres", "SELECT pg_reload_conf()")
    state = "SELECT sync_state FROM pg_stat_replication"
    eventually(lambda: query(stack, "postgres", state) == [("sync",)], STANDBY_SECONDS)


def reads_from_standby(stack):
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'factory-replica'"
    return query(stack, "postgres-standby", sessions)[0][0]


def create_sprocket(client):
    return ok_json(client.post("/api/sprocket/create/1/2/3/4"))["sprocket"]["id"]


def current_teeth(stack, client, sprocket):
    """Return the property as read from Postgres, not from Redis."""
    stack.flush_cache()
    return ok_json(client.get(f"/api/sprocket/{sprocket}"))["sprocket"]["teeth"]


def test_documents_are_current_while_the_standby_lags(stack, client, synchronous_standby):
    sprocket = create_sprocket(client)
    eventually(lambda: current_teeth(stack, client, sprocket) and reads_from_standby(stack), STANDBY_SECONDS)
    query(stack, "postgres-standby", "SELECT pg_wal_replay_pause()")
    try:
        for teeth in range(2, 12):
            ok_json(client.send("PATCH", f"/api/sprocket/{sprocket}", json={"teeth": teeth}))
            assert current_teeth(stack, client, sprocket) == teeth
        assert current_teeth(stack, client, create_sprocket(client)) == 1
        lag = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
        assert query(stack, "postgres-standby", lag) == [(True,)]
    finally:
        query(stack, "postgres-standby", "SELECT pg_wal_replay_resume()")
    assert_recovered(stack)


class Load:
    """Numbers that are issued, events that are appended, and reads of all services."""

    def __init__(self, client):
        self.client, self.monitor = client, LoadMonitor()
        self.sequence = UniqueSequence(client, maximum=10**9, cycle=False)
        self.cycles = UniqueSequence(client)
        self.stream = f"failover-{secrets.token_hex(4)}"
        self.numbers, self.event_ids, self.wraps = [], [], 0

    def work(self, number):
        if number == 0:
            self.numbers += self.sequence.issue(1)
        elif number == 1:
            path, headers = f"{stream_path(self.stream)}/events", {"X-Producer-ID": "failover"}
            self.event_ids.append(
                ok_json(self.client.send_with_retry("POST", path, headers=headers, json=event_body()))
            )
        elif number == 2:
            self.cycles.issue(10)
            self.wraps += 1
            time.sleep(0.1)
        else:
            path = READ_PATHS[number % len(READ_PATHS)]
            self.monitor.record(attempt_request(lambda: self.client.get(path)))

    def assert_nothing_lost_or_doubled(self):
        assert sorted(self.numbers) == list(range(1, len(self.numbers) + 1))
        stored = [event["event"]["id"] for event in read_events(self.client, self.stream)]
        assert sorted(stored) == sorted(self.event_ids)
        eventually(lambda: len(self.cycles.events()) >= self.wraps)
        assert [event["payload"]["cycles"] for event in self.cycles.events()] == list(range(1, self.wraps + 1))


def test_services_continue_on_the_promoted_standby(stack, client, synchronous_standby):
    load = Load(client)
    with background_threads(3 + len(READ_PATHS), load.work):
        eventually(lambda: min(len(load.numbers), len(load.event_ids)) > MIN_WRITES)
        stack.containers("postgres")[0].kill()
        time.sleep(OUTAGE_SECONDS)
        assert query(stack, "postgres-standby", "SELECT pg_promote()") == [(True,)]
        promoted_at = time.monotonic()
        counts = len(load.numbers), len(load.event_ids)
        seconds = load.monitor.wait_until_recovered(promoted_at, POSTGRES_RECOVERY_SECONDS)
        recovered_at = time.monotonic()
        eventually(lambda: min(len(load.numbers) - counts[0], len(load.event_ids) - counts[1]) > MIN_WRITES)
    print(f"last failure {seconds:.2f} s after the promotion; {load.monitor.failure_count} failed reads")
    load.monitor.assert_no_failure_since(recovered_at)
    load.assert_nothing_lost_or_doubled()
    assert_recovered(stack)
