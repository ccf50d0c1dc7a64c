"""In a swarm, programs with two replicas are replaced and killed without a failed request."""

import threading

import pytest

from quintet_e2e.clients import Client, attempt_request, background_threads, ok_json
from quintet_e2e.sequences import UniqueSequence
from quintet_e2e.swarm import swarm_stack
from quintet_testing.waiting import eventually

CLIENTS = 3
# Each client waits between its requests: an overloaded machine would test the load instead of the replacement.
PAUSE_SECONDS = 0.05
REQUESTS = 100


@pytest.fixture(scope="module")
def swarm():
    with swarm_stack() as stack:
        yield stack


@pytest.fixture
def client(swarm):
    administrator = Client(swarm)
    yield administrator
    administrator.close()


class Load:
    """Clients that read a sequence, and issue its numbers with the retries that the client library has."""

    def __init__(self, client):
        self.client = client
        self.sequence = UniqueSequence(client, maximum=10**6, cycle=False)
        self.failures, self.numbers, self.reads = [], [], 0
        self._pause = threading.Event()

    def run(self, _number):
        attempt = attempt_request(lambda: self.client.get(f"/sequences/{self.sequence.name}"))
        if not attempt.is_ok:
            self.failures.append(attempt.description)
        self.reads += 1
        self.numbers += self.sequence.issue(1)
        self._pause.wait(PAUSE_SECONDS)


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("fault", ["replace_tasks", "kill_task"])
def test_no_request_fails_while_tasks_are_replaced(swarm, client, fault):
    load = Load(client)
    with background_threads(CLIENTS, load.run):
        eventually(lambda: load.reads > REQUESTS)
        getattr(swarm, fault)("sequence-web")
        reads_before = load.reads
        eventually(lambda: load.reads > reads_before + REQUESTS)
    assert load.failures == []
    assert sorted(load.numbers) == list(range(1, len(load.numbers) + 1))


@pytest.mark.slow
@pytest.mark.fault
def test_messages_reach_other_programs_of_the_swarm(client):
    """An issued number becomes an event: through Postgres, the relay, RabbitMQ and the worker of another service."""
    sequence = UniqueSequence(client)
    sequence.wrap_around()
    sequence.issue(1)
    eventually(sequence.events)
    assert ok_json(client.get("/invariants"))["status"] == "OK"
