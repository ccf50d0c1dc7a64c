"""The metrics and the liveness of a worker, read from its port."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.db import Database, Transaction
from chassis.errors import Invalid, Unavailable
from chassis.messaging import broker, outbox
from chassis.messaging.delivery import Delivery
from chassis.messaging.worker_metrics import StateGauge, WorkerMetrics
from chassis.runtime import http_client
from chassis.runtime.config import ServiceSettings
from quintet_testing import plugin as testing
from quintet_testing.postgres import TemporaryPostgres

SAMPLE = re.compile(r"^(\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)
# A loop must tick within 8 s instead of 60.
IMPATIENT_WORKER = """
import runpy, sys
from chassis.runtime import liveness
liveness.MAX_AGE_SECONDS, liveness._MAX_WAIT_SECONDS = 8, 1
sys.argv = ["probe_service", "worker"]
runpy.run_module("probe_service", run_name="__main__")
"""


class Worker:
    def __init__(self, process: subprocess.Popen[bytes], bind: str) -> None:
        self.process, self._bind = process, bind

    def get(self, path: str) -> Any:
        return http_client.request("GET", self._bind, path, timeout=30)

    def is_live(self) -> bool:
        try:
            return bool(self.get("/livez").ok)
        except OSError:
            return False

    def samples(self) -> dict[str, float]:
        return {name: float(value) for name, value in SAMPLE.findall(self.get("/metrics").text)}

    def loop_age(self, loop: str) -> float:
        return self.samples()[f'quintet_worker_loop_age_seconds{{loop="{loop}"}}']


@pytest.fixture
def start(process_environment: Any, node: Any, queue: str, tmp_path: Any, eventually: Any) -> Iterator[Any]:
    """Return a function that starts a worker and waits until it responds."""
    workers: list[Worker] = []

    def start_worker(settings: ServiceSettings, *command: str, **variables: str) -> Worker:
        bind = f"unix:{tmp_path}/{len(workers)}.sock"
        environment = process_environment(settings, AMQP_URL=node.url, PROBE_QUEUE=queue, WORKER_BIND=bind, **variables)
        process = subprocess.Popen([sys.executable, *(command or ("-m", "probe_service", "worker"))], env=environment)
        workers.append(Worker(process, bind))
        eventually(workers[-1].is_live, within_seconds=60)
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


def test_worker_exports_messages_relay_queues_and_state(
    start: Callable[..., Worker], settings: ServiceSettings, db: Database, queue: str, effects: Any, eventually: Any
) -> None:
    with db.transaction() as tx:
        outbox.add_all(tx, [outbox.job(queue, {"name": f"m{number}"}, request_id="r") for number in range(7)])
    worker = start(settings)
    eventually(lambda: len(effects()) == 7)
    eventually(lambda: worker.samples().get("quintet_outbox_messages") == 0)
    eventually(lambda: worker.samples()[f'quintet_queue_messages{{queue="{queue}"}}'] == 0)
    samples = worker.samples()
    assert samples[f'quintet_message_duration_seconds_count{{outcome="handled",queue="{queue}"}}'] == 7
    assert samples["quintet_relay_published_total"] == 7
    assert samples["quintet_relay_leading"] == samples["quintet_broker_connected"] == 1
    assert samples[f'quintet_dead_letters{{queue="{queue}"}}'] == 0
    assert samples["quintet_outbox_oldest_seconds"] == 0
    assert 0 < samples["quintet_postgres_connections"] <= samples["quintet_postgres_max_connections"]
    loops = {"relay", "report", f"consumer {queue}", "timer prune"}
    assert all(0 <= worker.loop_age(loop) < 60 for loop in loops)


def test_one_relay_leads_and_state_is_exported_by_every_worker(
    start: Callable[..., Worker], settings: ServiceSettings, db: Database, eventually: Any
) -> None:
    with db.transaction() as tx:
        outbox.add(tx, outbox.job("probe.without_queue", {}, request_id="r"))
    workers = [start(settings), start(settings)]

    def values(name: str) -> list[float]:
        return sorted(worker.samples().get(name, -1) for worker in workers)

    eventually(lambda: values("quintet_outbox_messages") == [1, 1])
    eventually(lambda: values("quintet_relay_leading") == [0, 1])
    (leader,) = (worker for worker in workers if worker.samples()["quintet_relay_leading"])
    leader.process.kill()
    workers.remove(leader)
    eventually(lambda: values("quintet_relay_leading") == [1])


def test_gauge_that_cannot_be_read_does_not_hide_the_others(db: Database) -> None:
    reads = []

    def read_pair(tx: Transaction) -> dict[str, float]:
        reads.append(tx)
        return {"first": 1, "second": 2}

    metrics = WorkerMetrics(
        "probe",
        [
            StateGauge("failing", "Not readable", lambda tx: {"": tx.value("SELECT 1 / 0")}),
            StateGauge("first", "Read together with the next", read_pair, key="first"),
            StateGauge("second", "Read together with the previous", read_pair, key="second"),
        ],
    )
    with db.transaction() as tx:
        metrics.state.read(tx, datetime.now(UTC))
    names = ("failing", "first", "second", "outbox_messages", "outbox_oldest_seconds")
    values = {name: metrics.registry.get_sample_value(f"quintet_{name}") for name in names}
    assert values == {"failing": None, "first": 1, "second": 2, "outbox_messages": 0, "outbox_oldest_seconds": 0}
    assert len(reads) == 1


def test_each_attempt_is_counted_with_its_outcome(
    consume: Any, publish: Any, queue: str, short_delays: None, eventually: Any
) -> None:
    metrics = WorkerMetrics("probe")
    unavailable = iter([True, False])

    def handle(_tx: Transaction, delivery: Delivery) -> None:
        if delivery.body == "invalid":
            raise Invalid("the body is invalid")
        if delivery.body == "defect":
            raise RuntimeError("a defect")
        if next(unavailable):
            raise Unavailable("a dependency is down")

    consume(handle, metrics=metrics)
    for body in (b'"invalid"', b"not JSON", b'"defect"', b'"delayed"'):
        publish(queue, body)

    def count(outcome: str) -> float:
        name = "quintet_message_duration_seconds_count"
        return metrics.registry.get_sample_value(name, {"queue": queue, "outcome": outcome}) or 0

    expected = {"handled": 1, "rejected": 2, "delayed": 1, "failed": 4, "dead_lettered": 1}
    eventually(lambda: {outcome: count(outcome) for outcome in expected} == expected)


def test_redelivered_message_is_counted(consume: Any, channel: Any, publish: Any, queue: str, eventually: Any) -> None:
    metrics = WorkerMetrics("probe")
    broker.declare_queue(channel, queue)
    publish(queue, b"{}")
    method = eventually(lambda: channel.basic_get(queue)[0])
    channel.basic_nack(method.delivery_tag)
    consume(lambda _tx, _delivery: None, metrics=metrics)
    name = "quintet_messages_redelivered_total"
    eventually(lambda: metrics.registry.get_sample_value(name, {"queue": queue}) == 1)


@pytest.mark.fault
def test_worker_stays_live_while_postgres_is_frozen(
    start: Callable[..., Worker], restartable_postgres: TemporaryPostgres, eventually: Any
) -> None:
    """A restart of the worker would not help, and would abort its jobs."""
    settings = testing.migrated(ServiceSettings, "probe", restartable_postgres.url)
    worker = start(settings, "-c", IMPATIENT_WORKER)
    eventually(lambda: worker.samples()["quintet_relay_leading"] == 1)
    eventually(lambda: "quintet_outbox_messages" in worker.samples())
    with restartable_postgres.frozen():
        eventually(lambda: worker.loop_age("relay") > 9, within_seconds=60)
        assert worker.get("/livez").json() == {"status": "OK"}
    eventually(lambda: worker.loop_age("relay") < 8)
    # State that was read long ago is not exported.
    restartable_postgres.stop(signal.SIGKILL)
    eventually(lambda: "quintet_outbox_messages" not in worker.samples(), within_seconds=120)
    assert worker.get("/livez").json() == {"status": "OK"}
    restartable_postgres.start()
    eventually(lambda: "quintet_outbox_messages" in worker.samples(), within_seconds=60)
