"""The Python client repeats requests whose responses were lost: each has one effect, and nothing read is missing."""

import io
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet import Quintet
from quintet_e2e import orders, specs
from quintet_e2e.lossy import lossy_url
from quintet_e2e.stacks import ON_ONE_STACK

pytestmark = ON_ONE_STACK

COUNT = 60


@pytest.fixture
def lossy(stack):
    """Yield a client whose connections break."""
    with lossy_url(stack.client_url()) as url, Quintet(url) as client:
        yield client


@pytest.fixture
def name():
    return f"client-{secrets.token_hex(4)}"


def test_numbers_and_events_of_concurrent_calls(quintet, lossy, name):
    quintet.sequences.create(name)
    stream = lossy.streams(name)
    stream.append("A", {"n": -1})
    with ThreadPoolExecutor(8) as pool:
        issued = list(pool.map(lambda _: lossy.sequences.next(name).numbers[0], range(COUNT)))
        ids = list(pool.map(lambda n: stream.append("A", {"n": n}), range(COUNT)))
    assert sorted(issued) == [*range(1, COUNT + 1)]
    assert quintet.sequences.get(name).next == COUNT + 1
    stored = {event.id: event.payload["n"] for event in quintet.streams(name).events(start=2)}
    assert stored == dict(zip(ids, range(COUNT), strict=True))
    assert quintet.streams(name).get().position == COUNT + 1


def test_batches_are_appended_and_read_in_order(quintet, lossy, name):
    ids = lossy.streams(name).append_many(("B", {"n": n}) for n in range(2500))
    expected = list(zip(ids, range(2500), strict=True))
    for client in (quintet, lossy):
        assert [(event.id, event.payload["n"]) for event in client.streams(name).events()] == expected
    followed = lossy.streams(name).follow(after=0)
    assert [next(followed).position for _ in range(2500)] == [*range(1, 2501)]
    followed.close()


def test_consumer_counts_each_refusal_once(quintet, lossy, name):
    quintet.streams(name).append_many(("A", {"n": n}) for n in range(COUNT))
    received = []
    for event in lossy.streams(name).consume("c", "A", stop_when_empty=True):
        received.append(event.payload["n"])
        if event.payload["n"] == 5:
            event.refuse("no", delay_seconds=0)
    (state,) = quintet.streams(name).consumers()
    (parked,) = quintet.streams(name).consumer("c").parked()
    assert (state.parked, parked.nacks, parked.payload["n"]) == (1, 5, 5)
    assert Counter(received) == Counter([*range(COUNT), 5, 5, 5, 5])
    assert (state.offset, state.lag) == (COUNT, 0)


def test_uploads_and_resources_are_created_once(quintet, lossy, name, tmp_path):
    content = orders.orders_file(orders.first_unused_id(), 100)
    file_name = f"{name}.csv"
    tasks = [lossy.orders.upload(io.BytesIO(content), dry_run=True, file_name=file_name).id for _ in range(10)]
    assert sorted(entry.task_id for entry in quintet.orders.imports() if entry.file_name == file_name) == sorted(tasks)
    pitch = 1 + secrets.randbelow(2**30)
    numbers = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": pitch}
    sprockets = [lossy.sprockets.create(**numbers).id for _ in range(10)]
    assert [entry.id for entry in quintet.sprockets.list() if entry.pitch == pitch] == sorted(sprockets)
    for sprocket in sprockets:
        lossy.sprockets.delete(sprocket)
    assert pitch not in [entry.pitch for entry in quintet.sprockets.list()]
    resource = {"name": "reds", "data": specs.ROWS, "schema": {"fields": specs.FIELDS}}
    parameters = {"descriptor": {"name": "wines", "resources": [resource]}}
    inputs = [{"kind": "datapackage", "url": "datapackage.json", "parameters": parameters}]
    spec = {"meta": {"dataset": name, "version": 1, "findability": "private"}, "inputs": inputs}
    flows = [lossy.datasets.upload(spec).id for _ in range(5)]
    assert flows == [f"{quintet.user}/{name}/{revision}" for revision in range(1, 6)]
    assert len(list(quintet.datasets.revisions(quintet.user, name))) == 5
    lossy.orders.export(tmp_path / "lossy.csv", name="Vinton")
    quintet.orders.export(tmp_path / "all.csv", name="Vinton")
    assert (tmp_path / "lossy.csv").read_bytes() == (tmp_path / "all.csv").read_bytes()
