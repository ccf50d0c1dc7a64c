"""The Python client imports orders, runs flows, and records production."""

import io
import json
import secrets
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from quintet import Conflict, FlowFailed, ImportFailed, InvalidInput, LoadFailed, NotFound, TimedOut, TransferProgress
from quintet_e2e import orders, specs
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = ON_ONE_STACK

SECONDS = 120
START = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)


@pytest.fixture
def orders_file(tmp_path):
    """Return the path of a file with ten orders, and the ID of the first."""
    first_id = orders.first_unused_id()
    file = tmp_path / "ten orders.csv"
    file.write_bytes(orders.orders_file(first_id, 10))
    return file, first_id


@pytest.fixture
def spec():
    resource = {"name": "reds", "data": specs.ROWS, "schema": {"fields": specs.FIELDS}}
    parameters = {"descriptor": {"name": "wines", "resources": [resource]}}
    return {
        "meta": {"dataset": f"client-{secrets.token_hex(4)}", "version": 1, "findability": "private"},
        "inputs": [{"kind": "datapackage", "url": "datapackage.json", "parameters": parameters}],
    }


def test_file_is_uploaded_and_its_import_followed(quintet, orders_file, tmp_path):
    file, first_id = orders_file
    progress, statuses = [], []
    task = quintet.orders.upload(file, on_progress=progress.append)
    assert progress[-1] == TransferProgress(file.stat().st_size, file.stat().st_size)
    status = task.wait(timeout_seconds=SECONDS, on_progress=statuses.append)
    assert statuses[-1] == status == task.status()
    assert (status.file_name, status.current, status.is_finished) == (file.name, 10, True)
    assert {"valid": status.valid, "invalid": status.invalid}.items() <= orders.expected_counts(10).items()
    task.save_errors(tmp_path / "errors.csv")
    assert len((tmp_path / "errors.csv").read_bytes().splitlines()) == 1 + status.invalid == 1 + len(task.errors())
    assert quintet.orders.get(first_id).valid
    quintet.orders.delete(first_id)
    with pytest.raises(NotFound, match="order not found"):
        quintet.orders.get(first_id)
    assert task.id in [entry.task_id for entry in quintet.orders.imports()]
    with pytest.raises(Conflict):
        task.cancel()
    assert task.undo().status == "PENDING"
    eventually(lambda: quintet.orders.task(task.id).status().undo.status == "SUCCESS", SECONDS)


def test_open_files_and_pipes_are_uploaded_with_options(quintet, orders_file, tmp_path):
    file, first_id = orders_file
    content = file.read_bytes()
    with file.open("rb") as stream:
        status = quintet.orders.upload(stream, dry_run=True).wait(timeout_seconds=SECONDS)
    assert (status.dry_run, status.file_name) == (True, file.name)
    with subprocess.Popen(["cat", file], stdout=subprocess.PIPE) as process:
        task = quintet.orders.upload(process.stdout, file_name="piped.csv")
    assert task.wait(timeout_seconds=SECONDS).file_name == "piped.csv"
    foreign = content.replace(b"zipcode", b"PLZ", 1).decode().encode("utf-16")
    task = quintet.orders.upload(io.BytesIO(foreign), update=True, columns={"zipcode": "PLZ"}, date_format="%d.%m.%Y")
    status = task.wait(timeout_seconds=SECONDS)
    assert (status.on_duplicate, status.updated) == ("update", 10)
    listed = [order.id for order in quintet.orders.list(valid=True, name=" ") if first_id <= order.id < first_id + 10]
    assert len(listed) == status.valid
    quintet.orders.export(tmp_path / "all.csv", valid=True)
    exported = [int(line.split(b",")[0]) for line in (tmp_path / "all.csv").read_bytes().splitlines()[1:]]
    assert [order_id for order_id in exported if first_id <= order_id < first_id + 10] == listed


def test_import_that_fails_is_an_exception(quintet):
    with pytest.raises(ImportFailed, match="zipcode") as raised:
        quintet.orders.upload(io.BytesIO(b"id|name|email|state|birthday\n")).wait(timeout_seconds=SECONDS)
    assert raised.value.status.status == "FAILURE"
    with pytest.raises(InvalidInput) as raised:
        quintet.orders.upload(io.BytesIO(b"id\n"), encoding="no-such-encoding")
    assert [error.field for error in raised.value.errors] == ["encoding"]


def test_wait_ends_at_its_timeout_and_the_import_continues(quintet, stack):
    stack.stop("orders-worker")
    try:
        task = quintet.orders.upload(io.BytesIO(orders.orders_file(orders.first_unused_id(), 3)))
        with pytest.raises(TimedOut):
            task.wait(timeout_seconds=0.5)
    finally:
        stack.start("orders-worker")
    assert task.wait(timeout_seconds=SECONDS).current == 3


def test_spec_is_planned_uploaded_and_its_files_downloaded(quintet, spec, tmp_path):
    dataset = spec["meta"]["dataset"]
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(spec))  # JSON is YAML, too.
    plan = quintet.datasets.plan(spec)
    assert plan.flow_id == f"{quintet.user}/{dataset}/1"
    states = []
    flow = quintet.datasets.upload(file)
    assert flow.wait(timeout_seconds=SECONDS, on_progress=lambda status: states.append(status.state)) is flow
    assert flow.id == plan.flow_id
    assert states[-1] == "SUCCEEDED"
    status = flow.status()
    assert status.pipelines.keys() == {pipeline.id for pipeline in plan.pipelines}
    assert (status.is_finished, status.stats["count_of_rows"]) == (True, len(specs.ROWS))
    paths = flow.download(tmp_path / "out")
    assert {tmp_path / "out" / "datapackage.json", tmp_path / "out" / "reds.csv"} <= set(paths)
    assert (tmp_path / "out" / "reds.csv").read_text().splitlines()[1] == "Malbec,2020"
    assert flow.retry().wait(timeout_seconds=SECONDS).id == f"{quintet.user}/{dataset}/2"
    assert flow.cancel().cancelled == 0
    assert [revision.revision for revision in quintet.datasets.revisions(quintet.user, dataset)] == [2, 1]
    assert quintet.datasets.flow(f"{quintet.user}/{dataset}").status().id == f"{quintet.user}/{dataset}/2"
    for listed in (quintet.datasets.list(), quintet.datasets.list(quintet.user)):
        assert (2, "SUCCEEDED") in [(entry.revision, entry.state) for entry in listed if entry.dataset == dataset]


def test_failed_flow_and_invalid_spec_are_exceptions(quintet, spec):
    resource = spec["inputs"][0]["parameters"]["descriptor"]["resources"][0]
    resource["data"] = [{"name": "Malbec", "year": "unknown"}]
    with pytest.raises(FlowFailed, match="year") as raised:
        quintet.datasets.upload(spec).wait(timeout_seconds=SECONDS)
    assert raised.value.status.state == "FAILED"
    with pytest.raises(InvalidInput, match="inputs"):
        quintet.datasets.upload({"meta": spec["meta"]})
    with pytest.raises(ValueError, match="owner/dataset"):
        quintet.datasets.flow("wines")


def test_uploaded_file_is_a_source_until_it_is_deleted(quintet, spec):
    path = f"client/{secrets.token_hex(4)}/reds 2026.csv"
    stored = quintet.datasets.upload_file(io.BytesIO(b"name,year\nMalbec,2020\n"), path)
    assert (stored.path, stored.bytes) == (path, 22)
    resource = spec["inputs"][0]["parameters"]["descriptor"]["resources"][0]
    del resource["data"]
    resource["path"] = path
    assert quintet.datasets.upload(spec).wait(timeout_seconds=SECONDS).status().stats["count_of_rows"] == 1
    quintet.datasets.delete_file(path)
    quintet.datasets.delete_file(path)
    with pytest.raises(FlowFailed):
        quintet.datasets.upload(spec).wait(timeout_seconds=SECONDS)


def test_production_is_recorded_charted_and_saved(quintet, tmp_path):
    factory = quintet.factories.create("Plant", [(START, 1, 2)])
    times = [START + timedelta(minutes=minute) for minute in range(1, 12_001)]
    assert factory.record((time, minute, 6000) for minute, time in enumerate(times)) == 12_000
    eventually(lambda: len(factory.chart()) == 12_001, SECONDS)
    assert factory.record([("2026-11-26T22:00:00Z", 10, 20), (int(START.timestamp()) + 60, 11, 21)]) == 2
    eventually(lambda: list(factory.chart(end=times[0]).points()) == [(START, 10, 20), (times[0], 11, 21)], SECONDS)
    assert len(factory.chart(start=times[-3])) == 3
    assert 6 <= len(factory.chart(points=100)) <= 100
    days = factory.attainment("1d", tz="Europe/Berlin")
    assert days[0].time == START - timedelta(hours=23)
    assert len(factory.attainment("1h", start=START, end=times[0])) == 1
    assert (factory.get().name, factory.get().chart.actual[0]) == ("Plant", 10)
    assert factory.id in [state.id for state in quintet.factories.list(newest=1)]
    factory.save_points(tmp_path / "points.csv", end=times[0])
    copy = quintet.factories.create("Copy")
    assert copy.load_csv(tmp_path / "points.csv").wait(timeout_seconds=SECONDS).points == 2
    assert copy.chart() == factory.chart(end=times[0])
    factory.delete()
    with pytest.raises(NotFound):
        factory.get()


def test_files_of_factories_and_sprockets_are_loaded_once(quintet, tmp_path):
    file = tmp_path / "sprockets.json"
    numbers = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1 + secrets.randbelow(2**30)}
    file.write_text(json.dumps({"sprockets": [numbers]}))
    loads = [quintet.factories.load(file).wait(timeout_seconds=SECONDS) for _ in range(2)]
    assert [(load.sprockets, load.skipped) for load in loads] == [(1, 0), (0, 1)]
    with pytest.raises(LoadFailed):
        quintet.factories.load(io.BytesIO(b'{"factories": [{}]}')).wait(timeout_seconds=SECONDS)
    sprocket = quintet.sprockets.create(**numbers)
    assert quintet.sprockets.update(sprocket.id, teeth=7).teeth == 7
    assert quintet.sprockets.get(sprocket.id).pitch == numbers["pitch"]
    assert [entry.pitch for entry in quintet.sprockets.list()].count(numbers["pitch"]) == 2
    quintet.sprockets.delete(sprocket.id)
    with pytest.raises(NotFound):
        quintet.sprockets.get(sprocket.id)
