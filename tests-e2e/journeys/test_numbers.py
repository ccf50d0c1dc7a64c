"""Numbers are issued once and none is lost while processes are killed."""

import secrets
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest

from quintet_e2e.clients import attempt_request, background_threads, ok_json, run_concurrently
from quintet_e2e.faults import (
    POSTGRES_RECOVERY_SECONDS,
    SERVICE_RECOVERY_SECONDS,
    LoadMonitor,
    assert_recovered,
    seeded_random,
)
from quintet_e2e.stacks import ALSO_ON_REPLICAS, ON_ONE_STACK
from quintet_testing.waiting import eventually

CLIENTS = 50
KILLS = 12
COUNTS = [1, 1, 1, 1, 2, 7, 50, 400]
TOTAL_WITHOUT_FAULTS = 1000


def get_state(client, name):
    return ok_json(client.get(f"/sequences/{name}"))


def issued_count(state):
    """Return how many numbers have been issued over all cycles."""
    size = state["maximum"] - state["minimum"] + 1
    return state["cycles"] * size + state["next"] - state["minimum"]


def create_sequence(client, maximum, *, cycle, **definition):
    name = f"test-{secrets.token_hex(4)}"
    definition = {"minimum": 1, "maximum": maximum, "cycle": cycle, **definition}
    response = client.put(f"/sequences/{name}", json=definition)
    assert response.status_code == 201
    return name


def number_at(state, ticket):
    return state["minimum"] + ticket % (state["maximum"] - state["minimum"] + 1)


@dataclass
class IssuedNumbers:
    """Lists that clients received, and the count of numbers in failed requests, which may have been issued."""

    lists: dict[str, list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    unconfirmed_counts: Counter = field(default_factory=Counter)

    def numbers(self, name):
        return [number for numbers in self.lists[name] for number in numbers]


def request_numbers(client, random, monitor, issued, unkeyed, keyed):
    """Request numbers of a random sequence, with an Idempotency-Key and retries if its name is in `keyed`."""
    name, count = random.choice([*unkeyed, *keyed]), random.choice(COUNTS)
    if name in keyed:
        path, request = f"/sequences/{name}/next", {"n": count}
        issued.lists[name].append(
            ok_json(client.send_with_retry("POST", path, headers={}, json=request))["sequence_list"]
        )
        return
    attempt = attempt_request(lambda: client.get(f"/{name}?n={count}"))
    monitor.record(attempt)
    if attempt.is_ok:
        numbers = attempt.response.json()["sequence_list"]
        assert len(numbers) == count
        issued.lists[name].append(numbers)
    else:
        issued.unconfirmed_counts[name] += count


def kill_in_turn(stack, random, monitor):
    """Kill one process after another; wait each time until requests succeed again, and print the recovery time."""
    victims = ["a web process", "the web master", "postgres"] * (KILLS // 3)
    random.shuffle(victims)
    for victim in victims:
        time.sleep(random.uniform(0.1, 0.6))
        since, max_seconds = time.monotonic(), SERVICE_RECOVERY_SECONDS
        if victim == "a web process":
            stack.kill_gunicorn_worker("sequence-web", random)
        elif victim == "the web master":
            stack.kill_gunicorn_master("sequence-web")
        else:
            stack.kill("postgres")
            eventually(stack.is_database_reachable, 60)
            since, max_seconds = time.monotonic(), POSTGRES_RECOVERY_SECONDS
        print(f"{victim}: last failure after {monitor.wait_until_recovered(since, max_seconds):.2f} s")


def assert_contiguous(state, numbers):
    first = (numbers[0] - state["minimum"]) if numbers else 0
    assert numbers == [number_at(state, first + ticket) for ticket in range(len(numbers))]


def assert_issued_once(before, after, issued):
    """Assert that each number was received at most as often as it was issued between the two states."""
    name, first, last = after["name"], issued_count(before), issued_count(after)
    for numbers in issued.lists[name]:
        assert_contiguous(after, numbers)
    received = Counter(issued.numbers(name))
    assert received <= Counter(number_at(after, ticket) for ticket in range(first, last))
    assert 0 <= last - first - received.total() <= issued.unconfirmed_counts[name]


def assert_recorded(client, issued, name):
    """Assert that exactly the lists that clients received were recorded."""
    records, before = [], ""
    while page := ok_json(client.get(f"/sequences/{name}/issued?limit=1000{before}"))["issued"]:
        records += page
        before = f"&before={page[-1]['id']}"
    recorded = sorted([*range(record["first"], record["last"] + 1)] for record in records)
    assert recorded == sorted(issued.lists[name])


@pytest.fixture
def audited(client):
    return create_sequence(client, 10**9, cycle=False, audit=True, reset="year", format="{year}-{}")


@pytest.fixture
def sequences(client, audited):
    """Return the names of two predefined and three new sequences; one of each group wraps around during the test."""
    keyed = [create_sequence(client, 997, cycle=True), create_sequence(client, 10**12, cycle=False), audited]
    return ["sequence", "image-sequence"], keyed


@pytest.mark.fault
@ON_ONE_STACK
def test_fifty_clients_receive_distinct_numbers_while_processes_are_killed(stack, client, sequences, audited):
    random, monitor, issued = seeded_random(), LoadMonitor(), IssuedNumbers()
    unkeyed, keyed = sequences
    before = {name: get_state(client, name) for name in [*unkeyed, *keyed]}
    with background_threads(CLIENTS, lambda _: request_numbers(client, random, monitor, issued, unkeyed, keyed)):
        kill_in_turn(stack, random, monitor)
        recovered_at = time.monotonic()
        time.sleep(2)
    monitor.assert_no_failure_since(recovered_at)
    after = {name: get_state(client, name) for name in before}
    for name, state in after.items():
        assert_issued_once(before[name], state, issued)
        print(f"{name}: {len(issued.numbers(name))} numbers, {issued.unconfirmed_counts[name]} in failed requests")
    assert_recorded(client, issued, audited)
    assert_recovered(stack)


@ALSO_ON_REPLICAS
def test_no_number_is_skipped_without_faults(client):
    before = get_state(client, "image-sequence")
    requests_per_client = TOTAL_WITHOUT_FAULTS // CLIENTS

    def request_repeatedly(_):
        return [ok_json(client.get("/image-sequence"))["sequence_no"] for _ in range(requests_per_client)]

    numbers = sorted(number for batch in run_concurrently(CLIENTS, request_repeatedly) for number in batch)
    assert numbers == [number_at(before, issued_count(before) + ticket) for ticket in range(TOTAL_WITHOUT_FAULTS)]
    assert issued_count(get_state(client, "image-sequence")) == issued_count(before) + TOTAL_WITHOUT_FAULTS


@ALSO_ON_REPLICAS
def test_response_has_all_numbers_or_is_an_error(client):
    name = create_sequence(client, 10, cycle=False)
    assert ok_json(client.post(f"/sequences/{name}/next", json={"n": 8}))["sequence_list"] == list(range(1, 9))
    assert client.post(f"/sequences/{name}/next", json={"n": 3}).status_code == 409
    assert ok_json(client.post(f"/sequences/{name}/next", json={"n": 2}))["sequence_list"] == [9, 10]


@ALSO_ON_REPLICAS
def test_retry_with_same_key_returns_same_numbers(client):
    name = create_sequence(client, 1000, cycle=False)
    key = {"Idempotency-Key": secrets.token_hex()}
    first = client.post(f"/sequences/{name}/next", json={"n": 3}, headers=key)
    repeated = client.post(f"/sequences/{name}/next", json={"n": 3}, headers=key)
    assert repeated.json() == first.json() == {"sequence_list": [1, 2, 3], "formatted": ["1", "2", "3"]}
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert client.post(f"/sequences/{name}/next", json={"n": 4}, headers=key).status_code == 422
    assert issued_count(get_state(client, name)) == 3
