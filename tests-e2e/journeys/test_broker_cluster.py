"""With a RabbitMQ cluster of three nodes, messages flow again within seconds after one is killed or frozen."""

import json
import secrets
import time

import pytest

from quintet_e2e.clients import background_threads, ok_json
from quintet_e2e.faults import BROKER_RECOVERY_SECONDS, LoadMonitor, assert_recovered
from quintet_e2e.sequences import CYCLE_LENGTH, UniqueSequence
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_e2e.subscriber import subscription
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.parametrize("stack", ["cluster"], indirect=True)]

PROGRAMS = {"rabbit@rabbitmq-1": "rabbitmq", "rabbit@rabbitmq-2": "rabbitmq-2", "rabbit@rabbitmq-3": "rabbitmq-3"}
QUEUE = "event.append"
FLOW_SECONDS = 15
START_SECONDS = 120
MIN_WRAPS = 10


def queues(stack):
    """Return the leader, the members and the online members of each queue, as a running node reports them."""
    container = next(
        node for program in PROGRAMS.values() for node in stack.containers(program) if node.status == "running"
    )
    command = "rabbitmqctl -q -p quintet list_queues name leader members online --formatter json"
    code, output = container.exec_run(command.split())
    assert code == 0, output
    return {queue["name"]: queue for queue in json.loads(output)}


def wait_until_complete(stack):
    """Wait until each queue has a member that is online on each node."""

    def is_complete():
        rows = queues(stack).values()
        return rows and all(sorted(row["members"]) == sorted(row["online"]) == sorted(PROGRAMS) for row in rows)

    eventually(is_complete, START_SECONDS)


class Load:
    """Events of two services and a stream, without pauses; any unsuccessful response fails the test."""

    def __init__(self, client):
        self.client, self.monitor = client, LoadMonitor()
        self.sequence, self.wraps = UniqueSequence(client), 0
        self.stream, self.event_ids = f"cluster-{secrets.token_hex(4)}", []

    def work(self, number):
        if number == 0:
            path = f"/sequences/{self.sequence.name}/next"
            ok_json(self.client.post(path, json={"n": CYCLE_LENGTH}))
            self.wraps += 1
        else:
            path, headers = f"{stream_path(self.stream)}/events", {"X-Producer-ID": "cluster"}
            self.event_ids.append(ok_json(self.client.post(path, json=event_body(), headers=headers)))
        time.sleep(0.1)

    def wait_until_flowing(self):
        """Wait until an event that is caused from now on has been stored, and return after how many seconds it was."""
        started_at, expected = time.monotonic(), self.wraps + 2
        eventually(lambda: len(self.sequence.events()) >= expected, BROKER_RECOVERY_SECONDS)
        return time.monotonic() - started_at


def kill(container):
    container.kill()
    return container.start


def freeze(container):
    container.pause()
    return container.unpause


@pytest.mark.parametrize("fault", [kill, freeze])
def test_messages_flow_again_after_the_leading_node_fails(stack, client, fault):
    wait_until_complete(stack)
    load = Load(client)
    with subscription(stack, f"{load.stream}.#") as subscriber:
        with background_threads(2, load.work):
            eventually(lambda: load.wraps > MIN_WRAPS)
            load.wait_until_flowing()
            program = PROGRAMS[queues(stack)[QUEUE]["leader"]]
            repair = fault(stack.containers(program)[0])
            try:
                seconds = load.wait_until_flowing()
            finally:
                repair()
            print(f"{fault.__name__} {program}: messages flow again after {seconds:.1f} s")
        wait_until_complete(stack)
        eventually(lambda: subscriber.receive() or subscriber.message_ids >= set(load.event_ids), START_SECONDS)
        assert subscriber.message_ids == set(load.event_ids)
    assert seconds < FLOW_SECONDS
    eventually(lambda: len(load.sequence.events()) >= load.wraps, BROKER_RECOVERY_SECONDS)
    assert [event["payload"]["cycles"] for event in load.sequence.events()] == list(range(1, load.wraps + 1))
    stored = [event["event"]["id"] for event in read_events(client, load.stream)]
    assert sorted(stored) == sorted(load.event_ids)
    assert_recovered(stack)
