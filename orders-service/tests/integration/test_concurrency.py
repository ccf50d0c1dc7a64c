"""Concurrent imports, repeated jobs and crashes."""

import io
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import openpyxl
import pytest

from chassis.errors import Invalid
from chassis.messaging.delivery import Delivery
from orders_service.handlers import delete_stale_data, on_import_requested

PATH = "/acme_orders/api/v1/orders/import"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 750)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 250)


def reported_ids(api, task):
    """Return how often the report contains each ID."""
    return Counter(int(line.split("|")[0]) for line in api.errors(task).splitlines()[1:])


@pytest.mark.parametrize("seed", range(10))
def test_concurrent_imports_store_each_id_once_and_report_the_rest_as_duplicates(
    api, build_csv, build_row, counts_of, run_slice_with_retries, seed
):
    ids = list(range(600))
    tasks = []
    for number in range(2):
        random.Random(seed * 2 + number).shuffle(ids)
        # Valid orders whose name is that of their file.
        tasks.append(api.start_import(build_csv(*(build_row(id, name=f"file {number}") for id in ids))))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(run_slice_with_retries, tasks))
    outcomes = [counts_of(api.status(task)) for task in tasks]
    assert [sum(counts) for counts in outcomes] == [600, 600]
    assert outcomes[0][0] + outcomes[1][0] == 600
    with api.db.transaction() as tx:
        stored = Counter(row[0] for row in tx.rows("SELECT name FROM orders"))
    for number, task in enumerate(tasks):
        assert stored[f"file {number}"] == outcomes[number][0]
        assert len(reported_ids(api, task)) == outcomes[number][2] == sum(reported_ids(api, task).values())


def test_job_delivered_concurrently_has_one_effect(
    api, build_csv, build_row, counts_of, outbox, run_slice_with_retries
):
    task = api.start_import(build_csv(*(build_row(id) for id in range(1000))))
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: run_slice_with_retries(task), range(3)))
    assert counts_of(api.status(task)) == (1000, 0, 0, 0)
    assert [name for name, _ in outbox()].count("OrdersImported") == 1


def test_job_of_a_finished_slice_does_nothing(api, build_csv, build_row, outbox, run_slice_with_retries):
    task = api.start_import(build_csv(*(build_row(id) for id in range(1000))))
    run_slice_with_retries(task, is_time_up=lambda _: True)
    before = api.status(task)["current"]
    assert 0 < before < 1000
    run_slice_with_retries(task)
    assert api.status(task)["current"] == before
    assert [body["turn"] for name, body in outbox() if name == "orders.import"] == [1, 2]
    run_slice_with_retries(task, slice_=2)
    assert api.status(task)["status"] == "SUCCESS"


def read_findings(api, task):
    """Return the lines of the report, which is in the encoding of the file."""
    report = api.client.get(f"{PATH}/{task}/errors.csv").data
    return report.decode("utf-16" if report.startswith(b"\xff\xfe") else "utf-8").splitlines()


def convert_to_workbook(content):
    workbook, file = openpyxl.Workbook(), io.BytesIO()
    for line in content.decode().splitlines():
        workbook.active.append(line.split("|"))
    workbook.save(file)
    return file.getvalue()


@pytest.mark.fault
@pytest.mark.parametrize(
    ("convert", "parameters"),
    [
        (bytes, ""),
        (bytes, "dry_run=1"),
        (lambda content: content.decode().encode("utf-16"), ""),
        (convert_to_workbook, "file_name=a.xlsx"),
    ],
    ids=["CSV", "dry run", "UTF-16", "XLSX"],
)
def test_import_killed_at_any_statement_has_the_same_outcome(
    api,
    build_csv,
    build_row,
    counts_of,
    kill_after,
    run_slice_with_retries,
    monkeypatch,
    convert,
    parameters,
):
    if convert is convert_to_workbook:
        # Opening the workbook again after each kill takes fewer statements than there are between two kills.
        monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 2**20)
        monkeypatch.setattr("orders_service.operations.workbooks._MAX_LINES_PER_STEP", 100)
    lines = [build_row(id % 2900, state=("NJ", "TX")[id // 7 % 2], zipcode=f"1000{id // 3 % 5}") for id in range(3000)]
    content = convert(build_csv(*lines, "broken", *lines[:20]))
    reference = api.run_import(content, f"?{parameters.replace('dry_run=1', '')}&dry_run=1")
    expected, findings = counts_of(reference), read_findings(api, reference["task_id"])
    task = api.start_import(content, f"?{parameters}")
    kills = 0
    while api.status(task)["status"] in ("PENDING", "PROGRESS"):
        kills += 1
        with kill_after(random.Random(kills).randint(1, 40)):
            run_slice_with_retries(task)
    assert kills > 5
    assert counts_of(api.status(task)) == expected
    assert read_findings(api, task) == findings


def test_import_cancelled_while_running_keeps_stored_orders(api, client, build_csv, build_row, run_slice_with_retries):
    task = api.start_import(build_csv(*(build_row(id) for id in range(5000))))
    steps = 0
    # The request waits for the step in progress.
    cancel_thread = threading.Thread(target=client.delete, args=(f"{PATH}/status/{task}",))

    def cancel_after_three_steps(_):
        nonlocal steps
        steps += 1
        if steps == 3:
            cancel_thread.start()
        return False

    run_slice_with_retries(task, is_time_up=cancel_after_three_steps)
    cancel_thread.join()
    status = api.status(task)
    if status["status"] != "SUCCESS":
        assert status["message"] == "cancelled"
        assert 0 < status["valid"] < 5000
    assert status["valid"] == api.orders().json["total"]


@pytest.fixture
def deliver(job_context):
    """Return a function that processes a job as the worker does; setting its `stop_event` stops the worker."""

    def process(body):
        on_import_requested(job_context, Delivery("orders.import", "", "orders.import", "orders", "r", {}, body))

    process.stop_event = job_context.stop_event
    return process


def count_chunks(api):
    with api.db.transaction() as tx:
        return tx.value("SELECT count(*) FROM upload_chunks")


def test_slice_ends_when_its_time_is_up_unless_few_chunks_are_left(api, deliver, build_csv, build_row, monkeypatch):
    for name in ("_SLICE_SECONDS", "_SLICE_FACTOR"):
        monkeypatch.setattr(f"orders_service.handlers.{name}", -1)
    task = api.start_import(build_csv(*(build_row(id) for id in range(1200))))
    chunk_counts = [count_chunks(api)]
    while api.status(task)["status"] in ("PENDING", "PROGRESS"):
        deliver({"task_id": task, "turn": len(chunk_counts)})
        chunk_counts.append(count_chunks(api))
    assert chunk_counts[0] > 80
    assert [count for count in chunk_counts if 0 < count <= 64] == []
    assert len(chunk_counts) > 2


def test_stopping_worker_leaves_even_few_chunks_to_another_worker(api, deliver, build_csv, build_row):
    task = api.start_import(build_csv(*(build_row(id) for id in range(300))))
    deliver.stop_event.set()
    before = count_chunks(api)
    deliver({"task_id": task, "turn": 1})
    assert 0 < count_chunks(api) < before <= 64
    deliver.stop_event.clear()
    deliver({"task_id": task, "turn": 2})
    assert api.status(task)["status"] == "SUCCESS"


def stored_uploads(tx):
    return {id for (id,) in tx.rows("SELECT DISTINCT upload_id::text FROM upload_chunks")}


def test_worker_processes_valid_jobs_and_rejects_malformed_ones(api, deliver, build_csv, build_row):
    task = api.start_import(build_csv(build_row(1)))
    for body in (None, [], {}, {"task_id": "x", "turn": 1}, {"task_id": task}, {"task_id": task, "turn": "x"}):
        with pytest.raises(Invalid):
            deliver(body)
    deliver({"task_id": "8bd73d8d-8019-4bec-aaf9-0a04a343f1b0", "turn": 1})
    deliver({"task_id": task, "turn": 1})
    assert api.status(task)["status"] == "SUCCESS"


def test_data_of_killed_uploads_and_ended_imports_is_deleted(api, client, build_csv, build_row):
    tasks = [api.start_import(build_csv(*(build_row(id) for id in range(200)))) for _ in range(2)]
    client.delete(f"{PATH}/status/{tasks[1]}")
    assert api.finish(tasks[1])["status"] == "FAILURE"
    with api.db.transaction() as tx:
        upload = tx.value("INSERT INTO open_uploads VALUES (gen_random_uuid(), now()) RETURNING id::text")
        tx.run("INSERT INTO upload_chunks VALUES (%(id)s, 0, 'id')", id=upload)
        delete_stale_data(tx, datetime.now(UTC))
        assert stored_uploads(tx) == {tasks[0], upload}
        tx.run("UPDATE open_uploads SET seen_at = now() - interval '3 minutes'")
        delete_stale_data(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM open_uploads") == 0
        assert stored_uploads(tx) == {tasks[0]}
    assert api.finish(tasks[0])["valid"] == 200
    with api.db.transaction() as tx:
        for _ in range(1100):
            tx.run("INSERT INTO order_counts VALUES ('TX', true, 1), ('TX', true, -1)")
        delete_stale_data(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM order_counts") == 1
